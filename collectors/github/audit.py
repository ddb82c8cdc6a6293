"""Evidence of the organization's audit log, which only Enterprise Cloud and Enterprise Server give out."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Period, Personal, Record, evidence
from collectors.errors import AccessDenied, CollectionError, NotEnabled, NotFound
from collectors.github.logged import selected_names
from collectors.github.slices import SECOND, Slice, whole_seconds
from collectors.github.targets import METADATA, Organization

ADMINISTRATION = "organization_administration:read"
AUDIT_LOG = "GET /orgs/{org}/audit-log"
WITH_AUDIT_LOG = "enterprise"
KEPT = timedelta(days=180)
DELAY = timedelta(hours=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Detail = bool | int | str | list[str]
# What is kept of the fields that GitHub adds by action. Others can hold secrets, as hooks do, or name people.
DETAILS = (
    "branch",
    "enforcement_level",
    "environment_name",
    "integration",
    "limited_availability",
    "oauth_application_name",
    "old_permission",
    "overridden_codes",
    "permission",
    "permissions_added",
    "previous_visibility",
    "pull_request_url",
    "read_only",
    "repository_public",
    "repository_selection",
    "ruleset_enforcement",
    "ruleset_id",
    "ruleset_name",
    "ruleset_old_enforcement",
    "ruleset_old_name",
    "ruleset_source_type",
    "visibility",
)
BRANCHES = "protected_branch."  # the actions whose `name` is a branch's; of others it can be a person's


class AuditEvent(Record):
    """One entry of the audit log."""

    id: str | None = Field(description="GitHub's id of the entry; null where GitHub does not say.")
    action: str = Field(description="What was done, as in `protected_branch.policy_override`.")
    operation: str | None = Field(description="Its kind, as in `create` or `modify`; null where GitHub does not say.")
    time: datetime = Field(description="When it was done.")
    actor: Personal | None = Field(description="The login of who did it; null where nobody is named.")
    actor_id: int | None = Field(description="GitHub's id of who did it; null where GitHub does not say.")
    actor_is_bot: bool | None = Field(description="Whether an app did it; null where GitHub does not say.")
    country: str | None = Field(
        description="The country that it was done from, as in `US`; null where GitHub does not say."
    )
    access: str | None = Field(
        description="The kind of credential that it was done with, as in `GitHub App server-to-server token`; null on "
        "GitHub's pages, and where GitHub does not say."
    )
    user: Personal | None = Field(description="The login of whom it was done to; null where it was done to nobody.")
    repository: str | None = Field(description="The repository, as owner/name; null where it is about none.")
    team: str | None = Field(description="The team, as organization/name; null where it is about none.")
    details: dict[str, Detail] = Field(
        description="More of what GitHub says of this action, as in `visibility`; neither secrets nor names of people."
    )


@evidence(ADMINISTRATION, METADATA, window=timedelta(days=30), retention=KEPT, lag=DELAY)
def log(organization: Organization, period: Period) -> Iterator[AuditEvent | Gap]:
    """Every entry of the organization's audit log in the period, in the order of time.

    Git's own events, as fetches and pushes, are not in it: GitHub keeps them for seven days only. Entries about
    repositories that are not selected are left out.
    """
    is_selected = selected_names(organization)
    for event in _events(organization, whole_seconds(period)):
        repository = _text(event, "repo") or _text(event, "repository")
        if period.since <= _time(event) < period.until and (
            repository is None or is_selected(repository.rpartition("/")[2])
        ):
            yield _event(event, repository)


def _events(organization: Organization, part: Slice) -> Iterator[Mapping[str, Any]]:
    """What a search for the time finds, up to a second more: entries have milliseconds, and the search may not."""
    span = Slice(part.since, part.until + SECOND)
    filters = {"phrase": f"created:{span.name}", "include": "web", "order": "asc"}
    try:
        yield from organization.items(AUDIT_LOG, filters, permission=ADMINISTRATION, org=organization.login)
    except NotFound as error:
        raise _absent(organization, error) from error


def _absent(organization: Organization, error: NotFound) -> CollectionError:
    """What a 404 means: a plan without the log, or an identity that may not read it. Owners are told the plan."""
    found = organization.get("GET /orgs/{org}", permission=ADMINISTRATION, org=organization.login)
    plan = (found.get("plan") or {}).get("name")
    if plan in (None, WITH_AUDIT_LOG):
        message = f"{error.message}: the log is shown to owners only, and on Enterprise Cloud only"
        return AccessDenied(message, operation=AUDIT_LOG, permission=ADMINISTRATION)
    return NotEnabled(f"the plan {plan} has no audit log to read; Enterprise Cloud has", operation=AUDIT_LOG)


def _time(event: Mapping[str, Any]) -> datetime:
    milliseconds = event["created_at"] if "created_at" in event else event["@timestamp"]
    return EPOCH + timedelta(milliseconds=milliseconds)


def _event(event: Mapping[str, Any], repository: str | None) -> AuditEvent:
    where = event.get("actor_location") or {}
    return AuditEvent(
        id=event.get("_document_id"),
        action=event["action"],
        operation=event.get("operation_type"),
        time=_time(event),
        actor=_text(event, "actor"),
        actor_id=event.get("actor_id"),
        actor_is_bot=event.get("actor_is_bot"),
        country=_text(where, "country_code") or _text(where, "country_name"),
        access=_text(event, "programmatic_access_type"),
        user=_text(event, "user"),
        repository=repository,
        team=_text(event, "team") or _text(event.get("data") or {}, "team"),
        details=dict(_details({**(event.get("data") or {}), **event})),
    )


def _details(event: Mapping[str, Any]) -> Iterator[tuple[str, Detail]]:
    names = (*DETAILS, "name") if event["action"].startswith(BRANCHES) else DETAILS
    for name in names:
        value = event.get(name)
        if isinstance(value, bool | int | str) or (isinstance(value, list) and all(isinstance(v, str) for v in value)):
            yield name, value


def _text(event: Mapping[str, Any], name: str) -> str | None:
    value = event.get(name)
    return value if isinstance(value, str) and value else None
