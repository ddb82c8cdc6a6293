"""AWS IAM Identity Center: who may enter which account with which permission set."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import Field, SerializationInfo, field_serializer

from collectors.aws.people import named
from collectors.aws.targets import Answer, Region
from collectors.contract import PERSONAL, Gap, Record, evidence

PAGE = 100


class Assignment(Record):
    """One user or group that may enter one account with one permission set."""

    account: str = Field(description="The account that owns the Identity Center instance.")
    region: str = Field(description="The region of the instance.")
    instance_arn: str = Field(description="The instance's ARN.")
    target_account: str = Field(description="The account that may be entered.")
    permission_set: str = Field(description="The permission set's name.")
    permission_set_arn: str = Field(description="The permission set's ARN.")
    session_duration: str | None = Field(
        description="How long a session lasts, as in `PT8H`; null where AWS does not say."
    )
    principal_type: str = Field(description="`USER` or `GROUP`.")
    principal_id: str = Field(description="The user's or group's id in the identity store.")
    principal: str | None = Field(
        description="The user's or group's name; null where the identity store does not list it, as once deleted.",
        json_schema_extra=PERSONAL,
    )

    @field_serializer("principal")
    def _of_a_user(self, principal: str | None, info: SerializationInfo[Any]) -> str | None:
        return named(principal, info) if principal and self.principal_type == "USER" else principal


@dataclass(frozen=True)
class Way:
    """A permission set and an account in which it is provisioned."""

    instance: str
    permission_set: str
    account: str

    def __str__(self) -> str:
        return f"{self.permission_set} in {self.account}"


@evidence(
    "identitystore:ListGroups",
    "identitystore:ListUsers",
    "sso:DescribePermissionSet",
    "sso:ListAccountAssignments",
    "sso:ListAccountsForProvisionedPermissionSet",
    "sso:ListInstances",
    "sso:ListPermissionSets",
)
def assignments(region: Region) -> Iterator[Assignment | Gap]:
    """Every user and group, the accounts that they may enter, and with which permission set.

    They are read in the account that owns the Identity Center instance; other accounts have none of their own. Of the
    regions that an instance is in, they are told in one: its primary region, where that is read.
    """
    for instance in region.pages("sso-admin:ListInstances", "Instances", MaxResults=PAGE):
        if instance["OwnerAccountId"] == region.account and _is_told_in(region, instance):
            yield from _assignments(region, instance)


def _is_told_in(region: Region, instance: Answer) -> bool:
    """Whether this is the instance's primary region or, where that is not read, the first that is."""
    replicas = sorted(str(each["RegionName"]) for each in instance.get("Regions") or ())
    read = region.access.regions or region.access.enabled
    first = next((name for name in (instance.get("PrimaryRegion"), *replicas) if name in read), region.region)
    return bool(first == region.region)


def _assignments(region: Region, instance: Answer) -> Iterator[Assignment | Gap]:
    look = partial(_assigned, region, _principals(region, instance["IdentityStoreId"]))
    for seen in region.each(_ways(region, instance["InstanceArn"]), look, resource=str):
        if isinstance(seen, Gap):
            yield seen
        else:
            yield from seen


def _principals(region: Region, store: str) -> dict[tuple[str, str], str | None]:
    """The names of all users and groups, by kind and id."""
    users = region.pages("identitystore:ListUsers", "Users", IdentityStoreId=store, MaxResults=PAGE)
    groups = region.pages("identitystore:ListGroups", "Groups", IdentityStoreId=store, MaxResults=PAGE)
    names = {("USER", user["UserId"]): user.get("UserName") for user in users}
    return names | {("GROUP", group["GroupId"]): group.get("DisplayName") for group in groups}


def _ways(region: Region, instance: str) -> Iterator[Way]:
    for listed in region.pages("sso-admin:ListPermissionSets", "PermissionSets", InstanceArn=instance, MaxResults=PAGE):
        asked = {"InstanceArn": instance, "PermissionSetArn": str(listed)}
        operation = "sso-admin:ListAccountsForProvisionedPermissionSet"
        for account in region.pages(operation, "AccountIds", **asked, MaxResults=PAGE):
            yield Way(instance, str(listed), str(account))


def _assigned(region: Region, principals: Mapping[tuple[str, str], str | None], way: Way) -> tuple[Assignment, ...]:
    asked = {"InstanceArn": way.instance, "PermissionSetArn": way.permission_set}
    permission_set = region.read("sso-admin:DescribePermissionSet", **asked, keep=True)["PermissionSet"]
    operation = "sso-admin:ListAccountAssignments"
    found = region.pages(operation, "AccountAssignments", **asked, AccountId=way.account, MaxResults=PAGE)
    return tuple(
        Assignment(
            account=region.account,
            region=region.region,
            instance_arn=way.instance,
            target_account=way.account,
            permission_set=permission_set["Name"],
            permission_set_arn=way.permission_set,
            session_duration=permission_set.get("SessionDuration"),
            principal_type=assigned["PrincipalType"],
            principal_id=assigned["PrincipalId"],
            principal=principals.get((assigned["PrincipalType"], assigned["PrincipalId"])),
        )
        for assigned in found
    )
