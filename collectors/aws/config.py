"""AWS Config: whether it records what is there, and what its rules make of it."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

from pydantic import Field

from collectors.aws.moment import Instant
from collectors.aws.targets import Answer, Region
from collectors.contract import Gap, Record, evidence

PAGE = 100


class Recorder(Record):
    """AWS Config in one region. Where there is no recorder, `exists` is false and its fields are null or empty."""

    account: str = Field(description="The account.")
    region: str = Field(description="The region.")
    exists: bool = Field(description="Whether there is a recorder.")
    name: str | None = Field(description="The recorder's name; null where there is none.")
    arn: str | None = Field(description="The recorder's ARN; null where there is none.")
    role_arn: str | None = Field(description="The role that the recorder reads with; null where there is none.")
    recording: bool | None = Field(
        description="Whether it records now; false where there is no recorder, null where AWS does not say."
    )
    all_supported: bool | None = Field(
        description="Whether it records every type of resource that it can; null where there is no recorder."
    )
    global_resources: bool | None = Field(
        description="Whether it records IAM's global resources too; null where there is no recorder."
    )
    strategy: str | None = Field(
        description="How types are chosen, as in `EXCLUSION_BY_RESOURCE_TYPES`; null where AWS does not say."
    )
    resource_types: tuple[str, ...] = Field(description="The types that it records, where they are named one by one.")
    excluded_types: tuple[str, ...] = Field(description="The types that it leaves out.")
    frequency: str | None = Field(description="`CONTINUOUS` or `DAILY`; null where AWS does not say.")
    last_status: str | None = Field(
        description="How the last recording ended, as in `Success` or `Failure`; null where there was none."
    )
    last_status_change: Instant | None = Field(description="When that changed last; null where AWS does not say.")
    last_error: str | None = Field(description="The code of the last failure; null where there was none.")
    last_started: Instant | None = Field(description="When it was started last; null where it never was.")
    last_stopped: Instant | None = Field(description="When it was stopped last; null where it never was.")
    s3_bucket: str | None = Field(description="The bucket that is delivered to; null without a delivery channel.")
    s3_kms_key: str | None = Field(description="The KMS key of what is delivered; null where none is named.")
    sns_topic: str | None = Field(description="The topic that changes are told to; null where none is named.")
    snapshot_frequency: str | None = Field(
        description="How often a snapshot is delivered, as in `TwentyFour_Hours`; null where none is scheduled."
    )


class RuleCompliance(Record):
    """One AWS Config rule and what it found, by its last evaluations."""

    rule: str = Field(description="The rule's name.")
    arn: str = Field(description="The rule's ARN.")
    account: str = Field(description="The account.")
    region: str = Field(description="The region.")
    state: str = Field(description="`ACTIVE`, `EVALUATING`, `DELETING` or `DELETING_RESULTS`.")
    owner: str = Field(description="`AWS` for a managed rule, otherwise `CUSTOM_LAMBDA` or `CUSTOM_POLICY`.")
    source: str | None = Field(
        description="The managed rule, as in `S3_BUCKET_VERSIONING_ENABLED`, or a function's ARN; null where none is."
    )
    created_by: str | None = Field(description="The AWS service that made the rule; null where none did.")
    compliance: str | None = Field(
        description="What AWS Config makes of the rule as a whole, as in `NON_COMPLIANT`; null where it does not say."
    )
    compliant: int = Field(description="Resources that the rule finds compliant.")
    non_compliant: int = Field(description="Resources that the rule finds not compliant.")
    non_compliant_resources: tuple[str, ...] = Field(
        description="Those resources, each as its type and id, as in `AWS::S3::Bucket/acme-uploads`."
    )
    last_evaluated: Instant | None = Field(description="The last evaluation's time; null where there was none.")


@evidence(
    "config:DescribeConfigurationRecorderStatus",
    "config:DescribeConfigurationRecorders",
    "config:DescribeDeliveryChannels",
)
def recorder(region: Region) -> Iterator[Recorder]:
    """Whether AWS Config records a region, which types of resources, and where it delivers to."""
    recorders = region.read("config:DescribeConfigurationRecorders").get("ConfigurationRecorders") or ()
    if not recorders:
        yield _recorder(region, {}, {}, {})
        return
    channel: Answer = next(iter(region.read("config:DescribeDeliveryChannels").get("DeliveryChannels") or ()), {})
    states = region.read("config:DescribeConfigurationRecorderStatus").get("ConfigurationRecordersStatus") or ()
    by_name = {state["name"]: state for state in states}
    for found in recorders:
        yield _recorder(region, found, by_name.get(found["name"], {}), channel)


@evidence(
    "config:DescribeComplianceByConfigRule", "config:DescribeConfigRules", "config:GetComplianceDetailsByConfigRule"
)
def rule_compliance(region: Region) -> Iterator[RuleCompliance | Gap]:
    """Every AWS Config rule, and how many resources it finds compliant and not."""
    rules = region.pages("config:DescribeConfigRules", "ConfigRules")
    yield from region.each(rules, partial(_rule, region, _compliance(region)), resource=_arn)


def _recorder(region: Region, found: Answer, state: Answer, channel: Answer) -> Recorder:
    return Recorder(
        account=region.account,
        region=region.region,
        exists=bool(found),
        name=found.get("name"),
        arn=found.get("arn"),
        role_arn=found.get("roleARN"),
        **_recorded(found),
        recording=state.get("recording") if found else False,
        last_status=state.get("lastStatus"),
        last_status_change=state.get("lastStatusChangeTime"),
        last_error=state.get("lastErrorCode"),
        last_started=state.get("lastStartTime"),
        last_stopped=state.get("lastStopTime"),
        s3_bucket=channel.get("s3BucketName"),
        s3_kms_key=channel.get("s3KmsKeyArn"),
        sns_topic=channel.get("snsTopicARN"),
        snapshot_frequency=channel.get("configSnapshotDeliveryProperties", {}).get("deliveryFrequency"),
    )


def _recorded(found: Answer) -> dict[str, Any]:
    """Which resources a recorder records."""
    group = found.get("recordingGroup", {})
    return {
        "all_supported": group.get("allSupported"),
        "global_resources": group.get("includeGlobalResourceTypes"),
        "strategy": group.get("recordingStrategy", {}).get("useOnly"),
        "resource_types": tuple(group.get("resourceTypes") or ()),
        "excluded_types": tuple(group.get("exclusionByResourceTypes", {}).get("resourceTypes") or ()),
        "frequency": found.get("recordingMode", {}).get("recordingFrequency"),
    }


def _compliance(region: Region) -> dict[str, str]:
    """What AWS Config makes of each rule, by the rule's name."""
    found = region.pages("config:DescribeComplianceByConfigRule", "ComplianceByConfigRules")
    return {rule["ConfigRuleName"]: rule["Compliance"]["ComplianceType"] for rule in found if "Compliance" in rule}


