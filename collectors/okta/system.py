"""An org's System Log, as far as it tells of rights given, guards changed, and accounts ended."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Period, Personal, Record, evidence
from collectors.errors import Invalid
from collectors.okta.moment import stamp
from collectors.okta.targets import Tenant, part

READ = "okta.logs.read"
LOGS = "GET /api/v1/logs"
_KEPT = timedelta(days=90)
# Okta says that some events are late, rarely, and not by how much: an hour is our own allowance.
_LATE = timedelta(hours=1)
_PAGE = "1000"
_MILLISECOND = timedelta(milliseconds=1)  # what Okta's times are exact to
# Who becomes an administrator through a group or an app shows as a privilege granted: the membership events of all
# groups and apps would drown the rest.
_TYPES = (
    "event_hook.created",
    "event_hook.deactivated",
    "event_hook.deleted",
    "event_hook.updated",
    "policy.rule.activate",
    "policy.rule.add",
    "policy.rule.deactivate",
    "policy.rule.delete",
    "policy.rule.invalidate",
    "policy.rule.update",
    "security.attack_protection.settings.update",
    "security.protected_action.settings.update",
    "security.threat.configuration.update",
    "system.api_token.create",
    "system.api_token.enable",
    "system.api_token.revoke",
    "system.api_token.update",
    "user.lifecycle.deactivate",
    "user.lifecycle.delete.completed",
    "user.lifecycle.delete.initiated",
    "user.lifecycle.reactivate",
    "user.lifecycle.suspend",
    "user.lifecycle.unsuspend",
    "user.mfa.factor.deactivate",
    "user.mfa.factor.reset_all",
    "user.mfa.factor.suspend",
    "user.mfa.factor.unsuspend",
)
_FAMILIES = (  # whose every type, today's and tomorrow's, is an administrator's doing
    "app.oauth2.admin.consent.",
    "app.oauth2.client.privilege.",
    "group.privilege.",
    "iam.",
    "policy.lifecycle.",
    "security.authenticator.lifecycle.",
    "security.behavior.settings.",
    "system.directory.debugger.",
    "system.idp.",
    "system.log_stream.lifecycle.",
    "system.mfa.factor.",
    "user.account.privilege.",
    "user.session.impersonation.",
    "zone.",
)
_FILTER = " or ".join(
    [*(f'eventType eq "{name}"' for name in _TYPES), *(f'eventType sw "{name}"' for name in _FAMILIES)]
)
_USER = "User"


class EventActor(Record):
    """Who did it."""

    id: str | None = Field(description="Okta's id of who did it; null where Okta does not say.")
    type: str | None = Field(
        description="As in `User`, `SystemPrincipal` (Okta itself) or `PublicClientApp`; null where Okta does not say."
    )
    login: Personal | None = Field(description="The user's login; null where it was no user, or Okta does not say.")


class EventTarget(Record):
    """Something that it was done to."""

    id: str | None = Field(description="Okta's id of it; null where Okta does not say.")
    type: str | None = Field(description="As in `User`, `UserGroup` or `PolicyEntity`; null where Okta does not say.")
    login: Personal | None = Field(description="The user's login; null where it is no user, or Okta does not say.")


class AdminEvent(Record):
    """One event: what was done, by whom, to what, when, from where, and whether it was let through."""

    uuid: str = Field(description="The event's id.")
    published: str = Field(description="When it was done, UTC.")
    event_type: str = Field(description="What was done, as in `user.account.privilege.grant`.")
    outcome: str | None = Field(description="As in `SUCCESS`, `FAILURE` or `DENY`; null where Okta does not say.")
    outcome_reason: str | None = Field(description="Why, in Okta's words; null where Okta does not say.")
    actor: EventActor = Field(description="Who did it.")
    client_ip: str | None = Field(description="The address that it was done from; null where Okta names none.")
    privilege_granted: str | None = Field(
        description="The administrator roles that its target has after a grant, in Okta's words; null of other events."
    )
    targets: tuple[EventTarget, ...] = Field(description="What it was done to, in Okta's order.")


@evidence(READ, window=timedelta(days=30), retention=_KEPT, lag=_LATE)
def log_admin_events(tenant: Tenant, period: Period) -> Iterator[AdminEvent | Gap]:
    """Each event of the period in which rights were given, a guard was changed or an account ended, in order of time.

    The System Log has some events late, so a period ends an hour before it is read.
    """
    asked = {
        "since": stamp(period.since),
        "until": stamp(period.until + _MILLISECOND),  # Okta does not say whether it counts the end in
        "filter": _FILTER,
        "limit": _PAGE,
        "sortOrder": "ASCENDING",
    }
    seen: set[Any] = set()

    def look(event: dict[str, Any]) -> AdminEvent | None:
        return _event(event) if period.since <= _published(event) < period.until else None

    def once() -> Iterator[dict[str, Any]]:
        for event in tenant.pages(LOGS, asked, permission=READ, keep=False):
            if (uuid := event.get("uuid")) not in seen or uuid is None:
                seen.add(uuid)
                yield event

    yield from tenant.each(once(), look, resource=lambda event: f"event {event.get('uuid')}")


def _published(event: dict[str, Any]) -> datetime:
    """Raises Invalid where the event has no time, so that nobody can tell whether it is in the period."""
    try:
        published = datetime.fromisoformat(str(event.get("published")))
    except ValueError as error:
        raise Invalid("it came without the time at which it was published", operation=LOGS) from error
    return published if published.tzinfo else published.replace(tzinfo=UTC)


def _event(found: dict[str, Any]) -> AdminEvent:
    outcome = part(found, "outcome")
    return AdminEvent.model_validate(
        {
            "uuid": found.get("uuid"),
            "published": found.get("published"),
            "event_type": found.get("eventType"),
            "outcome": outcome.get("result"),
            "outcome_reason": outcome.get("reason"),
            "actor": _who(part(found, "actor")),
            "client_ip": part(found, "client").get("ipAddress"),
            "privilege_granted": part(found, "debugContext", "debugData").get("privilegeGranted"),
            "targets": [_who(target) for target in found.get("target") or ()],
        }
    )


def _who(found: dict[str, Any]) -> dict[str, Any]:
    """What is said of other than users, as the name of an app's account or of a device, may name a person too."""
    login = found.get("alternateId") if found.get("type") == _USER else None
    return {"id": found.get("id"), "type": found.get("type"), "login": login}
