"""Amazon RDS: databases and their snapshots. The same calls list those of Neptune and DocumentDB; `engine` tells."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

from pydantic import Field

from collectors.aws.listings import Listing, look_at
from collectors.aws.moment import Instant
from collectors.aws.targets import Answer, Region, tags
from collectors.contract import Gap, Record, evidence

PAGE = {"MaxRecords": 100}
INSTANCES = Listing("instance", "rds:DescribeDBInstances", "DBInstances", "DBInstanceArn", PAGE, keep=True)
CLUSTERS = Listing("cluster", "rds:DescribeDBClusters", "DBClusters", "DBClusterArn", PAGE)
SNAPSHOTS = Listing("snapshot", "rds:DescribeDBSnapshots", "DBSnapshots", "DBSnapshotArn", PAGE)
CLUSTER_SNAPSHOTS = Listing(
    "cluster_snapshot", "rds:DescribeDBClusterSnapshots", "DBClusterSnapshots", "DBClusterSnapshotArn", PAGE
)
NAMES = {
    "instance": "DBInstanceIdentifier",
    "cluster": "DBClusterIdentifier",
    "snapshot": "DBSnapshotIdentifier",
    "cluster_snapshot": "DBClusterSnapshotIdentifier",
}


class Resource(Record):
    """What a database or a snapshot is, and where."""

    kind: Literal["instance", "cluster", "snapshot", "cluster_snapshot"] = Field(
        description="A database instance, a cluster of them, or a snapshot of either."
    )
    name: str = Field(description="Its identifier.")
    arn: str = Field(description="Its ARN.")
    account: str = Field(description="The account that owns it.")
    region: str = Field(description="The region that it is in.")
    tags: dict[str, str] = Field(description="Its tags.")
    engine: str = Field(description="The database engine, as in `postgres`, `aurora-mysql`, `docdb` or `neptune`.")
    instance: str | None = Field(
        description="The instance: itself, or the one that the snapshot was taken of; null where there is none."
    )
    cluster: str | None = Field(
        description="The cluster: itself, the one that it belongs to or was taken of; null where there is none."
    )


class Encryption(Resource):
    """Whether one database or snapshot is encrypted at rest."""

    storage_encrypted: bool = Field(description="Whether its storage, or the snapshot, is encrypted.")
    storage_encryption_type: str | None = Field(
        description="Whose key encrypts it: `none`, `sse-rds` or `sse-kms`; null where AWS does not say."
    )
    kms: str | None = Field(description="The KMS key's ARN; null where none is named.")
    snapshot_type: str | None = Field(
        description="How a snapshot came about: `automated`, `manual` or `awsbackup`; null for a database."
    )


class Backups(Resource):
    """How far back one database can be restored, and whether it is safe from deletion."""

    status: str = Field(description="Its state, as in `available` or `stopped`.")
    retention_days: int = Field(description="Days that automated backups are kept; 0 where they are off.")
    backup_window: str | None = Field(description="When backups are taken each day, in UTC; null where AWS names none.")
    latest_restorable_time: Instant | None = Field(
        description="The last instant that can be restored; null where AWS names none, as without automated backups."
    )
    deletion_protection: bool = Field(description="Whether it is protected from deletion.")
    replica_of: str | None = Field(description="The database that it is a read replica of; null where of none.")


class PublicAccess(Resource):
    """Whether one instance can have a public address, or with whom one manual snapshot is shared."""

    publicly_accessible: bool | None = Field(
        description="Whether the instance's name resolves to a public address outside its VPC; null for a snapshot."
    )
    security_groups: tuple[str, ...] | None = Field(
        description="The ids of the VPC security groups that decide who may enter; null for a snapshot."
    )
    snapshot_shared_with: tuple[str, ...] | None = Field(
        description="The accounts that may restore the snapshot, `all` for every account; null for an instance."
    )


class MultiAz(Resource):
    """Over how many availability zones one database is spread."""

    multi_az: bool | None = Field(
        description="Whether AWS counts it as spread over several zones; null where it does not say, as for RDS Custom."
    )
    availability_zones: tuple[str, ...] = Field(
        description="The zones of an instance and its standby, or of a cluster's instances."
    )
    az_count: int = Field(description="The number of these zones.")


@evidence(
    "rds:DescribeDBClusterSnapshots", "rds:DescribeDBClusters", "rds:DescribeDBInstances", "rds:DescribeDBSnapshots"
)
def encryption(region: Region) -> Iterator[Encryption | Gap]:
    """The encryption at rest of every database instance, cluster and snapshot."""
    yield from look_at(region, (INSTANCES, CLUSTERS, SNAPSHOTS, CLUSTER_SNAPSHOTS), _encryption)


@evidence("rds:DescribeDBClusters", "rds:DescribeDBInstances")
def backups(region: Region) -> Iterator[Backups | Gap]:
    """The automated backups and the deletion protection of every database instance and cluster."""
    yield from look_at(region, (INSTANCES, CLUSTERS), _backups)


@evidence(
    "rds:DescribeDBClusterSnapshotAttributes",
    "rds:DescribeDBClusterSnapshots",
    "rds:DescribeDBInstances",
    "rds:DescribeDBSnapshotAttributes",
    "rds:DescribeDBSnapshots",
)
def public_access(region: Region) -> Iterator[PublicAccess | Gap]:
    """Which instances can have a public address, and with whom snapshots are shared: the manual ones, as others
    cannot be.
    """
    yield from look_at(region, (INSTANCES, SNAPSHOTS, CLUSTER_SNAPSHOTS), _public_access)


@evidence("rds:DescribeDBClusters", "rds:DescribeDBInstances")
def multi_az(region: Region) -> Iterator[MultiAz | Gap]:
    """The availability zones of every database instance and cluster."""
    members: dict[str | None, list[Answer]] = {}
    for instance in INSTANCES.of(region):
        members.setdefault(instance.get("DBClusterIdentifier"), []).append(instance)
    yield from look_at(region, (INSTANCES, CLUSTERS), partial(_multi_az, members))


def _encryption(region: Region, listing: Listing, resource: Answer) -> Encryption:
    return Encryption(
        **_place(region, listing, resource),
        storage_encrypted=resource.get("Encrypted" if listing is SNAPSHOTS else "StorageEncrypted"),
        storage_encryption_type=resource.get("StorageEncryptionType"),
        kms=resource.get("KmsKeyId"),
        snapshot_type=resource.get("SnapshotType"),
    )


def _backups(region: Region, listing: Listing, database: Answer) -> Backups:
    replica_of = (
        database.get("ReadReplicaSourceDBInstanceIdentifier")
        or database.get("ReadReplicaSourceDBClusterIdentifier")
        or database.get("ReplicationSourceIdentifier")
    )
    return Backups(
        **_place(region, listing, database),
        status=database.get("DBInstanceStatus" if listing is INSTANCES else "Status"),
        retention_days=database.get("BackupRetentionPeriod"),
        backup_window=database.get("PreferredBackupWindow"),
        latest_restorable_time=database.get("LatestRestorableTime"),
        deletion_protection=database.get("DeletionProtection"),
        replica_of=replica_of or None,
    )


def _public_access(region: Region, listing: Listing, resource: Answer) -> PublicAccess | None:
    if listing is INSTANCES:
        groups = resource.get("VpcSecurityGroups") or ()
        return PublicAccess(
            **_place(region, listing, resource),
            publicly_accessible=resource.get("PubliclyAccessible"),
            security_groups=tuple(group["VpcSecurityGroupId"] for group in groups),
            snapshot_shared_with=None,
        )
    if resource["SnapshotType"] != "manual":
        return None
    return PublicAccess(
        **_place(region, listing, resource),
        publicly_accessible=None,
        security_groups=None,
        snapshot_shared_with=tuple(_shared_with(region, listing, resource)),
    )


def _shared_with(region: Region, listing: Listing, snapshot: Answer) -> Iterator[str]:
    name = NAMES[listing.kind]
    what = name.removesuffix("Identifier")
    answer = region.read(f"rds:Describe{what}Attributes", **{name: snapshot[name]})[f"{what}AttributesResult"]
    for attribute in answer.get(f"{what}Attributes") or ():
        if attribute["AttributeName"] == "restore":
            yield from attribute.get("AttributeValues") or ()


def _multi_az(members: dict[str | None, list[Answer]], region: Region, listing: Listing, database: Answer) -> MultiAz:
    instances = [database] if listing is INSTANCES else members.get(database["DBClusterIdentifier"], ())
    places = ("AvailabilityZone", "SecondaryAvailabilityZone")
    zones = {instance[place] for instance in instances for place in places if instance.get(place)}
    return MultiAz(
        **_place(region, listing, database),
        multi_az=database.get("MultiAZ"),
        availability_zones=tuple(sorted(zones)),
        az_count=len(zones),
    )


def _place(region: Region, listing: Listing, resource: Answer) -> dict[str, Any]:
    return {
        "kind": listing.kind,
        "name": resource[NAMES[listing.kind]],
        "arn": listing.name(resource),
        "account": region.account,
        "region": region.region,
        "tags": tags(resource.get("TagList")),
        "engine": resource["Engine"],
        "instance": resource.get("DBInstanceIdentifier"),
        "cluster": resource.get("DBClusterIdentifier"),
    }
