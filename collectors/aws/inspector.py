"""Amazon Inspector: what it scans for vulnerabilities, and what it found."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from collectors.aws.moment import Instant
from collectors.aws.targets import Answer, Region
from collectors.contract import Record, evidence
from collectors.errors import Unavailable

PAGE = 200
RESOURCES = {"ec2": "ec2", "ecr": "ecr", "lambda_functions": "lambda", "lambda_code": "lambdaCode"}
ON = "ENABLED"


class Scans(Record):
    """The state of scanning by kind of resource, as in `ENABLED`, `DISABLED` or `SUSPENDED`."""

    ec2: str | None = Field(description="Of EC2 instances; null where AWS does not say.")
    ecr: str | None = Field(description="Of container images in ECR; null where AWS does not say.")
    lambda_functions: str | None = Field(description="Of Lambda functions' packages; null where AWS does not say.")
    lambda_code: str | None = Field(description="Of Lambda functions' own code; null where AWS does not say.")


class OpenFindings(Record):
    """How many findings are open, by severity."""

    critical: int = Field(description="Those that are critical.")
    high: int = Field(description="Those that are high.")
    medium: int = Field(description="Those that are medium.")
    low: int = Field(description="Those that are low.")
    untriaged: int = Field(description="Those that have no severity yet.")


class OldestFindings(Record):
    """The days since the oldest open finding of a severity was first seen."""

    critical: int | None = Field(description="Of those that are critical; null where none is open.")
    high: int | None = Field(description="Of those that are high; null where none is open.")
    medium: int | None = Field(description="Of those that are medium; null where none is open.")
    low: int | None = Field(description="Of those that are low; null where none is open.")


class Uncovered(Record):
    """One resource that is not scanned."""

    resource: str = Field(description="The resource's id or ARN, as Inspector names it.")
    type: str = Field(description="Its type, as in `AWS_EC2_INSTANCE`.")
    scan_type: str = Field(description="The scan that is missing: `PACKAGE`, `NETWORK` or `CODE`.")
    reason: str | None = Field(description="Why, as in `UNMANAGED_EC2_INSTANCE`; null where AWS does not say.")
    last_scanned: Instant | None = Field(description="The last scan before; null where AWS knows of none.")


class InspectorFindings(Record):
    """Inspector in one region. Where it is off, what it would find is null or empty."""

    account: str = Field(description="The account.")
    region: str = Field(description="The region.")
    enabled: bool = Field(description="Whether Inspector is switched on.")
    state: str = Field(description="Its state, as in `ENABLED`, `DISABLED` or `SUSPENDED`.")
    scans: Scans = Field(description="Which kinds of resources are scanned.")
    open_by_severity: OpenFindings | None = Field(
        description="The open findings on this account; null where it is off."
    )
    oldest_days: OldestFindings | None = Field(description="How old the open findings are; null where it is off.")
    covered: int | None = Field(description="How many scans of resources are active; null where it is off.")
    uncovered: tuple[Uncovered, ...] = Field(description="The resources that Inspector knows of and does not scan.")


@evidence(
    "inspector2:BatchGetAccountStatus",
    "inspector2:ListCoverage",
    "inspector2:ListCoverageStatistics",
    "inspector2:ListFindingAggregations",
    "inspector2:ListFindings",
)
def findings(region: Region) -> Iterator[InspectorFindings]:
    """Whether Inspector scans a region, how many findings are open and how old they are, and what is not scanned."""
    status = _status(region)
    state = status["state"]["status"]
    enabled = state == ON
    counts = _open_findings(region) if enabled else None
    yield InspectorFindings(
        account=region.account,
        region=region.region,
        enabled=enabled,
        state=state,
        scans=Scans(**{kind: status["resourceState"].get(key, {}).get("status") for kind, key in RESOURCES.items()}),
        open_by_severity=counts,
        oldest_days=counts and _oldest(region, counts),
        covered=_covered(region) if enabled else None,
        uncovered=tuple(_uncovered(region)) if enabled else (),
    )


def _status(region: Region) -> Answer:
    answer = region.read("inspector2:BatchGetAccountStatus", accountIds=[region.account])
    for account in answer["accounts"]:
        return dict(account)
    reasons = ", ".join(f"{failed['errorCode']}: {failed['errorMessage']}" for failed in answer["failedAccounts"])
    raise Unavailable(f"no status of the account: {reasons}", operation="inspector2:BatchGetAccountStatus")


def _is(value: str) -> list[dict[str, str]]:
    return [{"comparison": "EQUALS", "value": value}]


def _open_findings(region: Region) -> OpenFindings:
    """The account's counts; an administrator's Inspector has those of other accounts too."""
    asked: dict[str, Any] = {"aggregationType": "ACCOUNT", "accountIds": _is(region.account)}
    groups = region.read("inspector2:ListFindingAggregations", **asked).get("responses") or ()
    counts: Answer = next((group["accountAggregation"]["severityCounts"] for group in groups), {})
    return OpenFindings(**{severity: counts.get(severity, 0) for severity in OpenFindings.model_fields})


def _oldest(region: Region, counts: OpenFindings) -> OldestFindings:
    return OldestFindings(**{
        severity: _days(region, severity) if getattr(counts, severity) else None
        for severity in OldestFindings.model_fields
    })  # fmt: skip


def _days(region: Region, severity: str) -> int | None:
    criteria = {
        "awsAccountId": _is(region.account),
        "findingStatus": _is("ACTIVE"),
        "severity": _is(severity.upper()),
    }
    asked: dict[str, Any] = {
        "filterCriteria": criteria,
        "maxResults": 1,
        "sortCriteria": {"field": "FIRST_OBSERVED_AT", "sortOrder": "ASC"},
    }
    found = region.read("inspector2:ListFindings", **asked).get("findings") or ()
    return (region.run.started - found[0]["firstObservedAt"]).days if found else None


def _covered(region: Region) -> int:
    criteria = {"accountId": _is(region.account), "scanStatusCode": _is("ACTIVE")}
    return int(region.read("inspector2:ListCoverageStatistics", filterCriteria=criteria)["totalCounts"])


def _uncovered(region: Region) -> Iterator[Uncovered]:
    criteria = {"accountId": _is(region.account), "scanStatusCode": _is("INACTIVE")}
    asked: dict[str, Any] = {"filterCriteria": criteria, "maxResults": PAGE}
    for resource in region.pages("inspector2:ListCoverage", "coveredResources", **asked):
        yield Uncovered(
            resource=resource["resourceId"],
            type=resource["resourceType"],
            scan_type=resource["scanType"],
            reason=resource.get("scanStatus", {}).get("reason"),
            last_scanned=resource.get("lastScannedAt"),
        )
