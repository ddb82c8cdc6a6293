"""Evidence of Dependabot: which repositories it watches, and which vulnerabilities it knows of."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Personal, Record, evidence
from collectors.errors import AccessDenied, Unavailable
from collectors.github.graphql import Node
from collectors.github.refusals import refusal
from collectors.github.security_queries import VULNERABILITY_ALERTS
from collectors.github.selected import (
    ADMINISTRATION,
    RepositoryRecord,
    by_repository,
    counted,
    days_since,
    login,
    named,
    nodes,
    place,
    security_settings,
    shown,
)
from collectors.github.targets import METADATA, Organization

ALERTS = "vulnerability_alerts:read"
STATES = {"state": "open,dismissed,auto_dismissed"}  # those that are fixed only ever grow in number


class DependabotAlert(Record):
    """A vulnerable dependency that is still there."""

    number: int = Field(description="The alert's number in its repository.")
    state: str = Field(description="`open`, `dismissed` or `auto_dismissed`.")
    severity: str = Field(description="`critical`, `high`, `medium` or `low`.")
    ecosystem: str = Field(description="The package's ecosystem, as in `npm`.")
    package: str = Field(description="The package that is vulnerable.")
    manifest: str | None = Field(description="The file that asks for the package; null where GitHub does not say.")
    scope: str | None = Field(description="`runtime` or `development`; null where GitHub does not know.")
    advisory: str = Field(description="The advisory's id, as in `GHSA-rf4j-j272-fj86`.")
    cve: str | None = Field(description="The CVE; null where the advisory has none.")
    patched_version: str | None = Field(description="The first version without it; null where there is none yet.")
    created_at: datetime = Field(description="When the alert was raised.")
    age_days: int = Field(description="Whole days since it was raised.")
    dismissed_at: datetime | None = Field(description="When somebody dismissed it; null where nobody did.")
    dismissed_by: Personal | None = Field(description="The login of who dismissed it; null where nobody did.")
    dismissed_reason: str | None = Field(description="Why, as in `tolerable_risk`; null where it was not dismissed.")
    dismissed_comment: str | None = Field(description="What was written with it; null where nothing was.")


class DependabotAlerts(RepositoryRecord):
    """Dependabot in one repository."""

    enabled: bool = Field(description="Whether Dependabot alerts are switched on.")
    security_updates: str | None = Field(
        description="Whether Dependabot opens pull requests that mend them: `enabled` or `disabled`; null where GitHub "
        "does not say."
    )
    open: int | None = Field(description="How many alerts are open; null where alerts are off.")
    open_by_severity: dict[str, int] | None = Field(
        description="The open ones by severity; one that is not named has none. Null where alerts are off."
    )
    oldest_open_days: int | None = Field(description="Days since the oldest open one was raised; null without one.")
    alerts: list[DependabotAlert] | None = Field(
        description="Every alert that is open or dismissed; null where alerts are off. Fixed ones are not listed."
    )


@evidence(ALERTS, ADMINISTRATION, METADATA)
def alerts(organization: Organization) -> Iterator[DependabotAlerts | Gap]:
    """Whether Dependabot alerts are on in each repository, and every alert there that is open or was dismissed."""
    listed = organization.items(
        "GET /orgs/{org}/dependabot/alerts", STATES, permission=ALERTS, absent=AccessDenied, org=organization.login
    )
    known = by_repository(listed, partial(_alert, organization))
    flags = nodes(organization, VULNERABILITY_ALERTS)
    yield from organization.each_repository(partial(_look, organization, known, flags))


def _look(
    organization: Organization,
    known: Mapping[str, list[DependabotAlert]],
    flags: Mapping[str, Node],
    repository: Mapping[str, Any],
) -> DependabotAlerts:
    enabled = _enabled(organization, repository, shown(flags, repository, VULNERABILITY_ALERTS))
    settings = security_settings(organization, repository)
    found = known.get(repository["full_name"], [])
    raised = [alert for alert in found if alert.state == "open"]
    return DependabotAlerts(
        **named(repository),
        enabled=enabled,
        security_updates=settings.get("dependabot_security_updates"),
        open=len(raised) if enabled else None,
        open_by_severity=counted(alert.severity for alert in raised) if enabled else None,
        oldest_open_days=max((alert.age_days for alert in raised), default=None) if enabled else None,
        alerts=found if enabled else None,
    )


def _enabled(organization: Organization, repository: Mapping[str, Any], flag: Mapping[str, Any]) -> bool:
    """Whether alerts are on. Who may not administer the repository is not told by GraphQL, so REST is asked again."""
    if flag["hasVulnerabilityAlertsEnabled"] or organization.administers(flag):
        return bool(flag["hasVulnerabilityAlertsEnabled"])
    operation = "GET /repos/{owner}/{repo}/vulnerability-alerts"
    reply = organization.reply(operation, permission=ADMINISTRATION, **place(repository))
    if reply.status == HTTPStatus.NO_CONTENT:
        return True
    if reply.status == HTTPStatus.NOT_FOUND and reply.message.lower().startswith("vulnerability alerts are disabled"):
        return False
    raise refusal(reply, operation, ADMINISTRATION, absent=AccessDenied) or Unavailable(
        "the answer is neither that alerts are on nor that they are off", operation=operation
    )


def _alert(organization: Organization, alert: Mapping[str, Any]) -> DependabotAlert:
    vulnerability, dependency = alert["security_vulnerability"], alert["dependency"]
    return DependabotAlert(
        number=alert["number"],
        state=alert["state"],
        severity=vulnerability["severity"],
        ecosystem=vulnerability["package"]["ecosystem"],
        package=vulnerability["package"]["name"],
        manifest=dependency.get("manifest_path"),
        scope=dependency.get("scope"),
        advisory=alert["security_advisory"]["ghsa_id"],
        cve=alert["security_advisory"]["cve_id"],
        patched_version=(vulnerability["first_patched_version"] or {}).get("identifier"),
        created_at=alert["created_at"],
        age_days=days_since(organization, alert["created_at"]),
        dismissed_at=alert["dismissed_at"],
        dismissed_by=login(alert["dismissed_by"]),
        dismissed_reason=alert["dismissed_reason"],
        dismissed_comment=alert.get("dismissed_comment"),
    )
