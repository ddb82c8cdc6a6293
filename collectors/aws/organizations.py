"""AWS Organizations: which accounts there are, what keeps them in bounds, and what tells production from the rest."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

from pydantic import Field

from collectors.aws.environments import Environment, of_account, of_vpc, paths, state
from collectors.aws.moment import Instant
from collectors.aws.targets import Account, Answer
from collectors.contract import Gap, Record, evidence

PAGE, VPC_PAGE = 20, 1000
NOT_IN_USE = ("AWSOrganizationsNotInUseException",)
ROOT_MANAGEMENT_OFF = ("OrganizationNotInAllFeaturesModeException", "ServiceAccessNotEnabledException")
BOUNDS = ("SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY")


class Organization(Record):
    """The organization. An account that is in none has null in all but the first field."""

    exists: bool = Field(description="Whether the account is in an organization.")
    feature_set: str | None = Field(description="`ALL`, or `CONSOLIDATED_BILLING` where policies cannot be used.")
    management_account: str | None = Field(description="The account that manages the organization.")
    enabled_policy_types: tuple[str, ...] | None = Field(
        description="The types of policy that have an effect, as in `SERVICE_CONTROL_POLICY`; null unless seen from "
        "the management account."
    )
    delegated_administrators: tuple[str, ...] | None = Field(
        description="The accounts that administer a service for all; null unless seen from the management account."
    )
    root_credentials_management: bool | None = Field(
        description="Whether root's credentials in member accounts are managed, and can be removed, centrally; null "
        "unless seen from the management account."
    )
    root_sessions: bool | None = Field(
        description="Whether root's tasks in member accounts are done in short sessions from the management account; "
        "null unless seen from there."
    )


class Member(Record):
    """An account of the organization."""

    state: str = Field(description="Its state, as in `ACTIVE`, `SUSPENDED` or `CLOSED`.")
    paths: tuple[str, ...] = Field(description="The root and the units that it is in, by id; none where AWS says none.")
    joined_method: str | None = Field(description="`CREATED` or `INVITED`; null where AWS does not say.")
    joined_at: Instant | None = Field(description="When it joined; null where AWS does not say.")


class PolicyTarget(Record):
    """Where a policy is attached."""

    type: str = Field(description="`ROOT`, `ORGANIZATIONAL_UNIT` or `ACCOUNT`.")
    id: str = Field(description="The root's, unit's or account's id.")
    name: str | None = Field(description="Its name; null where AWS does not say.")


class Policy(Record):
    """A policy that bounds what accounts may do, or what may be done to their resources."""

    type: str = Field(description="`SERVICE_CONTROL_POLICY` or `RESOURCE_CONTROL_POLICY`.")
    aws_managed: bool = Field(description="Whether it is one of AWS's own, which allow everything.")
    targets: tuple[PolicyTarget, ...] = Field(description="Where it is attached; it bounds all that is beneath too.")


class Guardrail(Record):
    """The organization, one of its accounts, or one of its policies."""

    kind: Literal["organization", "member", "policy"] = Field(description="Which of the three it is.")
    id: str | None = Field(description="Its id; null where the account is in no organization.")
    arn: str | None = Field(description="Its ARN; null where the account is in no organization.")
    name: str | None = Field(description="Its name; null for the organization, which has none.")
    account: str = Field(description="The account that it was seen from.")
    organization: Organization | None = Field(description="What the organization is; null for the other kinds.")
    member: Member | None = Field(description="What the account is; null for the other kinds.")
    policy: Policy | None = Field(description="What the policy is; null for the other kinds.")


@evidence(
    "iam:ListOrganizationsFeatures",
    "organizations:DescribeOrganization",
    "organizations:ListAccounts",
    "organizations:ListDelegatedAdministrators",
    "organizations:ListPolicies",
    "organizations:ListRoots",
    "organizations:ListTargetsForPolicy",
)
def guardrails(account: Account) -> Iterator[Guardrail | Gap]:
    """The organization, its accounts, and the policies that bound them.

    Accounts and policies are read in the management account; from other accounts only the organization shows.
    """
    answer = account.find(NOT_IN_USE, "organizations:DescribeOrganization")
    if answer is None:
        yield _guardrail(account, "organization", {}, organization=_organization(exists=False))
        return
    organization = answer["Organization"]
    yield from account.each((organization,), partial(_whole, account), resource=_arn, may_go=False)
    if not _manages(account, organization):
        return
    yield from _listed(account, "Accounts", partial(_member, account), "organizations:ListAccounts", "Accounts")
    for bounds in BOUNDS if organization["FeatureSet"] == "ALL" else ():
        look = partial(_policy, account)
        yield from _listed(account, bounds, look, "organizations:ListPolicies", "Policies", Filter=bounds)


@evidence("ec2:DescribeRegions", "ec2:DescribeVpcs", "organizations:DescribeOrganization", "organizations:ListAccounts")
def environments(account: Account) -> Iterator[Environment | Gap]:
    """What tells production from other environments: accounts by name and unit, VPCs by tag.

    The organization's accounts are read in its management account, VPCs in each account.
    """
    readings: dict[str, Callable[[], tuple[Environment, ...]]] = {"Accounts": partial(_accounts, account)}
    readings |= {region: partial(_vpcs, account, region) for region in account.regions()}
    for seen in account.each(readings, lambda reading: readings[reading](), resource=str, may_go=False):
        if isinstance(seen, Gap):
            yield seen
        else:
            yield from seen


def _manages(account: Account, organization: Answer) -> bool:
    return bool(organization["MasterAccountId"] == account.account)


def _arn(listed: Answer) -> str:
    return str(listed["Arn"])


def _listed(
    account: Account, what: str, look: Callable[[Answer], Guardrail], operation: str, key: str, **asked: Any
) -> Iterator[Guardrail | Gap]:
    """`look` at all that an operation lists; a listing that fails is the gap `what`, and does not hide what follows."""
    read = partial(account.pages, operation, key, **asked, MaxResults=PAGE)
    for listed in account.each((what,), lambda _what: tuple(read()), resource=str, may_go=False):
        if isinstance(listed, Gap):
            yield listed
        else:
            yield from account.each(listed, look, resource=_arn)


def _whole(account: Account, organization: Answer) -> Guardrail:
    seen = _seen_from_management(account) if _manages(account, organization) else {}
    whole = _organization(
        exists=True,
        feature_set=organization["FeatureSet"],
        management_account=organization["MasterAccountId"],
        **seen,
    )
    return _guardrail(account, "organization", organization, organization=whole)


def _seen_from_management(account: Account) -> dict[str, Any]:
    features = (account.find(ROOT_MANAGEMENT_OFF, "iam:ListOrganizationsFeatures") or {}).get("EnabledFeatures") or ()
    roots = account.pages("organizations:ListRoots", "Roots", MaxResults=PAGE)
    types = (policies for root in roots for policies in root.get("PolicyTypes") or ())
    operation = "organizations:ListDelegatedAdministrators"
    administrators = account.pages(operation, "DelegatedAdministrators", MaxResults=PAGE)
    return {
        "enabled_policy_types": tuple(policies["Type"] for policies in types if policies["Status"] == "ENABLED"),
        "delegated_administrators": tuple(administrator["Id"] for administrator in administrators),
        "root_credentials_management": "RootCredentialsManagement" in features,
        "root_sessions": "RootSessions" in features,
    }


def _organization(**told: Any) -> Organization:
    return Organization.model_validate(dict.fromkeys(Organization.model_fields) | told)


def _member(account: Account, listed: Answer) -> Guardrail:
    member = Member(
        state=state(listed),
        paths=paths(listed),
        joined_method=listed.get("JoinedMethod"),
        joined_at=listed.get("JoinedTimestamp"),
    )
    return _guardrail(account, "member", listed, member=member)


def _policy(account: Account, listed: Answer) -> Guardrail:
    operation = "organizations:ListTargetsForPolicy"
    targets = account.pages(operation, "Targets", PolicyId=listed["Id"], MaxResults=PAGE)
    policy = Policy(
        type=listed["Type"],
        aws_managed=listed["AwsManaged"],
        targets=tuple(
            PolicyTarget(type=target["Type"], id=target["TargetId"], name=target.get("Name")) for target in targets
        ),
    )
    return _guardrail(account, "policy", listed, policy=policy)


def _guardrail(account: Account, kind: str, listed: Answer, **its: Record) -> Guardrail:
    names = {"id": listed.get("Id"), "arn": listed.get("Arn"), "name": listed.get("Name")}
    others = dict.fromkeys(("organization", "member", "policy"))
    return Guardrail.model_validate({"kind": kind, **names, "account": account.account, **others, **its})


def _accounts(account: Account) -> tuple[Environment, ...]:
    answer = account.find(NOT_IN_USE, "organizations:DescribeOrganization")
    if answer is None or not _manages(account, answer["Organization"]):
        return ()
    listed = account.pages("organizations:ListAccounts", "Accounts", MaxResults=PAGE)
    return tuple(of_account(each) for each in listed)


def _vpcs(account: Account, region: str) -> tuple[Environment, ...]:
    listed = account.pages("ec2:DescribeVpcs", "Vpcs", region=region, MaxResults=VPC_PAGE)
    return tuple(of_vpc(account.partition, region, vpc) for vpc in listed)
