"""Amazon Elastic File System: file systems, their encryption and their backups."""

from collections.abc import Iterator
from functools import partial

from pydantic import Field

from collectors.aws.moment import Instant
from collectors.aws.targets import Answer, Region, tags
from collectors.contract import Gap, Record, evidence

PAGE = 100


class FileSystem(Record):
    """One file system: whether it is encrypted at rest and backed up by itself."""

    file_system: str = Field(description="The file system's id.")
    name: str | None = Field(description="Its name; null where it has none.")
    arn: str = Field(description="The file system's ARN.")
    account: str = Field(description="The account that owns the file system.")
    region: str = Field(description="The region that the file system is in.")
    tags: dict[str, str] = Field(description="The file system's tags.")
    state: str = Field(description="`available`, `creating`, `updating`, `deleting` or another state.")
    created_at: Instant = Field(description="When it was made.")
    encrypted: bool = Field(description="Whether it is encrypted at rest.")
    kms: str | None = Field(description="The KMS key's ARN; null where it is not encrypted.")
    backup: str | None = Field(
        description="Automatic backups: `ENABLED`, `ENABLING`, `DISABLED` or `DISABLING`; null where never set."
    )
    availability_zone: str | None = Field(
        description="The only zone that it is kept in; null where it is kept in several."
    )
    mount_targets: int = Field(description="The number of its mount targets.")


@evidence("elasticfilesystem:DescribeBackupPolicy", "elasticfilesystem:DescribeFileSystems")
def file_systems(region: Region) -> Iterator[FileSystem | Gap]:
    """Every file system's encryption at rest and automatic backups."""
    found = region.pages("efs:DescribeFileSystems", "FileSystems", MaxItems=PAGE)
    yield from region.each(found, partial(_file_system, region), resource=lambda system: str(system["FileSystemArn"]))


def _file_system(region: Region, system: Answer) -> FileSystem:
    policy = region.find(("PolicyNotFound",), "efs:DescribeBackupPolicy", FileSystemId=system["FileSystemId"])
    return FileSystem(
        file_system=system["FileSystemId"],
        name=system.get("Name") or None,
        arn=system["FileSystemArn"],
        account=system["OwnerId"],
        region=region.region,
        tags=tags(system.get("Tags")),
        state=system["LifeCycleState"],
        created_at=system["CreationTime"],
        encrypted=system.get("Encrypted", False),
        kms=system.get("KmsKeyId"),
        backup=policy["BackupPolicy"]["Status"] if policy else None,
        availability_zone=system.get("AvailabilityZoneName"),
        mount_targets=system["NumberOfMountTargets"],
    )
