"""Webhooks: registered, fired, signed, and delivered at least once.

`X-Chequr-Signature: t=TIMESTAMP,v1=HEX` holds the HMAC-SHA-256, under the webhook's secret, of the timestamp, a
full stop and the body's bytes. The timestamp is that of the attempt. A 2xx answer within ten seconds is a
receipt; anything else is tried again after the backoff, then twice that, up to an hour, for 24 hours. The event's
id and body stay the same over all attempts. Redirects are not followed.

A URL must be https; http is taken for a loopback host, so that a receiver can be tried without a certificate.
"""

import asyncio
import hashlib
import hmac
import json
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx

from agent.sandbox import audit, payload
from agent.sandbox.clock import stamp
from agent.sandbox.identifier import identifier
from agent.sandbox.options import loopback
from agent.sandbox.refusal import Refusal, encode
from agent.sandbox.workspace import Workspace

EVENTS = (
    "evidence.collected", "control.drifted", "audit.readiness_changed", "risk.scored", "vendor.posture_changed",
)  # fmt: skip
SHORTEST_SECRET = 32
PATIENCE = 24 * 3600
_LONGEST_BACKOFF = 3600.0
_AT_ONCE = 8


def read(body: bytes) -> dict[str, Any]:
    """The body of POST /v1/webhooks. Raises Refusal."""
    _, document = payload.parse(body)
    url = payload.member(document, "url", str, "Pass the HTTPS endpoint that will receive events.")
    events = payload.member(document, "events", list, f"Pass one or more of {', '.join(EVENTS)}.")
    secret = payload.member(document, "secret", str, f"Pass at least {SHORTEST_SECRET} characters.")
    _check_url(url)
    _check_events(events)
    if len(secret) < SHORTEST_SECRET:
        message = f"The secret has {len(secret)} characters; {SHORTEST_SECRET} are the least."
        raise Refusal(422, "invalid_secret", message, field="secret", hint="Generate a random one.")
    return {"url": url, "events": events, "secret": secret}


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        host = ""
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and loopback(host))):
        hint = "Pass an https URL. The sandbox takes http for a loopback host too."
        raise Refusal(422, "invalid_url", "The URL is not https.", field="url", hint=hint)


def _check_events(events: list[Any]) -> None:
    hint = f"Pass one or more of {', '.join(EVENTS)}."
    unknown = [event for event in events if event not in EVENTS]
    if unknown:
        message = f"There is no event {json.dumps(unknown[0])}."
        raise Refusal(422, "invalid_events", message, field="events", hint=hint)
    if not events:
        raise Refusal(422, "invalid_events", "No event is named.", field="events", hint=hint)


def register(workspace: Workspace, webhook: dict[str, Any], key_id: str, keep: Callable[[bytes], None]) -> None:
    """Registers what `read` gave and hands the answer to `keep`. Raises Refusal (409) for one that is there already."""
    events = list(dict.fromkeys(webhook["events"]))
    with workspace.transaction():
        _check_new(workspace, webhook["url"], events)
        made, at = identifier("wh"), workspace.clock.second()
        values = (made, webhook["url"], json.dumps(sorted(events)), webhook["secret"], at)
        workspace.write("INSERT INTO webhook VALUES (?, ?, ?, ?, ?)", *values)
        audit.append(workspace, audit.Actor("api_key", key_id), "webhook.registered", made)
        keep(encode({"id": made, "url": webhook["url"], "events": events, "created_at": stamp(at)}))


def _check_new(workspace: Workspace, url: str, events: list[str]) -> None:
    there = workspace.row("SELECT id FROM webhook WHERE url = ? AND events = ?", url, json.dumps(sorted(events)))
    if there is not None:
        message = f"The webhook {there['id']} has this URL and these events."
        raise Refusal(409, "duplicate_resource", message, field="url", hint="Use the one that is there.")


def fire(workspace: Workspace, event: str, data: dict[str, Any]) -> str:
    """Owes the event to every webhook that asked for it, and gives its id."""
    made, now = identifier("evt"), workspace.clock.now()
    body = encode({"id": made, "type": event, "created_at": stamp(now), "data": data})
    for webhook in workspace.rows("SELECT id, events FROM webhook ORDER BY rowid"):
        if event in json.loads(webhook["events"]):
            workspace.write(
                "INSERT INTO delivery (webhook_id, event_id, body, since, due) VALUES (?, ?, ?, ?, ?)",
                *(webhook["id"], made, body, now, now),
            )
    return made


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """The value of X-Chequr-Signature."""
    signed = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"t={timestamp},v1={signed.hexdigest()}"


class Courier:
    """Delivers what is owed, in the server's loop. `backoff` is the first wait after a failure, in seconds."""

    def __init__(self, workspace: Workspace, backoff: float) -> None:
        self._workspace = workspace
        self._backoff = backoff
        self._awake = asyncio.Event()
        self._under_way: dict[int, asyncio.Task[None]] = {}

    def wake(self) -> None:
        """Called in the loop when something new may be owed."""
        self._awake.set()

    async def run(self) -> None:
        """Until it is cancelled; what was under way is then still owed."""
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            try:
                while True:
                    self._awake.clear()
                    now = self._workspace.clock.now()
                    self._start(client, now)
                    await self._rest(now)
            finally:
                for task in self._under_way.values():
                    task.cancel()
                await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    def _start(self, client: httpx.AsyncClient, now: float) -> None:
        owed = self._workspace.rows(
            "SELECT seq, url, secret, body, attempts, since FROM delivery JOIN webhook ON webhook.id = webhook_id "
            "WHERE state = 'owed' AND due <= ? ORDER BY due, seq LIMIT ?",
            *(now, 2 * _AT_ONCE),
        )
        free = _AT_ONCE - len(self._under_way)
        for row in [row for row in owed if row["seq"] not in self._under_way][:free]:
            task = asyncio.create_task(self._deliver(client, row))
            self._under_way[row["seq"]] = task
            task.add_done_callback(partial(self._arrived, row["seq"]))

    def _arrived(self, seq: int, _: asyncio.Task[None]) -> None:
        del self._under_way[seq]
        self._awake.set()

    async def _rest(self, now: float) -> None:
        """Until something new is owed, a delivery ends, or one that was put off at `now` falls due."""
        row = self._workspace.row("SELECT min(due) AS due FROM delivery WHERE state = 'owed' AND due > ?", now)
        wait = None if row is None or row["due"] is None else max(row["due"] - self._workspace.clock.now(), 0)
        try:
            await asyncio.wait_for(self._awake.wait(), wait)
        except TimeoutError:
            return

    async def _deliver(self, client: httpx.AsyncClient, row: sqlite3.Row) -> None:
        now = self._workspace.clock.now()
        headers = {
            "content-type": "application/json",
            "x-chequr-signature": signature(row["secret"], int(now), row["body"]),
        }
        try:
            answer = await client.post(row["url"], content=row["body"], headers=headers)
            received = answer.is_success
        except (httpx.HTTPError, httpx.InvalidURL):
            received = False
        self._note(row, received=received)

    def _note(self, row: sqlite3.Row, *, received: bool) -> None:
        now = self._workspace.clock.now()
        wait = min(self._backoff * 2 ** min(row["attempts"], 30), _LONGEST_BACKOFF)
        given_up = now + wait > row["since"] + PATIENCE
        state = "received" if received else "given up" if given_up else "owed"
        self._workspace.write(
            "UPDATE delivery SET attempts = attempts + 1, due = ?, state = ? WHERE seq = ?",
            now + wait,
            state,
            row["seq"],
        )
