"""Amazon DynamoDB: how tables are protected against loss and theft."""

from collections.abc import Iterator
from functools import partial

from pydantic import Field

from collectors.aws.moment import Instant
from collectors.aws.targets import Region
from collectors.contract import Gap, Record, evidence

PAGE = 100


class TableProtection(Record):
    """One table's encryption, its point-in-time recovery, and its protection from deletion."""

    table: str = Field(description="The table's name.")
    arn: str = Field(description="The table's ARN.")
    account: str = Field(description="The account that owns the table.")
    region: str = Field(description="The region that the table is in.")
    status: str = Field(description="The table's state, as in `ACTIVE`.")
    created_at: Instant = Field(description="When the table was made.")
    sse: str | None = Field(
        description="`KMS` where a key of the account encrypts the table; null where one that DynamoDB owns does."
    )
    sse_status: str | None = Field(description="The state of that encryption, as in `ENABLED`; null where `sse` is.")
    kms: str | None = Field(description="The KMS key's ARN; null where `sse` is.")
    pitr: bool = Field(description="Whether any second of the recovery period can be restored.")
    pitr_days: int | None = Field(description="Days of the recovery period; null where AWS names none.")
    earliest_restorable_time: Instant | None = Field(
        description="The first instant that can be restored; null without point-in-time recovery."
    )
    latest_restorable_time: Instant | None = Field(
        description="The last instant that can be restored; null without point-in-time recovery."
    )
    deletion_protection: bool = Field(description="Whether the table is protected from deletion.")
    replicas: tuple[str, ...] = Field(description="The other regions that a global table is kept in.")


@evidence("dynamodb:DescribeContinuousBackups", "dynamodb:DescribeTable", "dynamodb:ListTables")
def table_protection(region: Region) -> Iterator[TableProtection | Gap]:
    """Every table's encryption at rest, point-in-time recovery and protection from deletion."""
    tables = region.pages("dynamodb:ListTables", "TableNames", Limit=PAGE)
    yield from region.each(tables, partial(_table, region), resource=partial(_arn, region))


def _table(region: Region, name: str) -> TableProtection:
    table = region.read("dynamodb:DescribeTable", TableName=name)["Table"]
    backups = region.read("dynamodb:DescribeContinuousBackups", TableName=name)["ContinuousBackupsDescription"]
    pitr, sse = backups.get("PointInTimeRecoveryDescription") or {}, table.get("SSEDescription") or {}
    return TableProtection(
        table=name,
        arn=table["TableArn"],
        account=region.account,
        region=region.region,
        status=table["TableStatus"],
        created_at=table["CreationDateTime"],
        sse=sse.get("SSEType"),
        sse_status=sse.get("Status"),
        kms=sse.get("KMSMasterKeyArn"),
        pitr=pitr.get("PointInTimeRecoveryStatus") == "ENABLED",
        pitr_days=pitr.get("RecoveryPeriodInDays"),
        earliest_restorable_time=pitr.get("EarliestRestorableDateTime"),
        latest_restorable_time=pitr.get("LatestRestorableDateTime"),
        deletion_protection=table.get("DeletionProtectionEnabled", False),
        replicas=tuple(replica["RegionName"] for replica in table.get("Replicas") or ()),
    )


def _arn(region: Region, name: str) -> str:
    return region.arn("dynamodb", f"table/{name}")
