"""Amazon EC2: how instances guard their metadata, which holds the credentials of their roles."""

from collections.abc import Iterator
from functools import partial
from typing import Literal

from pydantic import Field

from collectors.aws.targets import Answer, Region, tags
from collectors.contract import Gap, Record, evidence

PAGE = 1000


class InstanceMetadata(Record):
    """How one instance, or a region's new instances by default, answer for metadata."""

    kind: Literal["defaults", "instance"] = Field(
        description="An instance, or what the account asks of a region's new instances that say nothing of their own."
    )
    instance: str | None = Field(description="The instance's id; null for the defaults.")
    arn: str | None = Field(description="The instance's ARN; null for the defaults.")
    account: str = Field(description="The account.")
    region: str = Field(description="The region.")
    tags: dict[str, str] = Field(description="The instance's tags; none for the defaults.")
    state: str | None = Field(description="The instance's state, as in `running` or `stopped`; null for the defaults.")
    image: str | None = Field(description="The id of the image that it was started from; null for the defaults.")
    instance_profile: str | None = Field(
        description="The ARN of the profile whose role the instance has; null where it has none, and for the defaults."
    )
    vpc: str | None = Field(description="The VPC's id; null for the defaults, and where AWS names none.")
    public_ip: str | None = Field(
        description="The public IPv4 address; null where the instance has none, and for the defaults."
    )
    http_endpoint: str | None = Field(
        description="Whether metadata is served: `enabled` or `disabled`; null where nothing is set."
    )
    http_tokens: str | None = Field(
        description="`required` where only IMDSv2 is served, `optional` where IMDSv1 is too; null where nothing is set."
    )
    hop_limit: int | None = Field(
        description="How many hops the answer to a request for a token may travel; null where nothing is set."
    )
    http_tokens_enforced: bool | None = Field(
        description="Whether an instance that does not require IMDSv2 is refused at its start, for the defaults; null "
        "for an instance, and where nothing is set."
    )
    managed_by: str | None = Field(
        description="Who decides the defaults: `account` or `declarative-policy`; null for an instance, and where AWS "
        "does not say."
    )


@evidence("ec2:DescribeInstances", "ec2:GetInstanceMetadataDefaults")
def instance_metadata(region: Region) -> Iterator[InstanceMetadata | Gap]:
    """Whether instances serve metadata without a token (IMDSv1), and the account's defaults for new ones.

    Terminated instances, which AWS lists for an hour more, are passed over.
    """
    yield from region.each(("defaults",), partial(_defaults, region), resource=str, may_go=False)
    reservations = region.pages("ec2:DescribeInstances", "Reservations", MaxResults=PAGE)
    instances = (instance for reservation in reservations for instance in reservation.get("Instances") or ())
    yield from region.each(instances, partial(_instance, region), resource=partial(_arn, region))


def _defaults(region: Region, _kind: str) -> InstanceMetadata:
    defaults = region.read("ec2:GetInstanceMetadataDefaults").get("AccountLevel") or {}
    enforced = defaults.get("HttpTokensEnforced")
    return InstanceMetadata(
        kind="defaults",
        instance=None,
        arn=None,
        account=region.account,
        region=region.region,
        tags={},
        state=None,
        image=None,
        instance_profile=None,
        vpc=None,
        public_ip=None,
        http_endpoint=defaults.get("HttpEndpoint"),
        http_tokens=defaults.get("HttpTokens"),
        hop_limit=defaults.get("HttpPutResponseHopLimit"),
        http_tokens_enforced=enforced == "enabled" if enforced else None,
        managed_by=defaults.get("ManagedBy"),
    )


def _instance(region: Region, instance: Answer) -> InstanceMetadata | None:
    state = instance["State"]["Name"]
    if state == "terminated":
        return None
    options = instance.get("MetadataOptions") or {}
    return InstanceMetadata(
        kind="instance",
        instance=instance["InstanceId"],
        arn=_arn(region, instance),
        account=region.account,
        region=region.region,
        tags=tags(instance.get("Tags")),
        state=state,
        image=instance.get("ImageId"),
        instance_profile=(instance.get("IamInstanceProfile") or {}).get("Arn"),
        vpc=instance.get("VpcId"),
        public_ip=instance.get("PublicIpAddress") or None,
        http_endpoint=options.get("HttpEndpoint"),
        http_tokens=options.get("HttpTokens"),
        hop_limit=options.get("HttpPutResponseHopLimit"),
        http_tokens_enforced=None,
        managed_by=None,
    )


def _arn(region: Region, instance: Answer) -> str:
    return region.arn("ec2", f"instance/{instance['InstanceId']}")
