"""Amazon S3: buckets, each read in its own region."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from pydantic import Field

from collectors.aws.bucket_rules import LifecycleRule, ReplicationRule, lifecycle_rules, replication_rules
from collectors.aws.buckets import LISTED, Bucket, each_bucket, place
from collectors.aws.targets import Account, Answer
from collectors.aws.transport import least_tls_version, mentions_plain_http, refuses_plain_http
from collectors.contract import Gap, Record, evidence


class BucketEncryption(Bucket):
    """How one bucket encrypts what is put into it, and whether the bucket itself keeps the public out."""

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


class BucketPublicAccess(Bucket):
    """What lets the public into one bucket, and what keeps it out."""

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


class BucketLoggingVersioning(Bucket):
    """Where one bucket's accesses are logged, and how its objects are kept, copied and deleted."""

    log_bucket: str | None = Field(description="The bucket that access logs go to; null where there are none.")
    log_prefix: str | None = Field(description="What the logs' names begin with; null where there are none.")
    versioning: str | None = Field(description="`Enabled` or `Suspended`; null where it was never switched on.")
    mfa_delete: bool | None = Field(
        description="Whether deleting a version takes a second factor; null where that was never set."
    )
    lifecycle_rules: tuple[LifecycleRule, ...] = Field(description="The rules by which objects expire, or move.")
    object_lock: bool = Field(description="Whether objects can be locked against deletion.")
    object_lock_mode: str | None = Field(
        description="How new objects are locked: `GOVERNANCE` or `COMPLIANCE`; null where they are not by default."
    )
    object_lock_days: int | None = Field(description="Days that they are locked for; null where it is not in days.")
    object_lock_years: int | None = Field(description="Years that they are locked for; null where it is not in years.")
    replication_rules: tuple[ReplicationRule, ...] = Field(description="The rules by which objects are copied.")


class BucketTls(Bucket):
    """What one bucket's policy says of requests without TLS."""

    has_policy: bool = Field(description="Whether there is a bucket policy.")
    deny_insecure_transport: bool = Field(
        description="Whether the policy denies everyone every action without TLS, on the bucket and all its objects."
    )
    deny_insecure_transport_in_part: bool = Field(
        description="Whether it does so for some only: principals, actions or objects, or under further conditions."
    )
    minimum_tls_version: str | None = Field(
        description="The version of TLS below which it denies everyone every action; null where it names none."
    )


@evidence(*LISTED, "s3:GetEncryptionConfiguration", "s3:GetBucketPublicAccessBlock")
def bucket_encryption(account: Account) -> Iterator[BucketEncryption | Gap]:
    """The default encryption of every bucket, and whether the bucket blocks public access."""
    yield from each_bucket(account, partial(_encryption, account))


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
    yield from each_bucket(account, partial(_public_access, account, block))


@evidence(
    *LISTED,
    "s3:GetBucketLogging",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketVersioning",
    "s3:GetLifecycleConfiguration",
    "s3:GetReplicationConfiguration",
)
def bucket_logging_versioning(account: Account) -> Iterator[BucketLoggingVersioning | Gap]:
    """Every bucket's access logging, versioning, lifecycle, object lock and replication."""
    yield from each_bucket(account, partial(_logging_versioning, account))


@evidence(*LISTED, "s3:GetBucketPolicy")
def bucket_tls_only(account: Account) -> Iterator[BucketTls | Gap]:
    """Whether every bucket's policy refuses requests without TLS."""
    yield from each_bucket(account, partial(_tls, account))


def _encryption(account: Account, bucket: Answer) -> BucketEncryption:
    where, asked = place(account, bucket)
    answer = account.find(("ServerSideEncryptionConfigurationNotFoundError",), "s3:GetBucketEncryption", **asked)
    rule = answer["ServerSideEncryptionConfiguration"]["Rules"][0] if answer else {}
    default = rule.get("ApplyServerSideEncryptionByDefault") or {}
    block = _block(account, "s3:GetPublicAccessBlock", **asked)
    return BucketEncryption(
        **where,
        encryption=default.get("SSEAlgorithm"),
        kms_key_arn=default.get("KMSMasterKeyID"),
        bucket_key=rule.get("BucketKeyEnabled", False) if default else None,
        public_access_blocked=block is not None and block.whole,
    )


def _public_access(account: Account, account_block: PublicAccessBlock | None, bucket: Answer) -> BucketPublicAccess:
    where, asked = place(account, bucket)
    status = account.find(("NoSuchBucketPolicy",), "s3:GetBucketPolicyStatus", **asked)
    return BucketPublicAccess(
        **where,
        bucket_block=_block(account, "s3:GetPublicAccessBlock", **asked),
        account_block=account_block,
        is_public=status["PolicyStatus"]["IsPublic"] if status else None,
        acl_grants=tuple(_grant(grant) for grant in account.read("s3:GetBucketAcl", **asked).get("Grants", ())),
    )


def _logging_versioning(account: Account, bucket: Answer) -> BucketLoggingVersioning:
    where, asked = place(account, bucket)
    log = account.read("s3:GetBucketLogging", **asked).get("LoggingEnabled") or {}
    versioning = account.read("s3:GetBucketVersioning", **asked)
    lock = account.find(("ObjectLockConfigurationNotFoundError",), "s3:GetObjectLockConfiguration", **asked)
    locked = lock["ObjectLockConfiguration"] if lock else {}
    retention = locked.get("Rule", {}).get("DefaultRetention") or {}
    return BucketLoggingVersioning(
        **where,
        log_bucket=log.get("TargetBucket"),
        log_prefix=log.get("TargetPrefix"),
        versioning=versioning.get("Status"),
        mfa_delete=versioning["MFADelete"] == "Enabled" if "MFADelete" in versioning else None,
        lifecycle_rules=tuple(lifecycle_rules(account, asked)),
        object_lock=locked.get("ObjectLockEnabled") == "Enabled",
        object_lock_mode=retention.get("Mode"),
        object_lock_days=retention.get("Days"),
        object_lock_years=retention.get("Years"),
        replication_rules=tuple(replication_rules(account, asked)),
    )


def _tls(account: Account, bucket: Answer) -> BucketTls:
    where, asked = place(account, bucket)
    answer = account.find(("NoSuchBucketPolicy",), "s3:GetBucketPolicy", **asked)
    policy = answer["Policy"] if answer else None
    refuses = policy is not None and refuses_plain_http(policy, where["arn"])
    return BucketTls(
        **where,
        has_policy=policy is not None,
        deny_insecure_transport=refuses,
        deny_insecure_transport_in_part=policy is not None and not refuses and mentions_plain_http(policy),
        minimum_tls_version=None if policy is None else least_tls_version(policy, where["arn"]),
    )


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
