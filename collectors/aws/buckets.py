"""S3's list of buckets, which several evidence types look at, each bucket in its own region."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from pydantic import Field

from collectors.aws.targets import Account, Answer
from collectors.contract import Gap, Record

PAGE = 1000  # AWS tells each bucket's region only where a page size is asked for
LISTED = ("s3:ListAllMyBuckets", "s3:GetBucketLocation")
FIRST_REGION, FIRST_EUROPEAN_REGION = "us-east-1", "eu-west-1"  # older than regions' names in S3

R = TypeVar("R")


class Bucket(Record):
    """Which bucket it is, and where."""

    bucket: str = Field(description="The bucket's name.")
    arn: str = Field(description="The bucket's ARN.")
    account: str = Field(description="The account that owns the bucket.")
    region: str = Field(description="The region that the bucket is in.")


def each_bucket(account: Account, look: Callable[[Answer], R | None]) -> Iterator[R | Gap]:
    """`look` at every bucket as it is listed, as `Target.each` does."""
    buckets = account.pages("s3:ListBuckets", "Buckets", MaxBuckets=PAGE)
    yield from account.each(buckets, look, resource=_name)


def place(account: Account, bucket: Answer) -> tuple[dict[str, str], Answer]:
    """What a record tells of a bucket's place, and what a read of it is asked with. Raises CollectionError."""
    name = _name(bucket)
    region = bucket.get("BucketRegion") or _location(account, name)
    arn = f"arn:{account.partition}:s3:::{name}"
    where = {"bucket": name, "arn": arn, "account": account.account, "region": region}
    return where, {"Bucket": name, "region": region}


def _name(bucket: Answer) -> str:
    return str(bucket["Name"])


def _location(account: Account, name: str) -> str:
    """The region of a bucket that the listing tells none of, as where an S3 other than AWS's own answers."""
    location = account.read("s3:GetBucketLocation", Bucket=name).get("LocationConstraint")
    return FIRST_EUROPEAN_REGION if location == "EU" else location or FIRST_REGION