def _arn(rule: Answer) -> str:
    return str(rule["ConfigRuleArn"])


def _rule(region: Region, compliance: dict[str, str], rule: Answer) -> RuleCompliance:
    name = rule["ConfigRuleName"]
    asked: dict[str, Any] = {"ConfigRuleName": name, "Limit": PAGE}
    found = list(region.pages("config:GetComplianceDetailsByConfigRule", "EvaluationResults", **asked))
    counts = Counter(each["ComplianceType"] for each in found)
    return RuleCompliance(
        rule=name,
        arn=_arn(rule),
        account=region.account,
        region=region.region,
        state=rule["ConfigRuleState"],
        owner=rule["Source"]["Owner"],
        source=rule["Source"].get("SourceIdentifier"),
        created_by=rule.get("CreatedBy"),
        compliance=compliance.get(name),
        compliant=counts["COMPLIANT"],
        non_compliant=counts["NON_COMPLIANT"],
        non_compliant_resources=tuple(_resource(each) for each in found if each["ComplianceType"] == "NON_COMPLIANT"),
        last_evaluated=max((each["ResultRecordedTime"] for each in found), default=None),
    )


def _resource(evaluated: Answer) -> str:
    qualifier = evaluated["EvaluationResultIdentifier"]["EvaluationResultQualifier"]
    return f"{qualifier['ResourceType']}/{qualifier['ResourceId']}"
