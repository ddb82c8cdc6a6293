"""The Chequr API, endpoint by endpoint: what to send, and how to read the answer. Nothing is sent from here."""

import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from agent.models import AuditLogEntry, Control, ControlSummary, Page, Receipt, Webhook

T = TypeVar("T")

BASE_URL = "https://api.chequr.com/v1"

_HIGHEST_PORT = 65535
_ADDRESS = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[\w.-]+)(:(?P<port>\d{1,5}))?(/[\w.~%/-]*)?",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True)
class Operation(Generic[T]):
    """One request and the reading of its answer. `path` is percent-encoded and stands under the base URL."""

    method: str
    path: str
    parse: Callable[[bytes], T]
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)
    idempotency_key: str | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def submit_evidence(body: bytes, idempotency_key: str) -> Operation[Receipt]:
    """POST /evidence: `body` goes out to the byte as it is."""
    return Operation("POST", "/evidence", Receipt.model_validate_json, body=body, idempotency_key=idempotency_key)


def evidence_body(control_id: str, source: str, collected_at: datetime, payload: Mapping[str, Any]) -> bytes:
    """The body of `submit_evidence`. Raises ValueError on NaN, and where `collected_at` has no time zone."""
    return _json(
        {"control_id": control_id, "source": source, "collected_at": _instant(collected_at), "payload": payload}
    )


def list_controls(
    framework: str | None = None, status: str | None = None, limit: int | None = None, cursor: str | None = None
) -> Operation[Page[ControlSummary]]:
    """GET /controls, one page. `limit` is the page's size, 1 to 100."""
    query = _given(framework=framework, status=status, limit=limit, cursor=cursor)
    return Operation("GET", "/controls", Page[ControlSummary].model_validate_json, query)


def retrieve_control(control_id: str) -> Operation[Control]:
    """GET /controls/:id, with owner, test policy and the last 50 evidence items."""
    return Operation("GET", f"/controls/{_segment(control_id)}", Control.model_validate_json)


def register_webhook(url: str, events: Sequence[str], secret: str, idempotency_key: str) -> Operation[Webhook]:
    """POST /webhooks. `secret`, of 32 characters at least, is what the API signs each event with."""
    body = _json({"url": url, "events": list(events), "secret": secret})
    return Operation("POST", "/webhooks", Webhook.model_validate_json, body=body, idempotency_key=idempotency_key)


def query_audit_log(
    from_: datetime | None = None,
    to: datetime | None = None,
    actor: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Operation[Page[AuditLogEntry]]:
    """GET /audit-log, one page. `from_` and `to` are aware; `limit` is the page's size, 1 to 250."""
    bounds = {"from": from_ and _instant(from_), "to": to and _instant(to)}
    query = _given(**bounds, actor=actor, limit=limit, cursor=cursor)
    return Operation("GET", "/audit-log", Page[AuditLogEntry].model_validate_json, query)


def check_base_url(url: str) -> str:
    """The base URL without a slash at its end. Raises ValueError where a token must not be sent to it.

    The message does not repeat the URL, which may hold a password.
    """
    address = _ADDRESS.fullmatch(url.strip())
    if address is None or int(address["port"] or 0) > _HIGHEST_PORT:
        raise ValueError(f"the address must look like {BASE_URL}, without user name, query or fragment")
    if address["scheme"].lower() == "http" and not _is_loopback(address["host"]):
        raise ValueError(f"what is sent to {address['host']} would be unencrypted: write https:// instead")
    return address[0].rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _given(**values: object) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value is not None}


def _segment(identifier: str) -> str:
    """An opaque id as one segment of a path, whatever is in it: dots alone would climb out of their place."""
    return "%2E" * len(identifier) if identifier in {".", ".."} else quote(identifier, safe="", errors="replace")


def _instant(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone: name one, as in datetime.now(UTC)")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
