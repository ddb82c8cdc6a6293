"""An AWS account as such: whom AWS can reach about it, and what is in it."""

from collections import Counter
from collections.abc import Iterator

from pydantic import Field

from collectors.aws.people import UserArn
from collectors.aws.targets import Account, Region
from collectors.contract import Record, evidence

PAGE = 100


class Contacts(Record):
    """Which contacts of one account are set; whom they name is not told."""

    account: str = Field(description="The account.")
    primary_contact_set: bool = Field(description="Whether the account has a primary contact.")
    security_contact_set: bool = Field(description="Whether a contact for security is set.")
    billing_contact_set: bool = Field(description="Whether a contact for billing is set.")
    operations_contact_set: bool = Field(description="Whether a contact for operations is set.")


class Resources(Record):
    """All resources of one type in one region that have, or once had, tags."""

    account: str = Field(description="The account.")
    region: str = Field(description="The region; resources of global services are in `us-east-1`.")
    type: str = Field(description="The type as ARNs write it, as in `ec2:instance`, or `s3` where they write none.")
    count: int = Field(description="How many there are.")
    untagged_count: int = Field(description="How many of them have no tags any more.")
    arns: tuple[UserArn, ...] = Field(description="Their ARNs, in order.")


@evidence("account:GetAlternateContact", "account:GetContactInformation")
def contacts(account: Account) -> Iterator[Contacts]:
    """Whether the account has a primary contact, and contacts for security, billing and operations."""
    yield Contacts(
        account=account.account,
        primary_contact_set=_is_set(account, "account:GetContactInformation"),
        security_contact_set=_is_set(account, "account:GetAlternateContact", AlternateContactType="SECURITY"),
        billing_contact_set=_is_set(account, "account:GetAlternateContact", AlternateContactType="BILLING"),
        operations_contact_set=_is_set(account, "account:GetAlternateContact", AlternateContactType="OPERATIONS"),
    )


@evidence("tag:GetResources")
def resources(region: Region) -> Iterator[Resources]:
    """The resources of each type, by their ARNs: what samples can be drawn from.

    They come from the tagging API, which knows resources that have tags or once had; those never tagged are not seen.
    """
    found: dict[str, list[str]] = {}
    untagged: Counter[str] = Counter()
    operation = "resourcegroupstaggingapi:GetResources"
    for resource in region.pages(operation, "ResourceTagMappingList", ResourcesPerPage=PAGE):
        arn = str(resource["ResourceARN"])
        found.setdefault(_type(arn), []).append(arn)
        untagged[_type(arn)] += not resource.get("Tags")
    for kind, arns in sorted(found.items()):
        yield Resources(
            account=region.account,
            region=region.region,
            type=kind,
            count=len(arns),
            untagged_count=untagged[kind],
            arns=tuple(sorted(arns)),
        )


def _is_set(account: Account, operation: str, **asked: str) -> bool:
    return account.find(("ResourceNotFoundException",), operation, **asked) is not None


def _type(arn: str) -> str:
    """`ec2:instance` of `arn:aws:ec2:eu-central-1:123456789012:instance/i-0123`; `s3` of `arn:aws:s3:::bucket`."""
    _arn, _partition, service, _region, _account, resource = arn.split(":", 5)
    kind, separator, _name = resource.lstrip("/").replace(":", "/").partition("/")
    return f"{service}:{kind}" if separator else service
