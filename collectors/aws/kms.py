"""AWS Key Management Service: keys, their rotation, and whom they admit."""

from collections.abc import Iterator
from functools import partial

from pydantic import Field

from collectors.aws.moment import Instant
from collectors.aws.policies import open_statements
from collectors.aws.targets import Answer, Region
from collectors.contract import Gap, Record, evidence

PAGE = 1000
ROTATABLE_ORIGINS = frozenset({"AWS_KMS", "EXTERNAL"})


class KeyRotation(Record):
    """One KMS key: who manages it, whether its material is renewed, and whether its policy admits everyone."""

    key: str = Field(description="The key's id.")
    arn: str = Field(description="The key's ARN.")
    account: str = Field(description="The account that owns the key.")
    region: str = Field(description="The region that the key is in.")
    manager: str = Field(description="`CUSTOMER`, or `AWS` for keys that AWS services made for themselves.")
    state: str = Field(description="`Enabled`, `Disabled`, `PendingDeletion` or another state.")
    spec: str = Field(description="The kind of key, as in `SYMMETRIC_DEFAULT` or `RSA_4096`.")
    origin: str = Field(description="Where the key's material comes from, as in `AWS_KMS` or `EXTERNAL`.")
    created_at: Instant = Field(description="When the key was made.")
    rotation: bool | None = Field(
        description="Whether the material is renewed by itself; null where this kind of key cannot be."
    )
    period: int | None = Field(description="Days from one rotation to the next; null where there is none.")
    pending_deletion: Instant | None = Field(description="When the key will be deleted; null where it will not.")
    public: bool = Field(
        description="Whether the key policy allows every principal, or all but some, something without condition."
    )
    public_on_condition: bool = Field(
        description="Whether the key policy allows every principal something under conditions, not judged here."
    )


@evidence("kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListKeys")
def key_rotation(region: Region) -> Iterator[KeyRotation | Gap]:
    """Every KMS key's rotation, state and openness."""
    keys = region.pages("kms:ListKeys", "Keys", Limit=PAGE)
    yield from region.each(keys, partial(_key, region), resource=lambda key: str(key["KeyArn"]))


def _key(region: Region, listed: Answer) -> KeyRotation:
    key_id = listed["KeyId"]
    key = region.read("kms:DescribeKey", KeyId=key_id)["KeyMetadata"]
    rotation = _rotation(region, key) or {}
    policy = region.read("kms:GetKeyPolicy", KeyId=key_id, PolicyName="default")["Policy"]
    conditions = [bool(statement.get("Condition")) for statement in open_statements(policy, "kms:GetKeyPolicy")]
    return KeyRotation(
        key=key_id,
        arn=key["Arn"],
        account=key["AWSAccountId"],
        region=region.region,
        manager=key["KeyManager"],
        state=key["KeyState"],
        spec=key["KeySpec"],
        origin=key["Origin"],
        created_at=key["CreationDate"],
        rotation=rotation.get("KeyRotationEnabled"),
        period=rotation.get("RotationPeriodInDays"),
        pending_deletion=key.get("DeletionDate"),
        public=not all(conditions),
        public_on_condition=any(conditions),
    )


def _rotation(region: Region, key: Answer) -> Answer | None:
    """The rotation's state, or None for asymmetric, HMAC and key store keys, which AWS does not rotate."""
    if key["KeySpec"] != "SYMMETRIC_DEFAULT" or key["Origin"] not in ROTATABLE_ORIGINS:
        return None
    return region.find(("UnsupportedOperationException",), "kms:GetKeyRotationStatus", KeyId=key["KeyId"])
