"""What every request to the API passes, in this order: the size of its body, its token, the rate limit, a fault.

And what every answer carries: X-Request-Id, Date, X-RateLimit-Limit, -Remaining and -Reset. Who sends no valid
token is told the rate of a bucket that all of those share, and is not throttled. A body above 2,000,000 bytes is
answered 413 as soon as that is known; what still comes of it is thrown away.
"""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from email.utils import formatdate

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.sandbox import faults, idempotency, keys, limits, line
from agent.sandbox.call import Answer, Call, header, refused
from agent.sandbox.faults import Faults, Strike
from agent.sandbox.identifier import identifier
from agent.sandbox.limits import Bucket
from agent.sandbox.payload import MAX_BODY
from agent.sandbox.refusal import Refusal
from agent.sandbox.workspace import Workspace

PORTAL = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Sign in to this network</h1></body></html>"


@dataclass
class Traffic:
    """What can be turned and read while the server runs.

    `calls` counts answers by method and path, `statuses` by status, `struck` the faults by kind. Answers that a
    fault dropped are counted in `struck` alone.
    """

    rate: float
    faults: Faults
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    calls: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)


@dataclass
class Passage:
    """One request's way through the gate."""

    bucket: Bucket
    strike: Strike = field(default_factory=Strike)


class Gate:
    """The ASGI middleware around the API's routes; the console goes by it."""

    def __init__(self, app: ASGIApp, *, workspace: Workspace, traffic: Traffic) -> None:
        self._app = app
        self._workspace = workspace
        self._traffic = traffic
        self._buckets: dict[str, Bucket] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/_sandbox/"):
            await self._app(scope, receive, send)
            return
        passage = Passage(self._bucket("anonymous", self._traffic.rate))
        try:
            body = await _read(scope, receive)
            answer = None if body is None else await self._answer(scope, body, passage)
        except Refusal as refusal:
            answer = refused(refusal)
        if answer is not None:
            await self._give(answer, passage, scope, receive, send)

    async def _answer(self, scope: Scope, body: bytes, passage: Passage) -> Answer:
        key = keys.authenticate(self._workspace, header(scope, b"authorization"))
        passage.bucket = self._bucket(key.id, key.rate or self._traffic.rate)
        _take(passage.bucket)
        passage.strike = self._traffic.faults.strike(scope["path"], body)
        call = Call(key, scope["method"], scope["path"], body, _idempotency_key(scope), passage.strike)
        self._traffic.struck.update(passage.strike.kinds)
        return await self._meet(scope, call)

    async def _meet(self, scope: Scope, call: Call) -> Answer:
        """The answer that the fault leaves, if one struck. Waits are the endpoints', inside the idempotency key."""
        kind = call.strike.kind
        if kind in ("drop-before", "500", "503", "429", "409-in-progress", "html-200"):
            await self.wait(call.strike.delay)
            return self._instead(call)
        answer = await self._inner(scope, call)
        return broken() if kind == "500-after" else answer

    def _instead(self, call: Call) -> Answer:
        assert call.strike.fault is not None
        told = faults.retry_after(call.strike.fault, self._workspace.clock.now())
        headers = {} if told is None else {"retry-after": told}
        match call.strike.kind:
            case "429":
                return refused(_throttled(headers))
            case "503":
                message = "A service that the API depends on is degraded."
                return refused(Refusal(503, "service_unavailable", message, hint="Try again later.", headers=headers))
            case "409-in-progress":
                return refused(idempotency.in_progress())
            case "html-200":
                return Answer(200, PORTAL, media_type="text/html; charset=utf-8")
            case _:
                return broken()

    async def _inner(self, scope: Scope, call: Call) -> Answer:
        """What the routes answer; all of it is in hand before a byte is sent."""
        said: list[Message] = []

        async def hear(message: Message) -> None:
            said.append(message)

        await self._app({**scope, "call": call, "wait": self.wait}, _silence, hear)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in said[0]["headers"]}
        del headers["content-length"], headers["content-type"]
        return Answer(said[0]["status"], b"".join(message.get("body", b"") for message in said[1:]), headers)

    async def wait(self, delay: float) -> None:
        """Seconds, or until the server stops."""
        if delay:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._traffic.leaving.wait(), delay)

    async def _give(self, answer: Answer, passage: Passage, scope: Scope, receive: Receive, send: Send) -> None:
        kind = passage.strike.kind
        if kind in ("drop-before", "drop-after"):
            await line.drop(scope, receive)
            return
        self._traffic.statuses[answer.status] += 1
        self._traffic.calls[f"{scope['method']} {scope['path']}"] += 1
        if kind != "html-200":
            answer = replace(answer, headers=self._headers(passage.bucket) | answer.headers)
        await answer.send(send, whole=kind != "cut-off")
        if kind == "cut-off":
            await line.close(scope, receive)

    def _headers(self, bucket: Bucket) -> dict[str, str]:
        now = self._workspace.clock.now()
        return {"x-request-id": identifier("req"), "date": formatdate(now, usegmt=True), **bucket.headers(now)}

    def _bucket(self, name: str, rate: float) -> Bucket:
        bucket = self._buckets.get(name)
        if bucket is None or bucket.rate != rate:
            bucket = self._buckets[name] = Bucket(rate)
        return bucket


def broken() -> Answer:
    return refused(Refusal(500, "server_error", "The server failed unexpectedly.", hint="Try again with backoff."))


def _take(bucket: Bucket) -> None:
    wait = bucket.take()
    if wait:
        raise _throttled({"retry-after": limits.fractional(wait)})


def _throttled(headers: dict[str, str]) -> Refusal:
    hint = "Wait for as long as Retry-After says."
    return Refusal(429, "rate_limited", "The rate limit of this API key is exceeded.", hint=hint, headers=headers)


def _idempotency_key(scope: Scope) -> str | None:
    return header(scope, b"idempotency-key") if scope["method"] == "POST" else None


async def _read(scope: Scope, receive: Receive) -> bytes | None:
    """The whole body, or None where the client went away. Raises Refusal (413)."""
    if int(header(scope, b"content-length") or 0) > MAX_BODY:
        raise _too_large()
    chunks, length = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message["body"])
        length += len(message["body"])
        if length > MAX_BODY:
            raise _too_large()
        if not message["more_body"]:
            return b"".join(chunks)


def _too_large() -> Refusal:
    hint = "A payload may have 1,000,000 bytes; split it."
    return Refusal(413, "body_too_large", f"The body has more than {MAX_BODY} bytes.", hint=hint)


async def _silence() -> Message:
    """The body was read before the routes are asked."""
    return {"type": "http.request", "body": b"", "more_body": False}
