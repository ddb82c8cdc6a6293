"""IAM Access Analyzer: where it looks for access from outside and for access that is not used."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from pydantic import Field

from collectors.aws.moment import Instant
from collectors.aws.targets import Answer, Region
from collectors.contract import Gap, Record, evidence

PAGE = 100


class Finding(Record):
    """One active finding."""

    finding: str = Field(description="The finding's id.")
    type: str | None = Field(
        description="What was found, as in `ExternalAccess` or `UnusedIAMRole`; null where AWS does not say."
    )
    resource: str | None = Field(description="The ARN of the resource; null where AWS does not say.")
    resource_type: str = Field(description="The type of the resource, as in `AWS::S3::Bucket`.")
    owner: str = Field(description="The account that owns the resource.")
    created_at: Instant = Field(description="When it was found.")
    age_days: int = Field(description="The days since then.")


class AnalyzerFindings(Record):
    """One analyzer and its active findings. Where a region has none, `exists` is false and the rest null or empty."""

    account: str = Field(description="The account.")
    region: str = Field(description="The region.")
    exists: bool = Field(description="Whether there is an analyzer; false in the one record of a region without any.")
    name: str | None = Field(description="The analyzer's name; null where there is none.")
    arn: str | None = Field(description="The analyzer's ARN; null where there is none.")
    tags: dict[str, str] = Field(description="The analyzer's tags.")
    type: str | None = Field(
        description="What it looks for and where, as in `ACCOUNT` or `ORGANIZATION_UNUSED_ACCESS`; null without one."
    )
    status: str | None = Field(description="`ACTIVE`, `CREATING`, `DISABLED` or `FAILED`; null where there is none.")
    created_at: Instant | None = Field(description="When it was made; null where there is none.")
    last_analyzed: Instant | None = Field(description="When it last looked at a resource; null where AWS does not say.")
    unused_after_days: int | None = Field(
        description="The days after which access counts as not used; null where it does not look for that."
    )
    external_access: int | None = Field(
        description="Active findings of access from outside its zone of trust; null where there is no analyzer."
    )
    internal_access: int | None = Field(
        description="Active findings of access from inside; null where there is no analyzer."
    )
    unused_access: int | None = Field(
        description="Active findings of access that is not used; null where there is no analyzer."
    )
    findings: tuple[Finding, ...] = Field(description="The active findings.")


@evidence("access-analyzer:ListAnalyzers", "access-analyzer:ListFindings")
def findings(region: Region) -> Iterator[AnalyzerFindings | Gap]:
    """Every access analyzer and its active findings; a record that says so where a region has no analyzer."""
    analyzers = list(region.pages("accessanalyzer:ListAnalyzers", "analyzers", maxResults=PAGE))
    if not analyzers:
        yield _none(region)
    yield from region.each(analyzers, partial(_analyzer, region), resource=lambda analyzer: str(analyzer["arn"]))


def _none(region: Region) -> AnalyzerFindings:
    return AnalyzerFindings(
        account=region.account,
        region=region.region,
        exists=False,
        name=None,
        arn=None,
        tags={},
        type=None,
        status=None,
        created_at=None,
        last_analyzed=None,
        unused_after_days=None,
        external_access=None,
        internal_access=None,
        unused_access=None,
        findings=(),
    )


def _analyzer(region: Region, analyzer: Answer) -> AnalyzerFindings:
    found = tuple(_active(region, analyzer["arn"]))
    kinds = [finding.type or "" for finding in found]
    return AnalyzerFindings(
        account=region.account,
        region=region.region,
        exists=True,
        name=analyzer["name"],
        arn=analyzer["arn"],
        tags=analyzer.get("tags") or {},
        type=analyzer["type"],
        status=analyzer["status"],
        created_at=analyzer["createdAt"],
        last_analyzed=analyzer.get("lastResourceAnalyzedAt"),
        unused_after_days=analyzer.get("configuration", {}).get("unusedAccess", {}).get("unusedAccessAge"),
        external_access=kinds.count("ExternalAccess"),
        internal_access=kinds.count("InternalAccess"),
        unused_access=sum(kind.startswith("Unused") for kind in kinds),
        findings=found,
    )


def _active(region: Region, analyzer: str) -> Iterator[Finding]:
    asked: dict[str, Any] = {
        "analyzerArn": analyzer,
        "filter": {"status": {"eq": ["ACTIVE"]}},
        "maxResults": PAGE,
    }
    for finding in region.pages("accessanalyzer:ListFindingsV2", "findings", **asked):
        yield Finding(
            finding=finding["id"],
            type=finding.get("findingType"),
            resource=finding.get("resource"),
            resource_type=finding["resourceType"],
            owner=finding["resourceOwnerAccount"],
            created_at=finding["createdAt"],
            age_days=(region.run.started - finding["createdAt"]).days,
        )
