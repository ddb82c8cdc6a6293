"""Amazon GuardDuty: where it watches, for what, and what it found."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

from pydantic import Field

from collectors.aws.batches import batches
from collectors.aws.moment import Instant
from collectors.aws.targets import Answer, Region
from collectors.contract import Gap, Record, evidence

PAGE = 50
MOST_GROUPS = 100
MEDIUM, HIGH, CRITICAL = 4, 7, 9  # where GuardDuty's severities begin


class FeatureSetting(Record):
    """A part of a feature that can be switched by itself."""

    name: str = Field(description="Its name, as in `EC2_AGENT_MANAGEMENT`.")
    enabled: bool = Field(description="Whether it is on.")


class Feature(Record):
    """One kind of thing that a detector watches."""

    name: str = Field(description="Its name, as in `S3_DATA_EVENTS` or `RUNTIME_MONITORING`.")
    enabled: bool = Field(description="Whether it is on.")
    settings: tuple[FeatureSetting, ...] = Field(description="The feature's own settings.")


class Detector(Record):
    """GuardDuty in one region. Where it was never switched on, `enabled` is false and the rest is null or empty."""

    account: str = Field(description="The account.")
    region: str = Field(description="The region.")
    enabled: bool = Field(description="Whether a detector is there and watches; false where there is none.")
    detector: str | None = Field(description="The detector's id; null where there is none.")
    arn: str | None = Field(description="The detector's ARN; null where there is none.")
    tags: dict[str, str] = Field(description="The detector's tags.")
    created_at: Instant | None = Field(description="When the detector was made; null where there is none.")
    publishing_frequency: str | None = Field(
        description="How often findings that recur are told anew, as in `SIX_HOURS`; null where there is no detector."
    )
    features: tuple[Feature, ...] = Field(description="What the detector can watch, and whether it does.")
    open_critical_count: int | None = Field(
        description="Findings on this account of severity 9 and more that are not archived; null without a detector."
    )
    open_high_count: int | None = Field(
        description="Findings on this account of severity 7 up to 9 that are not archived; null without a detector."
    )
    open_medium_count: int | None = Field(
        description="Findings on this account of severity 4 up to 7 that are not archived; null without a detector."
    )
    open_low_count: int | None = Field(
        description="Findings on this account of severity under 4 that are not archived; null without a detector."
    )
    oldest_high_days: int | None = Field(
        description="The age of the oldest open finding of severity 7 and more, in days; null where there is none."
    )


@evidence(
    "guardduty:GetDetector",
    "guardduty:GetFindings",
    "guardduty:GetFindingsStatistics",
    "guardduty:ListDetectors",
    "guardduty:ListFindings",
)
def detectors(region: Region) -> Iterator[Detector | Gap]:
    """Whether GuardDuty watches a region, which of its features are on, and the findings that are open."""
    found = [str(detector) for detector in region.pages("guardduty:ListDetectors", "DetectorIds", MaxResults=PAGE)]
    if not found:
        yield _none(region)
    yield from region.each(found, partial(_detector, region), resource=partial(_arn, region))


def _none(region: Region) -> Detector:
    unknown = dict.fromkeys(("detector", "arn", "created_at", "publishing_frequency", "oldest_high_days"))
    counts = dict.fromkeys(_counts([]))
    where = {"account": region.account, "region": region.region}
    return Detector.model_validate({**where, "enabled": False, "tags": {}, "features": (), **unknown, **counts})


def _detector(region: Region, detector: str) -> Detector:
    answer = region.read("guardduty:GetDetector", DetectorId=detector)
    counts = _counts(_severities(region, detector))
    return Detector(
        account=region.account,
        region=region.region,
        enabled=answer["Status"] == "ENABLED",
        detector=detector,
        arn=_arn(region, detector),
        tags=answer.get("Tags") or {},
        created_at=answer.get("CreatedAt"),
        publishing_frequency=answer.get("FindingPublishingFrequency"),
        features=tuple(_feature(feature) for feature in answer.get("Features") or ()),
        **counts,
        oldest_high_days=_oldest_high(region, detector)
        if counts["open_high_count"] or counts["open_critical_count"]
        else None,
    )


def _arn(region: Region, detector: str) -> str:
    return region.arn("guardduty", f"detector/{detector}")


def _feature(feature: Answer) -> Feature:
    settings = feature.get("AdditionalConfiguration") or ()
    return Feature(
        name=feature["Name"],
        enabled=feature["Status"] == "ENABLED",
        settings=tuple(FeatureSetting(name=each["Name"], enabled=each["Status"] == "ENABLED") for each in settings),
    )


def _open(region: Region, **more: Any) -> dict[str, Any]:
    """The findings that are not archived; an administrator's detector has those of other accounts too."""
    own = {"accountId": {"Equals": [region.account]}, "service.archived": {"Equals": ["false"]}}
    return {"Criterion": own | more}


def _severities(region: Region, detector: str) -> list[tuple[float, int]]:
    """How many findings are open of each severity."""
    asked: dict[str, Any] = {"FindingCriteria": _open(region), "GroupBy": "SEVERITY", "MaxResults": MOST_GROUPS}
    answer = region.read("guardduty:GetFindingsStatistics", DetectorId=detector, **asked)["FindingStatistics"]
    return [(group["Severity"], group["TotalFindings"]) for group in answer.get("GroupedBySeverity") or ()]


def _counts(severities: list[tuple[float, int]]) -> dict[str, int]:
    def between(least: float, under: float) -> int:
        return sum(count for severity, count in severities if least <= severity < under)

    return {
        "open_critical_count": between(CRITICAL, float("inf")),
        "open_high_count": between(HIGH, CRITICAL),
        "open_medium_count": between(MEDIUM, HIGH),
        "open_low_count": between(0, MEDIUM),
    }


def _oldest_high(region: Region, detector: str) -> int | None:
    criteria = _open(region, severity={"GreaterThanOrEqual": HIGH})
    asked: dict[str, Any] = {"DetectorId": detector, "FindingCriteria": criteria, "MaxResults": PAGE}
    ids = (str(finding) for finding in region.pages("guardduty:ListFindings", "FindingIds", **asked))
    made = [
        datetime.fromisoformat(finding["CreatedAt"])
        for batch in batches(ids, PAGE)
        for finding in region.read("guardduty:GetFindings", DetectorId=detector, FindingIds=batch)["Findings"]
    ]
    return (region.run.started - min(made)).days if made else None
