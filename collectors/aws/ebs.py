"""Amazon EBS: whether volumes and snapshots are encrypted, and which snapshots are public."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

from pydantic import Field

from collectors.aws.listings import Listing, look_at
from collectors.aws.targets import Answer, Region, tags
from collectors.contract import Gap, Record, evidence

VOLUMES = Listing("volume", "ec2:DescribeVolumes", "Volumes", "VolumeId", {"MaxResults": 500})
SNAPSHOTS = Listing(
    "snapshot", "ec2:DescribeSnapshots", "Snapshots", "SnapshotId", {"OwnerIds": ["self"], "MaxResults": 1000}
)
PUBLIC = Listing(
    SNAPSHOTS.kind, SNAPSHOTS.operation, SNAPSHOTS.key, SNAPSHOTS.arn,
    {**SNAPSHOTS.parameters, "RestorableByUserIds": ["all"]},
)  # fmt: skip


class Defaults(Record):
    """What holds for all of a region."""

    default_on: bool = Field(description="Whether new volumes and copies of snapshots are always encrypted.")
    snapshot_public_access: str = Field(
        description="`block-all-sharing`, `block-new-sharing` or `unblocked`: whether snapshots can be public."
    )
    snapshot_public_access_managed_by: str | None = Field(
        description="Who decides that: `account` or `declarative-policy`; null where AWS does not say."
    )


class Volume(Record):
    """The encryption of a volume."""

    encrypted: bool = Field(description="Whether it is encrypted.")
    kms: str | None = Field(description="The KMS key's ARN; null where none is named.")
    state: str = Field(description="Its state, as in `available` or `in-use`.")
    instances: tuple[str, ...] = Field(description="The ids of the instances that it is attached to.")


class Snapshot(Record):
    """The encryption of a snapshot, and whether it is public."""

    encrypted: bool = Field(description="Whether it is encrypted.")
    kms: str | None = Field(description="The KMS key's ARN; null where none is named.")
    state: str = Field(description="Its state, as in `completed`.")
    volume: str | None = Field(description="The id of the volume that it was taken of; null where AWS names none.")
    public: bool = Field(
        description="Whether it is shared with every account, which has no effect under `block-all-sharing`."
    )


class Encryption(Record):
    """The defaults of one region, one volume, or one snapshot that the account owns."""

    kind: Literal["defaults", "volume", "snapshot"] = Field(description="Which of the three it is.")
    id: str | None = Field(description="Its id; null for a region's defaults.")
    arn: str | None = Field(description="Its ARN, in which snapshots name no account; null for a region's defaults.")
    account: str = Field(description="The account.")
    region: str = Field(description="The region.")
    tags: dict[str, str] = Field(description="Its tags; none for a region's defaults.")
    defaults: Defaults | None = Field(description="What holds for all of the region; null for the other kinds.")
    volume: Volume | None = Field(description="The volume's encryption; null for the other kinds.")
    snapshot: Snapshot | None = Field(description="The snapshot's encryption; null for the other kinds.")


@evidence(
    "ec2:DescribeSnapshots",
    "ec2:DescribeVolumes",
    "ec2:GetEbsEncryptionByDefault",
    "ec2:GetSnapshotBlockPublicAccessState",
)
def encryption(region: Region) -> Iterator[Encryption | Gap]:
    """Whether a region encrypts by default and lets snapshots be public; every volume's and snapshot's encryption."""
    yield from region.each(("defaults",), partial(_defaults, region), resource=str, may_go=False)
    yield from look_at(region, (VOLUMES,), _volume)
    public = frozenset(PUBLIC.name(snapshot) for snapshot in PUBLIC.of(region))
    yield from look_at(region, (SNAPSHOTS,), partial(_snapshot, public))


def _defaults(region: Region, kind: str) -> Encryption:
    sharing = region.read("ec2:GetSnapshotBlockPublicAccessState")
    defaults = Defaults(
        default_on=region.read("ec2:GetEbsEncryptionByDefault")["EbsEncryptionByDefault"],
        snapshot_public_access=sharing["State"],
        snapshot_public_access_managed_by=sharing.get("ManagedBy"),
    )
    return _encryption(region, kind, id=None, arn=None, tags={}, defaults=defaults)


def _volume(region: Region, listing: Listing, listed: Answer) -> Encryption:
    volume = Volume(
        encrypted=listed["Encrypted"],
        kms=listed.get("KmsKeyId"),
        state=listed["State"],
        instances=tuple(each["InstanceId"] for each in listed.get("Attachments") or () if each.get("InstanceId")),
    )
    return _encryption(region, listing.kind, **_place(region, region.account, listing, listed), volume=volume)


def _snapshot(public: frozenset[str], region: Region, listing: Listing, listed: Answer) -> Encryption:
    snapshot = Snapshot(
        encrypted=listed["Encrypted"],
        kms=listed.get("KmsKeyId"),
        state=listed["State"],
        volume=listed.get("VolumeId"),
        public=listing.name(listed) in public,
    )
    return _encryption(region, listing.kind, **_place(region, "", listing, listed), snapshot=snapshot)


def _encryption(region: Region, kind: str, **rest: Any) -> Encryption:
    others = dict.fromkeys(("defaults", "volume", "snapshot"))
    return Encryption.model_validate(
        {"kind": kind, "account": region.account, "region": region.region, **others, **rest}
    )


def _place(region: Region, owner: str, listing: Listing, listed: Answer) -> dict[str, Any]:
    """What names a resource; `owner` is as its ARN has it."""
    name = listing.name(listed)
    return {
        "id": name,
        "arn": region.arn("ec2", f"{listing.kind}/{name}", owner=owner),
        "tags": tags(listed.get("Tags")),
    }
