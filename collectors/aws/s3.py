"""Amazon S3: buckets, each read in its own region."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from pydantic import Field

from collectors.aws.targets import Account, Answer
from collectors.contract import Gap, Record, evidence

PAGE = 1000  # AWS tells each bucket's region only where a page size is asked for
LISTED = ("s3:ListAllMyBuckets", "s3:GetBucketLocation")
FIRST_REGION, FIRST_EUROPEAN_REGION = "us-east-1", "eu-west-1"  # older than regions' names in S3


class BucketEncryption(Record):
    """How one bucket encrypts what is put into it, and whether the bucket itself keeps the public out."""

    bucket: str = Field(description="The bucket's name.")
    arn: str = Field(description="The bucket's ARN.")
    account: str = Field(description="The account that owns the bucket.")
    region: str = Field(description="The region that the bucket is in.")
    encryption: str | None = Field(
        description="The default encryption: `AES256`, `aws:kms` or `aws:kms:dsse`; null where none is set."
    )
    kms_key_arn: str | None = Field(
        description="The KMS key, as the bucket names it; null where none is named, so that AWS's own key is used."
    )
    bucket_key: bool | None = Field(
        description="Whether a bucket key stands in for calls to KMS; null without default encryption."
    )
    public_access_blocked: bool = Field(
        description="Whether all four settings of the bucket's own public access block are on."
    )


class PublicAccessBlock(Record):
    """The four settings that keep the public out."""

    block_public_acls: bool = Field(description="New public ACLs are refused.")
    ignore_public_acls: bool = Field(description="Public ACLs have no effect.")
    block_public_policy: bool = Field(description="New public bucket policies are refused.")
    restrict_public_buckets: bool = Field(description="A public policy gives access to AWS services and owners only.")

    @property
    def whole(self) -> bool:
        return (
            self.block_public_acls
            and self.ignore_public_acls
            and self.block_public_policy
            and self.restrict_public_buckets
        )


class AclGrant(Record):
    """One grant of an access control list."""

    grantee_type: str = Field(description="`CanonicalUser`, `Group` or `AmazonCustomerByEmail`.")
    grantee: str | None = Field(description="The group's URI, or the canonical id of an account.")
    permission: str = Field(description="`FULL_CONTROL`, `READ`, `WRITE`, `READ_ACP` or `WRITE_ACP`.")


class BucketPublicAccess(Record):
    """What lets the public into one bucket, and what keeps it out."""

    bucket: str = Field(description="The bucket's name.")
    arn: str = Field(description="The bucket's ARN.")
    account: str = Field(description="The account that owns the bucket.")
    region: str = Field(description="The region that the bucket is in.")
    bucket_block: PublicAccessBlock | None = Field(
        description="The bucket's own public access block; null where none is set."
    )
    account_block: PublicAccessBlock | None = Field(
        description="The account's public access block, which holds for all its buckets; null where none is set."
    )
    is_public: bool | None = Field(
        description="Whether AWS finds the bucket policy public; null where there is no bucket policy."
    )
    acl_grants: tuple[AclGrant, ...] = Field(description="The grants of the bucket's access control list.")


@evidence(*LISTED, "s3:GetEncryptionConfiguration", "s3:GetBucketPublicAccessBlock")
def bucket_encryption(account: Account) -> Iterator[BucketEncryption | Gap]:
    """The default encryption of every bucket, and whether the bucket blocks public access."""
    yield from account.each(_buckets(account), partial(_encryption, account), resource=_name)


@evidence(
    *LISTED,
    "s3:GetAccountPublicAccessBlock",
    "s3:GetBucketAcl",
    "s3:GetBucketPolicyStatus",
    "s3:GetBucketPublicAccessBlock",
)
def bucket_public_access(account: Account) -> Iterator[BucketPublicAccess | Gap]:
    """What decides whether the public can enter a bucket: both public access blocks, its policy and its ACL."""
    block = _block(account, "s3control:GetPublicAccessBlock", AccountId=account.account)
    yield from account.each(_buckets(account), partial(_public_access, account, block), resource=_name)


def _encryption(account: Account, bucket: Answer) -> BucketEncryption:
    place = _place(account, bucket)
    asked = {"Bucket": place["bucket"], "region": place["region"]}
    answer = account.find(("ServerSideEncryptionConfigurationNotFoundError",), "s3:GetBucketEncryption", **asked)
    rule = answer["ServerSideEncryptionConfiguration"]["Rules"][0] if answer else {}
    default = rule.get("ApplyServerSideEncryptionByDefault") or {}
    block = _block(account, "s3:GetPublicAccessBlock", **asked)
    return BucketEncryption(
        **place,
        encryption=default.get("SSEAlgorithm"),
        kms_key_arn=default.get("KMSMasterKeyID"),
        bucket_key=rule.get("BucketKeyEnabled", False) if default else None,
        public_access_blocked=block is not None and block.whole,
    )


def _public_access(account: Account, account_block: PublicAccessBlock | None, bucket: Answer) -> BucketPublicAccess:
    place = _place(account, bucket)
    asked = {"Bucket": place["bucket"], "region": place["region"]}
    status = account.find(("NoSuchBucketPolicy",), "s3:GetBucketPolicyStatus", **asked)
    return BucketPublicAccess(
        **place,
        bucket_block=_block(account, "s3:GetPublicAccessBlock", **asked),
        account_block=account_block,
        is_public=status["PolicyStatus"]["IsPublic"] if status else None,
        acl_grants=tuple(_grant(grant) for grant in account.read("s3:GetBucketAcl", **asked).get("Grants", ())),
    )


def _buckets(account: Account) -> Iterator[Answer]:
    return account.pages("s3:ListBuckets", "Buckets", MaxBuckets=PAGE)


def _name(bucket: Answer) -> str:
    return str(bucket["Name"])


def _place(account: Account, bucket: Answer) -> dict[str, str]:
    name = _name(bucket)
    region = bucket.get("BucketRegion") or _location(account, name)
    arn = f"arn:{account.partition}:s3:::{name}"
    return {"bucket": name, "arn": arn, "account": account.account, "region": region}


def _location(account: Account, name: str) -> str:
    """The region of a bucket that the listing tells none of, as where an S3 other than AWS's own answers."""
    location = account.read("s3:GetBucketLocation", Bucket=name).get("LocationConstraint")
    return FIRST_EUROPEAN_REGION if location == "EU" else location or FIRST_REGION


def _block(account: Account, operation: str, **asked: Any) -> PublicAccessBlock | None:
    answer = account.find(("NoSuchPublicAccessBlockConfiguration",), operation, **asked)
    if answer is None:
        return None
    settings = answer["PublicAccessBlockConfiguration"]
    return PublicAccessBlock(
        block_public_acls=settings.get("BlockPublicAcls", False),
        ignore_public_acls=settings.get("IgnorePublicAcls", False),
        block_public_policy=settings.get("BlockPublicPolicy", False),
        restrict_public_buckets=settings.get("RestrictPublicBuckets", False),
    )


def _grant(grant: Answer) -> AclGrant:
    grantee = grant["Grantee"]
    return AclGrant(
        grantee_type=grantee["Type"],
        grantee=grantee.get("URI") or grantee.get("ID"),
        permission=grant["Permission"],
    )
