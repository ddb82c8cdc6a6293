"""The rules of a bucket: by which its objects expire, and by which they are copied elsewhere."""

from collections.abc import Iterator, Mapping

from pydantic import Field

from collectors.aws.moment import Instant
from collectors.aws.targets import Account, Answer
from collectors.contract import Record


class LifecycleRule(Record):
    """One rule by which objects expire."""

    name: str | None = Field(description="The rule's id; null where it has none.")
    enabled: bool = Field(description="Whether the rule holds.")
    whole_bucket: bool = Field(description="Whether it is for every object, with no filter by name, tag or size.")
    expiration_days: int | None = Field(description="Days after which objects expire; null where no days are set.")
    expiration_date: Instant | None = Field(description="When objects expire; null where no date is set.")
    noncurrent_days: int | None = Field(
        description="Days after which earlier versions are deleted; null where they are not."
    )


class ReplicationRule(Record):
    """One rule by which objects are copied to another bucket."""

    enabled: bool = Field(description="Whether the rule holds.")
    whole_bucket: bool = Field(description="Whether it is for every object, with no filter by name or tag.")
    destination: str = Field(description="The other bucket's ARN.")


def lifecycle_rules(account: Account, asked: Mapping[str, str]) -> Iterator[LifecycleRule]:
    """The rules by which a bucket's objects expire; none where none is set. Raises CollectionError."""
    answer = account.find(("NoSuchLifecycleConfiguration",), "s3:GetBucketLifecycleConfiguration", **asked)
    for rule in answer["Rules"] if answer else ():
        yield _lifecycle(rule)


def replication_rules(account: Account, asked: Mapping[str, str]) -> Iterator[ReplicationRule]:
    """The rules by which a bucket's objects are copied; none where none is set. Raises CollectionError."""
    answer = account.find(("ReplicationConfigurationNotFoundError",), "s3:GetBucketReplication", **asked)
    for rule in answer["ReplicationConfiguration"]["Rules"] if answer else ():
        yield _replication(rule)


def _lifecycle(rule: Answer) -> LifecycleRule:
    expiration = rule.get("Expiration") or {}
    return LifecycleRule(
        name=rule.get("ID"),
        enabled=rule["Status"] == "Enabled",
        whole_bucket=_is_unfiltered(rule),
        expiration_days=expiration.get("Days"),
        expiration_date=expiration.get("Date"),
        noncurrent_days=(rule.get("NoncurrentVersionExpiration") or {}).get("NoncurrentDays"),
    )


def _replication(rule: Answer) -> ReplicationRule:
    return ReplicationRule(
        enabled=rule["Status"] == "Enabled",
        whole_bucket=_is_unfiltered(rule),
        destination=rule["Destination"]["Bucket"],
    )


def _is_unfiltered(rule: Answer) -> bool:
    """Whether a rule has no filter, in either place where S3 has one. An empty prefix filters nothing."""
    return not rule.get("Prefix") and not any((rule.get("Filter") or {}).values())
