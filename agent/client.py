"""The Chequr API from Python: every endpoint, typed.

    with Client(Token()) as chequr:
        for control in chequr.controls(framework="soc2", status="failing"):
            print(control.code, control.name)

`Client` has a method for each endpoint, keeps the caller waiting, and tries again what may still succeed. `AsyncClient`
performs an operation of `agent.endpoints` once, for a caller that keeps its own account of what is owed.
"""

import asyncio
import random
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from agent import endpoints
from agent.connections import Connections
from agent.endpoints import BASE_URL, Operation
from agent.errors import ApiError, NoAnswer, UnreadableAnswer
from agent.event_loop import EventLoop
from agent.exchange import Exchange, Observe, reaching, read_answer
from agent.models import AuditLogEntry, Control, ControlSummary, Page, Receipt, Webhook
from agent.pacing import backoff
from agent.token import Token

T = TypeVar("T")

TIMEOUT = 60.0  # seconds that one request may take in all
PATIENCE = 60.0  # seconds that `Client` waits at most between two tries

_WORTH_TRYING_AGAIN = frozenset({429, 500, 502, 503, 504})


class Client:
    """The API for a caller that waits. Close it, or use it in a `with` statement.

    What got no answer, a 429 or a 5xx is tried `attempts` times in all, with the same Idempotency-Key, waiting with
    full jitter and as long as the API asks. `timeout` is how many seconds one try may take in all. Every method
    raises ChequrError; the constructor raises ValueError where `base_url`, `ca_file` or the proxy of the environment
    cannot be used. Threads may share it; `observe` is called in one of its own. `turn` is called before each try, and
    `pause` waits so many seconds between two: what they raise ends the call.
    """

    def __init__(
        self,
        token: Token,
        *,
        base_url: str = BASE_URL,
        ca_file: Path | None = None,
        timeout: float = TIMEOUT,
        attempts: int = 4,
        observe: Observe | None = None,
        turn: Callable[[], object] = lambda: None,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._client = AsyncClient(token, base_url=base_url, ca_file=ca_file, timeout=timeout, observe=observe)
        self._loop = EventLoop()
        self._attempts = attempts
        self._turn, self._pause = turn, pause

    def submit_evidence(
        self,
        control_id: str,
        source: str,
        collected_at: datetime,
        payload: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Submits one piece of evidence, at most 1 MB of payload. Without a key, a fresh one is made."""
        body = endpoints.evidence_body(control_id, source, collected_at, payload)
        return self.perform(endpoints.submit_evidence(body, idempotency_key or _fresh_key()))

    def controls(
        self, framework: str | None = None, status: str | None = None, limit: int | None = None
    ) -> Iterator[ControlSummary]:
        """All controls that match, page by page as they are consumed; `limit` is the page's size."""
        return self._each(partial(endpoints.list_controls, framework, status, limit))

    def control(self, control_id: str) -> Control:
        """One control with its owner, its test policy and its last 50 evidence items."""
        return self.perform(endpoints.retrieve_control(control_id))

    def register_webhook(
        self, url: str, events: Sequence[str], secret: str, *, idempotency_key: str | None = None
    ) -> Webhook:
        """Subscribes `url` to events, which the API signs with `secret`. Without a key, a fresh one is made."""
        return self.perform(endpoints.register_webhook(url, events, secret, idempotency_key or _fresh_key()))

    def audit_log(
        self,
        from_: datetime | None = None,
        to: datetime | None = None,
        actor: str | None = None,
        limit: int | None = None,
    ) -> Iterator[AuditLogEntry]:
        """All entries that match, page by page as they are consumed; `limit` is the page's size."""
        return self._each(partial(endpoints.query_audit_log, from_, to, actor, limit))

    def perform(self, operation: Operation[T]) -> T:
        """Performs one operation, as often as it is worth it."""
        attempt = 1
        while True:
            self._turn()
            try:
                return self._loop.wait_for(self._client.perform(operation))
            except (NoAnswer, ApiError) as error:
                wait = _wait(error, attempt)
                if wait is None or attempt >= self._attempts:
                    raise
            self._pause(wait)
            attempt += 1

    def _each(self, page_at: Callable[[str | None], Operation[Page[T]]]) -> Iterator[T]:
        cursor: str | None = None
        seen: set[str] = set()
        while True:
            operation = page_at(cursor)
            page = self.perform(operation)
            yield from page.data
            cursor = page.next_cursor
            if not cursor:
                return
            if cursor in seen:
                problem = f"the pages of {operation} go round in a circle: report it to Chequr"
                raise UnreadableAnswer(problem, status=200, request_id=None, media="application/json")
            seen.add(cursor)

    def close(self) -> None:
        """Closes the connections; once more does nothing."""
        if self._loop.is_running:
            self._loop.wait_for(self._client.aclose())
            self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


class AsyncClient:
    """The API for a caller that does other things meanwhile. Close it, or use it in an `async with` statement.

    Each operation is sent once: again only after a 401, if there is a new token by then. Raises as `Client` does.
    """

    def __init__(
        self,
        token: Token,
        *,
        base_url: str = BASE_URL,
        ca_file: Path | None = None,
        timeout: float = TIMEOUT,
        observe: Observe | None = None,
    ) -> None:
        self._exchange = Exchange(base_url, token, observe)
        self._connections = Connections(base_url, ca_file, timeout)
        self._timeout = timeout

    async def submit(self, body: bytes, idempotency_key: str, *, renews: bool = True) -> Receipt:
        """Submits a piece of evidence whose bytes were fixed before.

        Unless it `renews` the token, what the API refuses is not sent again with another.
        """
        return await self.perform(endpoints.submit_evidence(body, idempotency_key), renews=renews)

    async def perform(self, operation: Operation[T], *, renews: bool = True) -> T:
        """Performs one operation."""
        request = self._exchange.request(operation)
        with reaching(operation, request):
            response = await self._in_time(self._connections.send(self._exchange.flow(request, renews=renews)))
        return read_answer(operation, response)

    async def _in_time(self, work: Coroutine[Any, Any, T]) -> T:
        """Silence is httpx's to notice; an answer that drips is never silent."""
        try:
            async with asyncio.timeout(self._timeout):
                return await work
        except TimeoutError as error:
            raise TimeoutError(f"it took longer than {self._timeout:g} seconds in all") from error

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._connections.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()


def _wait(error: NoAnswer | ApiError, attempt: int) -> float | None:
    """Seconds until the next try; None where that is not worth it, or longer than a caller is kept waiting."""
    asked = 0.0
    if isinstance(error, ApiError):
        if error.status not in _WORTH_TRYING_AGAIN:
            return None
        asked = error.retry_after or 0.0
    chance = random.random()  # noqa: S311 - spreads callers, keeps no secret
    return None if asked > PATIENCE else max(asked, backoff(attempt, chance=chance, cap=PATIENCE))


def _fresh_key() -> str:
    return str(uuid.uuid4())
