"""AWS Secrets Manager: which secrets there are, and whether they are renewed. Their values are never read."""

from collections.abc import Iterator
from datetime import datetime

from pydantic import Field

from collectors.aws.moment import Instant
from collectors.aws.targets import Answer, Region, tags
from collectors.contract import Record, evidence

PAGE = 100


class SecretRotation(Record):
    """One secret, without its value: how it is renewed, and when it was used."""

    name: str = Field(description="The secret's name.")
    arn: str = Field(description="The secret's ARN.")
    account: str = Field(description="The account.")
    region: str = Field(description="The region.")
    tags: dict[str, str] = Field(description="The secret's tags.")
    kms_key: str | None = Field(description="The KMS key that it is encrypted with; null where AWS's own key is used.")
    owning_service: str | None = Field(description="The AWS service that manages it; null where none does.")
    primary_region: str | None = Field(
        description="The region that it is copied from and to others; null where it is in one region only."
    )
    rotation: bool = Field(description="Whether it is renewed by itself.")
    rotation_days: int | None = Field(
        description="The days from one renewal to the next; null where a schedule, or nothing, says so."
    )
    rotation_schedule: str | None = Field(
        description="The schedule of renewals, as in `rate(10 days)`; null where there is none."
    )
    created_at: Instant | None = Field(description="When it was made; null where AWS does not say.")
    last_rotated: Instant | None = Field(description="When it was renewed by itself last; null where it never was.")
    next_rotation: Instant | None = Field(description="When it is to be renewed next; null where it is not.")
    last_changed: Instant | None = Field(description="When it was changed last in any way; null where it never was.")
    days_unchanged: int | None = Field(
        description="The days since it was changed last, or made; null where AWS says neither."
    )
    last_accessed: Instant | None = Field(
        description="The day on which its value was read last; null where it never was."
    )
    pending_deletion: Instant | None = Field(
        description="When its deletion was asked for, which takes days to happen; null where it was not."
    )


@evidence("secretsmanager:ListSecrets")
def rotation(region: Region) -> Iterator[SecretRotation]:
    """Every secret's rotation and last use, also of those that wait to be deleted; never its value."""
    for secret in region.pages(
        "secretsmanager:ListSecrets", "SecretList", IncludePlannedDeletion=True, MaxResults=PAGE
    ):
        yield _secret(region, secret)


def _secret(region: Region, secret: Answer) -> SecretRotation:
    rules = secret.get("RotationRules", {})
    changed: datetime | None = secret.get("LastChangedDate") or secret.get("CreatedDate")
    return SecretRotation(
        name=secret["Name"],
        arn=secret["ARN"],
        account=region.account,
        region=region.region,
        tags=tags(secret.get("Tags")),
        kms_key=secret.get("KmsKeyId"),
        owning_service=secret.get("OwningService"),
        primary_region=secret.get("PrimaryRegion"),
        rotation=secret.get("RotationEnabled", False),
        rotation_days=rules.get("AutomaticallyAfterDays"),
        rotation_schedule=rules.get("ScheduleExpression"),
        created_at=secret.get("CreatedDate"),
        last_rotated=secret.get("LastRotatedDate"),
        next_rotation=secret.get("NextRotationDate"),
        last_changed=secret.get("LastChangedDate"),
        days_unchanged=(region.run.started - changed).days if changed else None,
        last_accessed=secret.get("LastAccessedDate"),
        pending_deletion=secret.get("DeletedDate"),
    )
