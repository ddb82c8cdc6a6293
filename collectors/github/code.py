"""Evidence of code scanning: where it runs, and what it found."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Personal, Record, evidence
from collectors.errors import AccessDenied, Unavailable
from collectors.github.refusals import refusal
from collectors.github.selected import (
    ADMINISTRATION,
    RepositoryRecord,
    by_repository,
    counted,
    days_since,
    login,
    named,
    place,
)
from collectors.github.targets import METADATA, Organization

ALERTS = "security_events:read"
ANALYSES = "GET /repos/{owner}/{repo}/code-scanning/analyses"
STATES = ("open", "dismissed")  # GitHub lists one state at a time; those that are fixed only ever grow in number
NEVER_ANALYSED = "no analysis found"


class CodeAlert(Record):
    """A flaw in the default branch that code scanning found."""

    number: int = Field(description="The alert's number in its repository.")
    state: str = Field(description="`open` or `dismissed`.")
    rule: str | None = Field(description="The rule that found it, as in `js/sql-injection`; null where it has no id.")
    severity: str | None = Field(description="`error`, `warning` or `note`; null where the rule has none.")
    security_severity: str | None = Field(
        description="`critical`, `high`, `medium` or `low`; null where the rule is not about security."
    )
    tool: str | None = Field(description="The tool that found it, as in `CodeQL`; null where GitHub does not say.")
    path: str | None = Field(description="The file that it is in; null where GitHub does not say.")
    created_at: datetime = Field(description="When it was found.")
    age_days: int = Field(description="Whole days since it was found.")
    dismissed_at: datetime | None = Field(description="When somebody dismissed it; null where nobody did.")
    dismissed_by: Personal | None = Field(description="The login of who dismissed it; null where nobody did.")
    dismissed_reason: str | None = Field(description="Why, as in `false positive`; null where it was not dismissed.")
    dismissed_comment: str | None = Field(description="What was written with it; null where nothing was.")


class CodeScanning(RepositoryRecord):
    """Code scanning in one repository."""

    branch: str | None = Field(description="The default branch; null where GitHub does not say.")
    default_setup: str | None = Field(
        description="`configured` where GitHub's own set-up runs, else `not-configured`; null where GitHub does not "
        "say. Workflows of the repository's own do not count here."
    )
    query_suite: str | None = Field(description="The set-up's queries, as in `extended`; null where there is none.")
    languages: list[str] | None = Field(description="The languages of the set-up; null where GitHub does not say.")
    last_analysis_at: datetime | None = Field(
        description="When the default branch was analysed last, by whatever set-up; null where it never was."
    )
    last_tool: str | None = Field(description="The tool of that analysis; null where there was none.")
    last_error: str | None = Field(description="The error of that analysis; null where it had none.")
    open: int = Field(description="How many alerts are open.")
    open_by_severity: dict[str, int] = Field(
        description="The open ones by security severity, `none` where a rule is not about security."
    )
    oldest_open_days: int | None = Field(description="Days since the oldest open one was found; null without one.")
    alerts: list[CodeAlert] = Field(description="Every alert that is open or dismissed. Fixed ones are not listed.")


@evidence(ALERTS, ADMINISTRATION, METADATA)
def scanning(organization: Organization) -> Iterator[CodeScanning | Gap]:
    """How code scanning is set up in each repository, when it ran last, and every alert on the default branch that is
    open or was dismissed.

    A repository where code scanning is off, or not part of the plan, is a gap that says which.
    """
    listed = (alert for state in STATES for alert in _listed(organization, state))
    known = by_repository(listed, partial(_alert, organization))
    yield from organization.each_repository(partial(_look, organization, known))


def _listed(organization: Organization, state: str) -> Iterator[dict[str, Any]]:
    operation = "GET /orgs/{org}/code-scanning/alerts"
    return organization.items(
        operation, {"state": state}, permission=ALERTS, absent=AccessDenied, org=organization.login
    )


def _look(
    organization: Organization, known: Mapping[str, list[CodeAlert]], repository: Mapping[str, Any]
) -> CodeScanning:
    operation = "GET /repos/{owner}/{repo}/code-scanning/default-setup"
    setup = organization.get(operation, permission=ADMINISTRATION, absent=AccessDenied, **place(repository))
    latest = _latest(organization, repository)
    found = known.get(repository["full_name"], [])
    raised = [alert for alert in found if alert.state == "open"]
    return CodeScanning(
        **named(repository),
        branch=repository.get("default_branch"),
        default_setup=setup.get("state"),
        query_suite=setup.get("query_suite"),
        languages=setup.get("languages"),
        last_analysis_at=latest.get("created_at"),
        last_tool=(latest.get("tool") or {}).get("name"),
        last_error=latest.get("error") or None,
        open=len(raised),
        open_by_severity=counted(alert.security_severity for alert in raised),
        oldest_open_days=max((alert.age_days for alert in raised), default=None),
        alerts=found,
    )


def _latest(organization: Organization, repository: Mapping[str, Any]) -> Mapping[str, Any]:
    """The latest analysis of the default branch; empty where there never was one, which GitHub says with a 404."""
    branch = repository.get("default_branch")
    filters = {"per_page": "1", **({"ref": f"refs/heads/{branch}"} if branch else {})}
    reply = organization.reply(ANALYSES, filters, permission=ALERTS, **place(repository))
    if reply.status == HTTPStatus.NOT_FOUND and reply.message.lower() == NEVER_ANALYSED:
        return {}
    error = refusal(reply, ANALYSES, ALERTS, absent=AccessDenied)
    if error is not None:
        raise error
    if not isinstance(reply.body, list):
        raise Unavailable("the answer is not the list that it should be", operation=ANALYSES)
    return next(iter(reply.body), {})


def _alert(organization: Organization, alert: Mapping[str, Any]) -> CodeAlert:
    rule, instance = alert["rule"], alert["most_recent_instance"]
    return CodeAlert(
        number=alert["number"],
        state=alert["state"],
        rule=rule.get("id"),
        severity=rule.get("severity"),
        security_severity=rule.get("security_severity_level"),
        tool=alert["tool"].get("name"),
        path=(instance.get("location") or {}).get("path"),
        created_at=alert["created_at"],
        age_days=days_since(organization, alert["created_at"]),
        dismissed_at=alert["dismissed_at"],
        dismissed_by=login(alert["dismissed_by"]),
        dismissed_reason=alert["dismissed_reason"],
        dismissed_comment=alert.get("dismissed_comment"),
    )
