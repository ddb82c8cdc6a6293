"""Amazon CloudWatch: how long logs are kept, and whom they alarm."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

from pydantic import Field

from collectors.aws.moment import Instant
from collectors.aws.targets import Answer, Region
from collectors.contract import Gap, Record, evidence

LOGS_PAGE = 50
ALARMS_PAGE = 100

Metric = tuple[str | None, str | None]
"""A metric's namespace and name."""


class Topic(Record):
    """Whom an alarm tells through SNS. Addresses are not read."""

    arn: str = Field(description="The topic's ARN.")
    exists: bool = Field(description="Whether the topic is there.")
    confirmed_subscriptions: int | None = Field(
        description="How many subscribers have confirmed; null where the topic is not there."
    )
    pending_subscriptions: int | None = Field(
        description="How many subscribers have not confirmed yet; null where the topic is not there."
    )


class Alarm(Record):
    """An alarm on a metric."""

    name: str = Field(description="The alarm's name.")
    arn: str = Field(description="The alarm's ARN.")
    state: str = Field(description="`OK`, `ALARM` or `INSUFFICIENT_DATA`.")
    comparison: str | None = Field(
        description="How the metric is compared, as in `GreaterThanOrEqualToThreshold`; null where AWS names none."
    )
    threshold: float | None = Field(description="What it is compared with; null where AWS names none.")
    actions_enabled: bool = Field(description="Whether the alarm does anything when it goes off.")
    actions: tuple[str, ...] = Field(description="The ARNs of what it does when it goes off.")
    topics: tuple[Topic, ...] = Field(description="The SNS topics among these.")


class SecurityAlarm(Record):
    """One metric filter of a log group: what it looks for, and the chain of alarms and topics behind it."""

    filter: str = Field(description="The metric filter's name.")
    log_group: str = Field(description="The name of the log group that it filters.")
    arn: str = Field(description="The log group's ARN; a filter has none of its own.")
    account: str = Field(description="The account.")
    region: str = Field(description="The region.")
    filter_pattern: str = Field(description="The pattern that log events are matched with; empty where all match.")
    metrics: tuple[str, ...] = Field(description="The metrics that matches are counted in, each as namespace/name.")
    alarms: tuple[Alarm, ...] = Field(description="The alarms on these metrics.")


class LogRetention(Record):
    """How long one log group keeps events, and how it is encrypted."""

    log_group: str = Field(description="The log group's name.")
    arn: str = Field(description="The log group's ARN.")
    account: str = Field(description="The account.")
    region: str = Field(description="The region.")
    retention_days: int | None = Field(description="Days that events are kept; null where they never expire.")
    kms: str | None = Field(description="The KMS key's ARN; null where CloudWatch's own key is used.")
    log_class: str | None = Field(description="`STANDARD` or another class; null where AWS names none.")
    deletion_protection: bool | None = Field(
        description="Whether the group is protected from deletion; null where AWS does not say."
    )
    stored_bytes: int | None = Field(description="The bytes that it holds; null where AWS does not say.")
    created_at: Instant = Field(description="When it was made.")


@evidence("cloudwatch:DescribeAlarms", "logs:DescribeMetricFilters", "sns:GetTopicAttributes")
def security_alarms(region: Region) -> Iterator[SecurityAlarm | Gap]:
    """Every metric filter on logs, with the alarms on its metrics and the confirmed subscribers of their topics."""
    filters = region.pages("logs:DescribeMetricFilters", "metricFilters", limit=LOGS_PAGE)
    yield from region.each(filters, partial(_security_alarm, region, _alarms(region)), resource=_title)


@evidence("logs:DescribeLogGroups")
def log_retention(region: Region) -> Iterator[LogRetention | Gap]:
    """Every log group's retention and encryption."""
    groups = region.pages("logs:DescribeLogGroups", "logGroups", limit=LOGS_PAGE)
    yield from region.each(groups, partial(_log_group, region), resource=lambda group: str(group["logGroupName"]))


def _alarms(region: Region) -> dict[Metric, list[Answer]]:
    """The alarms that watch each metric."""
    found: dict[Metric, list[Answer]] = {}
    kinds = ["MetricAlarm"]
    for alarm in region.pages("cloudwatch:DescribeAlarms", "MetricAlarms", AlarmTypes=kinds, MaxRecords=ALARMS_PAGE):
        for metric in _watched(alarm):
            found.setdefault(metric, []).append(alarm)
    return found


def _watched(alarm: Answer) -> set[Metric]:
    """The metrics of an alarm: one, or those that it calculates with."""
    statistics = [query.get("MetricStat") for query in alarm.get("Metrics") or ()]
    metrics = [alarm, *(statistic["Metric"] for statistic in statistics if statistic)]
    return {(metric.get("Namespace"), metric.get("MetricName")) for metric in metrics if metric.get("MetricName")}


def _security_alarm(region: Region, alarms: dict[Metric, list[Answer]], its: Answer) -> SecurityAlarm:
    group = its["logGroupName"]
    metrics = [(counted["metricNamespace"], counted["metricName"]) for counted in its["metricTransformations"]]
    watching = {alarm["AlarmArn"]: alarm for metric in metrics for alarm in alarms.get(metric, ())}
    return SecurityAlarm(
        filter=its["filterName"],
        log_group=group,
        arn=region.arn("logs", f"log-group:{group}"),
        account=region.account,
        region=region.region,
        filter_pattern=its.get("filterPattern") or "",
        metrics=tuple(f"{namespace}/{name}" for namespace, name in metrics),
        alarms=tuple(_alarm(region, alarm) for alarm in watching.values()),
    )


def _alarm(region: Region, alarm: Answer) -> Alarm:
    actions = alarm.get("AlarmActions") or ()
    return Alarm(
        name=alarm["AlarmName"],
        arn=alarm["AlarmArn"],
        state=alarm["StateValue"],
        comparison=alarm.get("ComparisonOperator"),
        threshold=alarm.get("Threshold"),
        actions_enabled=alarm["ActionsEnabled"],
        actions=actions,
        topics=tuple(_topic(region, action) for action in actions if action.split(":")[2] == "sns"),
    )


def _topic(region: Region, arn: str) -> Topic:
    answer = region.find(("NotFound",), "sns:GetTopicAttributes", TopicArn=arn, keep=True)
    attributes = answer["Attributes"] if answer else {}
    return Topic(
        arn=arn,
        exists=answer is not None,
        confirmed_subscriptions=attributes.get("SubscriptionsConfirmed"),
        pending_subscriptions=attributes.get("SubscriptionsPending"),
    )


def _log_group(region: Region, group: Answer) -> LogRetention:
    return LogRetention(
        log_group=group["logGroupName"],
        arn=group["arn"].removesuffix(":*"),
        account=region.account,
        region=region.region,
        retention_days=group.get("retentionInDays"),
        kms=group.get("kmsKeyId"),
        log_class=group.get("logGroupClass"),
        deletion_protection=group.get("deletionProtectionEnabled"),
        stored_bytes=group.get("storedBytes"),
        created_at=datetime.fromtimestamp(group["creationTime"] / 1000, UTC),
    )


def _title(its: Answer) -> str:
    return f"{its['logGroupName']}: {its['filterName']}"
