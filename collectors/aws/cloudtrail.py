"""AWS CloudTrail: which trails record what happens in the account, and what its history says that happened."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

from pydantic import Field

from collectors.aws.moment import Instant
from collectors.aws.privileged_events import PrivilegedEvent, events, lookups
from collectors.aws.targets import Account, Answer
from collectors.contract import Gap, Period, Record, evidence

HISTORY = timedelta(days=90)  # that CloudTrail keeps
DELAY = timedelta(minutes=15)  # by which an event is in the history


class DataResources(Record):
    """Resources of one type whose data events are recorded."""

    type: str = Field(description="The resource type, as in `AWS::S3::Object`.")
    values: tuple[str, ...] = Field(description="ARNs or their beginnings, as in `arn:aws:s3`.")


class EventSelector(Record):
    """One basic choice of events."""

    read_write: str = Field(description="`All`, `ReadOnly` or `WriteOnly`.")
    management_events: bool = Field(description="Whether management events are recorded.")
    excluded_sources: tuple[str, ...] = Field(description="Services whose management events are left out.")
    data_resources: tuple[DataResources, ...] = Field(description="Whose data events are recorded.")


class FieldSelector(Record):
    """One condition of an advanced choice of events; all of its lists must hold."""

    field: str = Field(description="The event's field, as in `eventCategory` or `resources.type`.")
    equals: tuple[str, ...] = Field(description="The values that it equals one of.")
    not_equals: tuple[str, ...] = Field(description="The values that it equals none of.")
    starts_with: tuple[str, ...] = Field(description="What it starts with one of.")
    not_starts_with: tuple[str, ...] = Field(description="What it starts with none of.")
    ends_with: tuple[str, ...] = Field(description="What it ends with one of.")
    not_ends_with: tuple[str, ...] = Field(description="What it ends with none of.")


class AdvancedEventSelector(Record):
    """One advanced choice of events; all of its conditions must hold."""

    name: str | None = Field(description="Its name.")
    fields: tuple[FieldSelector, ...] = Field(description="Its conditions.")


class Trail(Record):
    """One trail: where it records, what, whether it does so now, and how the records are guarded."""

    name: str = Field(description="The trail's name.")
    arn: str = Field(description="The trail's ARN; it names the account that owns the trail.")
    account: str = Field(description="The account that the trail was seen in.")
    region: str = Field(description="The trail's home region.")
    multi_region: bool = Field(description="Whether it records all regions, not only its own.")
    org_trail: bool = Field(description="Whether it records all accounts of the organization.")
    global_events: bool = Field(description="Whether it records global services such as IAM.")
    is_logging: bool | None = Field(
        description="Whether it records now; null where another account owns the trail and does not show it."
    )
    validation: bool = Field(description="Whether digest files let changed log files be found out.")
    kms: str | None = Field(description="The KMS key that log files are encrypted with; null where none is named.")
    s3_bucket: str | None = Field(description="The bucket that log files go to.")
    cw_logs_arn: str | None = Field(description="The CloudWatch log group that events go to; null where to none.")
    last_delivery: Instant | None = Field(description="The last delivery of log files to the bucket.")
    last_delivery_error: str | None = Field(description="What S3 answered when a delivery failed; null where none did.")
    last_cw_logs_delivery: Instant | None = Field(description="The last delivery to CloudWatch Logs.")
    event_selectors: tuple[EventSelector, ...] | None = Field(
        description="Basic choices of events; null where another account owns the trail and does not show them."
    )
    advanced_event_selectors: tuple[AdvancedEventSelector, ...] | None = Field(
        description="Advanced choices of events; null where another account owns the trail and does not show them."
    )


@evidence(
    "cloudtrail:DescribeTrails", "cloudtrail:GetEventSelectors", "cloudtrail:GetTrailStatus", "ec2:DescribeRegions"
)
def trails(account: Account) -> Iterator[Trail | Gap]:
    """Every trail that records in a region of the account, once: its own ones and its organization's."""
    found: dict[str, Answer] = {}
    for seen in account.each(account.regions(), partial(_described, account), resource=str, may_go=False):
        if isinstance(seen, Gap):
            yield seen
        else:
            found |= seen
    yield from account.each(found.values(), partial(_trail, account), resource=lambda trail: str(trail["TrailARN"]))


