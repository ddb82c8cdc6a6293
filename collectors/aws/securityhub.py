"""AWS Security Hub: which standards it checks, and the checks that fail."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from collectors.aws.moment import Instant
from collectors.aws.targets import Answer, Region
from collectors.contract import Record, evidence
from collectors.errors import AccessDenied, NotFound

PAGE = 100
NOT_SUBSCRIBED = "not subscribed"  # in the message; by its code it is a denial, as others are
OPEN = {
    "ComplianceStatus": ("FAILED",),
    "RecordState": ("ACTIVE",),
    "WorkflowStatus": ("NEW", "NOTIFIED"),
}


class OpenFindings(Record):
    """How many findings of failed controls are open, by severity."""

    critical: int = Field(description="Those that are critical.")
    high: int = Field(description="Those that are high.")
    medium: int = Field(description="Those that are medium.")
    low: int = Field(description="Those that are low.")
    informational: int = Field(description="Those that only inform.")


class Standard(Record):
    """One enabled standard, and how many of its controls are checked and fail."""

    standard: str = Field(description="The standard's ARN, which names it and its version.")
    arn: str = Field(description="The ARN of this account's subscription to it.")
    status: str = Field(description="`READY`, `PENDING`, `INCOMPLETE`, `FAILED` or `DELETING`.")
    status_reason: str | None = Field(
        description="Why it is not ready, as in `NO_AVAILABLE_CONFIGURATION_RECORDER`; null where AWS does not say."
    )
    controls_enabled: int = Field(description="Its controls that are checked.")
    controls_disabled: int = Field(description="Its controls that are switched off.")
    controls_failed: int = Field(description="Its controls with at least one open finding.")
    open_by_severity: OpenFindings = Field(description="The open findings that count against it.")


class Hub(Record):
    """Security Hub in one region. Where it was never switched on, `enabled` is false and the rest is null or empty."""

    account: str = Field(description="The account.")
    region: str = Field(description="The region.")
    enabled: bool = Field(description="Whether Security Hub is switched on.")
    arn: str | None = Field(description="The hub's ARN; null where it is not switched on.")
    subscribed_at: Instant | None = Field(description="When it was switched on; null where it is not.")
    auto_enable_controls: bool | None = Field(
        description="Whether new controls of enabled standards are checked by themselves; null where AWS does not say."
    )
    standards: tuple[Standard, ...] = Field(description="The standards that are enabled.")
    open_by_severity: OpenFindings | None = Field(
        description="All open findings of failed controls in this account and region, each once; null where it is off."
    )


@evidence(
    "securityhub:DescribeHub",
    "securityhub:DescribeStandardsControls",
    "securityhub:GetEnabledStandards",
    "securityhub:GetFindings",
)
def standards(region: Region) -> Iterator[Hub]:
    """Whether Security Hub is on in a region, its standards, and the findings of failed controls that are open.

    Open are findings that are active and whose workflow is neither resolved nor suppressed.
    """
    hub = _hub(region)
    enabled = hub is not None
    failed = list(_failed(region)) if enabled else []
    yield Hub(
        account=region.account,
        region=region.region,
        enabled=enabled,
        arn=hub and hub["HubArn"],
        subscribed_at=hub and hub.get("SubscribedAt"),
        auto_enable_controls=hub and hub.get("AutoEnableControls"),
        standards=tuple(_standard(region, failed, found) for found in _enabled_standards(region)) if enabled else (),
        open_by_severity=_open_findings(failed) if enabled else None,
    )


def _hub(region: Region) -> Answer | None:
    """The region's hub; None where Security Hub was never switched on. Raises CollectionError."""
    try:
        return region.read("securityhub:DescribeHub")
    except NotFound:
        return None
    except AccessDenied as error:
        if NOT_SUBSCRIBED in error.message:
            return None
        raise


def _enabled_standards(region: Region) -> Iterator[Answer]:
    return region.pages("securityhub:GetEnabledStandards", "StandardsSubscriptions", MaxResults=PAGE)


def _failed(region: Region) -> Iterator[Answer]:
    """The open findings of controls, of this account and region: a hub may gather those of others as well."""
    wanted = {**OPEN, "AwsAccountId": (region.account,), "Region": (region.region,)}
    filters = {
        name: [{"Value": value, "Comparison": "EQUALS"} for value in values] for name, values in sorted(wanted.items())
    }
    asked: dict[str, Any] = {"Filters": filters, "MaxResults": PAGE}
    for finding in region.pages("securityhub:GetFindings", "Findings", **asked):
        if "SecurityControlId" in finding["Compliance"]:  # other products' findings have none
            yield {"severity": finding["Severity"]["Label"], **finding["Compliance"]}


def _standard(region: Region, failed: list[Answer], found: Answer) -> Standard:
    subscription = found["StandardsSubscriptionArn"]
    asked = {"StandardsSubscriptionArn": subscription}
    controls = region.pages("securityhub:DescribeStandardsControls", "Controls", **asked, MaxResults=PAGE)
    status = Counter(control["ControlStatus"] for control in controls)
    against = [finding for finding in failed if _is_against(found["StandardsArn"], finding)]
    return Standard(
        standard=found["StandardsArn"],
        arn=subscription,
        status=found["StandardsStatus"],
        status_reason=found.get("StandardsStatusReason", {}).get("StatusReasonCode"),
        controls_enabled=status["ENABLED"],
        controls_disabled=status["DISABLED"],
        controls_failed=len({finding["SecurityControlId"] for finding in against}),
        open_by_severity=_open_findings(against),
    )


def _is_against(standard: str, finding: Answer) -> bool:
    """Findings name a standard by the end of its ARN, as in `standards/cis-aws-foundations-benchmark/v/3.0.0`."""
    named = (associated["StandardsId"] for associated in finding.get("AssociatedStandards") or ())
    return any(standard.endswith(f":{name}") for name in named)


def _open_findings(findings: list[Answer]) -> OpenFindings:
    counts = Counter(finding["severity"].lower() for finding in findings)
    return OpenFindings(**{severity: counts[severity] for severity in OpenFindings.model_fields})
