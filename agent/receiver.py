"""Where Chequr's webhooks arrive: verified, kept, and only then acknowledged. What they ask for is done afterwards.

200  it is kept, or was before
400  it is too old, from the future, or no event       401  its signature is not Chequr's
408  it came too slowly                                413  it is too large
503  it could not be kept, or there is no secret: the API sends it again
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agent.events import Events
from agent.serving import bound, serving
from agent.store import StateUnusable
from agent.webhook import HEADER, Event, SignatureInvalid, WebhookInvalid, verify
from collectors.secret import SecretMissing

log = structlog.get_logger()

LARGEST = 262_144  # bytes of a body
_PATIENCE = 10.0  # seconds for a body to arrive
_QUIET = 60.0  # seconds between two lines about refusals of one kind
_AGAIN = "60"  # seconds after which the API may send again what could not be kept


class _Refused(Exception):
    """The answer in place of 200."""

    def __init__(self, status: int, code: str, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.reason = reason or message


class Receiver:
    """Takes deliveries. `secrets` are those in force, read anew each time; `arrived` is told of each new event."""

    def __init__(self, events: Events, secrets: Callable[[], Sequence[str]], arrived: Callable[[], None]) -> None:
        self._events = events
        self._secrets = secrets
        self._arrived = arrived
        self._refusals = _Refusals()

    async def take(self, request: Request) -> Response:
        """Answers one delivery."""
        try:
            body = await _body(request)
            event = await run_in_threadpool(self._verified, body, request.headers.get(HEADER))
            is_new = await run_in_threadpool(self._kept, event)
        except _Refused as refused:
            self._refusals.note(refused)
            told = {"code": refused.code, "message": str(refused)}
            headers = {"Retry-After": _AGAIN} if refused.status == 503 else {}  # noqa: PLR2004
            return JSONResponse(told, refused.status, headers=headers)
        log.info("webhook.received", id=event.id, type=event.type, known=not is_new)
        if is_new:
            self._arrived()
        return JSONResponse({"received": True})

    def _verified(self, body: bytes, signature: str | None) -> Event:
        try:
            return verify(body, signature, self._secrets())
        except SignatureInvalid as error:
            raise _Refused(401, "signature_invalid", "the signature is not good") from error
        except WebhookInvalid as error:
            raise _Refused(400, "event_invalid", str(error)) from error
        except (SecretMissing, ValueError) as error:
            raise _Refused(503, "secret_missing", "there is no secret to verify with", reason=str(error)) from error

    def _kept(self, event: Event) -> bool:
        try:
            return self._events.receive(event, now=time.time())
        except StateUnusable as error:
            raise _Refused(503, "unavailable", "it could not be kept; send it again") from error


async def _body(request: Request) -> bytes:
    """All of it, if that is not too much. Raises _Refused."""
    body = bytearray()
    try:
        async with asyncio.timeout(_PATIENCE):
            async for chunk in request.stream():
                body += chunk
                if len(body) > LARGEST:
                    raise _Refused(413, "too_large", f"the body is over {LARGEST} bytes")
    except TimeoutError as error:
        raise _Refused(408, "too_slow", f"the body did not arrive within {_PATIENCE:g} seconds") from error
    except ClientDisconnect as error:
        raise _Refused(400, "event_invalid", "the body is not whole") from error
    return bytes(body)


class _Refusals:
    """Tells what was refused, so often at most that nobody can fill the log with it."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._told_at: dict[str, float] = {}
        self._untold: Counter[str] = Counter()

    def note(self, refused: _Refused) -> None:
        with self._turn:
            self._untold[refused.code] += 1
            now = time.monotonic()
            if now - self._told_at.get(refused.code, -_QUIET) < _QUIET:
                return
            self._told_at[refused.code] = now
            times = self._untold.pop(refused.code)
        log.warning("webhook.refused", status=refused.status, code=refused.code, reason=refused.reason, times=times)


@contextmanager
def receiving(address: str, path: str, receiver: Receiver) -> Iterator[str]:
    """Takes what is POSTed to `path` at `address`, host:port; the URL of both. Raises as `bound` does."""
    app = Starlette(routes=[Route(path, receiver.take, methods=["POST"])])
    with bound(address, "webhooks.listen") as listener, serving(app, listener) as url:
        yield f"{url}{path}"