@evidence("cloudtrail:LookupEvents", "ec2:DescribeRegions", window=timedelta(days=30), retention=HISTORY, lag=DELAY)
def privileged_events(account: Account, period: Period) -> Iterator[PrivilegedEvent | Gap]:
    """Who gave away rights, weakened a guard, or signed in as root in the period, as CloudTrail's history has it.

    An event takes up to 15 minutes to get there, so a period ends 15 minutes before it is read.
    """
    for seen in account.each(lookups(account), partial(events, account, period), resource=str, may_go=False):
        if isinstance(seen, Gap):
            yield seen
        else:
            yield from seen


def _described(account: Account, region: str) -> dict[str, Answer]:
    """The trails that one region knows, by ARN: those at home elsewhere, or in another account, included."""
    return {trail["TrailARN"]: trail for trail in account.read("cloudtrail:DescribeTrails", region=region)["trailList"]}


def _trail(account: Account, trail: Answer) -> Trail:
    arn, home = trail["TrailARN"], trail["HomeRegion"]
    status = account.find(_hidden(account, arn), "cloudtrail:GetTrailStatus", region=home, Name=arn) or {}
    return Trail(
        name=trail["Name"],
        arn=arn,
        account=account.account,
        region=home,
        multi_region=trail["IsMultiRegionTrail"],
        org_trail=trail["IsOrganizationTrail"],
        global_events=trail["IncludeGlobalServiceEvents"],
        is_logging=status.get("IsLogging"),
        validation=trail["LogFileValidationEnabled"],
        kms=trail.get("KmsKeyId"),
        s3_bucket=trail.get("S3BucketName"),
        cw_logs_arn=trail.get("CloudWatchLogsLogGroupArn"),
        last_delivery=status.get("LatestDeliveryTime"),
        last_delivery_error=status.get("LatestDeliveryError") or None,
        last_cw_logs_delivery=status.get("LatestCloudWatchLogsDeliveryTime"),
        **_selectors(account, arn, home),
    )


def _selectors(account: Account, arn: str, home: str) -> dict[str, tuple[Record, ...] | None]:
    answer = account.find(_hidden(account, arn), "cloudtrail:GetEventSelectors", region=home, TrailName=arn)
    if answer is None:
        return {"event_selectors": None, "advanced_event_selectors": None}
    return {
        "event_selectors": tuple(_basic(selector) for selector in answer.get("EventSelectors") or ()),
        "advanced_event_selectors": tuple(
            _advanced(selector) for selector in answer.get("AdvancedEventSelectors") or ()
        ),
    }


def _hidden(account: Account, arn: str) -> tuple[str, ...]:
    """What says that a trail of another account is seen here but not shown; of the account's own, that it is gone."""
    return () if arn.split(":")[4] == account.account else ("TrailNotFoundException",)


def _basic(selector: Answer) -> EventSelector:
    return EventSelector(
        read_write=selector.get("ReadWriteType", "All"),
        management_events=selector.get("IncludeManagementEvents", True),
        excluded_sources=selector.get("ExcludeManagementEventSources") or (),
        data_resources=tuple(
            DataResources(type=resource["Type"], values=resource.get("Values") or ())
            for resource in selector.get("DataResources") or ()
        ),
    )


def _advanced(selector: Answer) -> AdvancedEventSelector:
    return AdvancedEventSelector(
        name=selector.get("Name"), fields=tuple(_field(condition) for condition in selector["FieldSelectors"])
    )


def _field(condition: Answer) -> FieldSelector:
    return FieldSelector(
        field=condition["Field"],
        equals=condition.get("Equals") or (),
        not_equals=condition.get("NotEquals") or (),
        starts_with=condition.get("StartsWith") or (),
        not_starts_with=condition.get("NotStartsWith") or (),
        ends_with=condition.get("EndsWith") or (),
        not_ends_with=condition.get("NotEndsWith") or (),
    )
