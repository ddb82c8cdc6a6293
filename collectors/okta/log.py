"""Where an org sends its events to, so that its log lives on elsewhere."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from collectors.contract import Gap, Record, evidence
from collectors.errors import Invalid
from collectors.okta.parts import in_turn
from collectors.okta.targets import Tenant, part

_STREAMS, _READ_STREAMS = "GET /api/v1/logStreams", "okta.logStreams.read"
_HOOKS, _READ_HOOKS = "GET /api/v1/eventHooks", "okta.eventHooks.read"


class LogSink(Record):
    """A log stream or an event hook. What it authenticates itself with, and the rest of its URL, stay in Okta."""

    kind: str = Field(description="`log_stream`, which sends every event, or `event_hook`, which sends chosen ones.")
    id: str = Field(description="Okta's id of the log stream or event hook.")
    name: str = Field(description="Its name.")
    status: str = Field(description="`ACTIVE` where it sends events, or `INACTIVE`.")
    type: str | None = Field(
        description="Okta's word for where it sends to, as in `aws_eventbridge`, `splunk_cloud_logstreaming` or `HTTP`."
    )
    host: str | None = Field(description="The host that it sends to; null where Okta names none, as for EventBridge.")
    aws_account: str | None = Field(description="The AWS account that it sends to; null where it is not EventBridge.")
    aws_region: str | None = Field(description="The AWS region that it sends to; null where it is not EventBridge.")
    auth_scheme: str | None = Field(
        description="How an event hook authenticates itself, as in `HEADER`; null for not at all, and of a log stream."
    )
    verification_status: str | None = Field(
        description="Whether an event hook's receiver passed Okta's test, as in `VERIFIED`; null of a log stream."
    )
    events: tuple[str, ...] | None = Field(
        description="The event types that an event hook sends; null of a log stream."
    )
    filtered_events: tuple[str, ...] | None = Field(
        description="Those event types of which an expression lets through only some; null of a log stream."
    )
    created: str | None = Field(description="When it was created, UTC; null where Okta does not say.")
    last_updated: str | None = Field(description="When it was last changed, UTC; null where Okta does not say.")


@evidence(_READ_HOOKS, _READ_STREAMS)
def streaming(tenant: Tenant) -> Iterator[LogSink | Gap]:
    """Every log stream and event hook of the org, active or not."""
    yield from in_turn({"log streams": _streams(tenant), "event hooks": _hooks(tenant)})


def _streams(tenant: Tenant) -> Iterator[LogSink | Gap]:
    found = tenant.pages(_STREAMS, {"limit": "200"}, permission=_READ_STREAMS)
    yield from tenant.each(found, _stream, resource=lambda stream: f"log stream {stream.get('id')}")


def _hooks(tenant: Tenant) -> Iterator[LogSink | Gap]:
    found = tenant.pages(_HOOKS, {}, permission=_READ_HOOKS)
    yield from tenant.each(found, _hook, resource=lambda hook: f"event hook {hook.get('id')}")


def _stream(found: dict[str, Any]) -> LogSink:
    settings = part(found, "settings")
    return LogSink.model_validate(
        {
            **_common(found, "log_stream"),
            "type": found.get("type"),
            "host": _host(settings.get("host")),
            "aws_account": settings.get("accountId"),
            "aws_region": settings.get("region"),
            "auth_scheme": None,
            "verification_status": None,
            "events": None,
            "filtered_events": None,
        }
    )


def _hook(found: dict[str, Any]) -> LogSink:
    config, events = part(found, "channel", "config"), part(found, "events")
    filters = part(events, "filter").get("eventFilterMap") or ()
    return LogSink.model_validate(
        {
            **_common(found, "event_hook"),
            "type": part(found, "channel").get("type"),
            "host": _host(config.get("uri")),
            "aws_account": None,
            "aws_region": None,
            "auth_scheme": part(config, "authScheme").get("type"),
            "verification_status": found.get("verificationStatus"),
            "events": events.get("items") or (),
            "filtered_events": [each.get("event") for each in filters if part(each, "condition").get("expression")],
        }
    )


def _common(found: dict[str, Any], kind: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "id": found.get("id"),
        "name": found.get("name"),
        "status": found.get("status"),
        "created": found.get("created"),
        "last_updated": found.get("lastUpdated"),
    }


def _host(address: str | None) -> str | None:
    """Of a URL no more than the host: tokens stand in paths, queries and before an `@`. Raises Invalid."""
    if address is None:
        return None
    try:
        return urlsplit(address if "//" in address else f"//{address}").hostname
    except ValueError as error:
        raise Invalid("the address that it sends to is no URL") from error
