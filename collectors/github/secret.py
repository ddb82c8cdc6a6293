"""Evidence of secret scanning: where it is on, and which secrets it found. A secret itself is never read."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Personal, Record, evidence
from collectors.errors import AccessDenied
from collectors.github.selected import (
    ADMINISTRATION,
    RepositoryRecord,
    by_repository,
    counted,
    days_since,
    login,
    named,
    security_settings,
)
from collectors.github.targets import METADATA, Organization

ALERTS = "secret_scanning_alerts:read"
HIDDEN = {"hide_secret": "true"}
ON = "enabled"


class SecretAlert(Record):
    """A secret that was found in a repository: what kind, and what became of it."""

    # Neither the secret nor a comment: people paste secrets into comments.
    number: int = Field(description="The alert's number in its repository.")
    state: str = Field(description="`open` or `resolved`.")
    secret_type: str = Field(description="The kind of secret, as in `adafruit_io_key`.")
    validity: str | None = Field(
        description="Whether it still works: `active`, `inactive` or `unknown`; null where GitHub does not say."
    )
    publicly_leaked: bool | None = Field(
        description="Whether it was seen in public as well; null where GitHub does not say."
    )
    multi_repo: bool | None = Field(
        description="Whether it is in several repositories of the organization; null where GitHub does not say."
    )
    push_protection_bypassed: bool | None = Field(
        description="Whether somebody pushed it past push protection; null where GitHub does not say."
    )
    bypassed_at: datetime | None = Field(description="When that was; null where nobody did.")
    bypassed_by: Personal | None = Field(description="The login of who did; null where nobody did.")
    created_at: datetime = Field(description="When it was found.")
    age_days: int = Field(description="Whole days since it was found.")
    resolution: str | None = Field(description="How it was resolved, as in `revoked`; null where it is open.")
    resolved_at: datetime | None = Field(description="When it was resolved; null where it is open.")
    resolved_by: Personal | None = Field(
        description="The login of who resolved it; null where it is open, or GitHub does not say."
    )


class SecretScanning(RepositoryRecord):
    """Secret scanning in one repository. A setting is `enabled` or `disabled`."""

    secret_scanning: str | None = Field(description="Secret scanning itself; null where GitHub does not say.")
    push_protection: str | None = Field(
        description="Whether pushes with a secret are refused; null where GitHub does not say."
    )
    non_provider_patterns: str | None = Field(
        description="Whether secrets of no known provider are looked for; null where GitHub does not say."
    )
    validity_checks: str | None = Field(
        description="Whether providers are asked if a secret works; null where GitHub does not say."
    )
    open: int | None = Field(description="How many alerts are open; null where scanning is not on.")
    open_by_validity: dict[str, int] | None = Field(
        description="The open ones by validity, `none` where GitHub does not say it; null where scanning is not on."
    )
    oldest_open_days: int | None = Field(description="Days since the oldest open one was found; null without one.")
    alerts: list[SecretAlert] | None = Field(description="Every alert, open or resolved; null where scanning is off.")


@evidence(ALERTS, ADMINISTRATION, METADATA)
def scanning(organization: Organization) -> Iterator[SecretScanning | Gap]:
    """Whether secret scanning and push protection are on in each repository, and every alert of the default patterns.

    GitHub is asked to leave the secrets out of its answers.
    """
    listed = organization.items(
        "GET /orgs/{org}/secret-scanning/alerts", HIDDEN, permission=ALERTS, absent=AccessDenied, org=organization.login
    )
    known = by_repository(listed, partial(_alert, organization))
    yield from organization.each_repository(partial(_look, organization, known))


def _look(
    organization: Organization, known: Mapping[str, list[SecretAlert]], repository: Mapping[str, Any]
) -> SecretScanning:
    settings = security_settings(organization, repository)
    found = known.get(repository["full_name"], [])
    raised = [alert for alert in found if alert.state == "open"]
    on = settings.get("secret_scanning") == ON or bool(found)
    return SecretScanning(
        **named(repository),
        secret_scanning=settings.get("secret_scanning"),
        push_protection=settings.get("secret_scanning_push_protection"),
        non_provider_patterns=settings.get("secret_scanning_non_provider_patterns"),
        validity_checks=settings.get("secret_scanning_validity_checks"),
        open=len(raised) if on else None,
        open_by_validity=counted(alert.validity for alert in raised) if on else None,
        oldest_open_days=max((alert.age_days for alert in raised), default=None),
        alerts=found if on else None,
    )


def _alert(organization: Organization, alert: Mapping[str, Any]) -> SecretAlert:
    return SecretAlert(
        number=alert["number"],
        state=alert["state"],
        secret_type=alert["secret_type"],
        validity=alert.get("validity"),
        publicly_leaked=alert.get("publicly_leaked"),
        multi_repo=alert.get("multi_repo"),
        push_protection_bypassed=alert.get("push_protection_bypassed"),
        bypassed_at=alert.get("push_protection_bypassed_at"),
        bypassed_by=login(alert.get("push_protection_bypassed_by")),
        created_at=alert["created_at"],
        age_days=days_since(organization, alert["created_at"]),
        resolution=alert.get("resolution"),
        resolved_at=alert.get("resolved_at"),
        resolved_by=login(alert.get("resolved_by")),
    )
