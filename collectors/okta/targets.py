"""An Okta org: how it is entered, and how it is read."""

import json
import threading
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from collectors import registry
from collectors.contract import Cancelled, EvidenceType, Run, Target, note
from collectors.errors import CollectionError, Invalid, Unauthenticated, Unavailable
from collectors.okta import credentials
from collectors.okta.limits import LONGEST_WAIT, SHARE_FOR_USERS, SILENT, Room, delay
from collectors.okta.refusals import content, items, refusal, thing
from collectors.okta.requests import Answer, Ask, Lost
from collectors.okta.settings import Settings
from collectors.okta.transport import Transport

ADMIN_ROLE = "Read-only Administrator"
_SILENT_READS = 5
_GLANCE = 0.5  # seconds between looks at the wish to stop


def connect(settings: Settings, run: Run) -> Iterator["Tenant"]:
    """The one org of these settings. Raises Unauthenticated where there is no usable secret."""
    if settings.client_id is None:
        signing_in = credentials.api_token(settings.token_file)
    else:
        scopes = settings.scopes or grants(registry.evidence_types("okta"))["scopes"]
        signing_in = credentials.service_app(
            settings.client_id, settings.private_key_file, scopes, key_id=settings.key_id, dpop=settings.dpop
        )
    yield Tenant(
        run,
        settings.org_url,
        signing_in,
        leave_to_users=settings.leave_to_users,
        hr_leavers_file=settings.hr_leavers_file,
    )


def grants(types: Sequence[EvidenceType[Any]]) -> Mapping[str, Any]:
    """The scopes that a service app needs, and the least admin role that it or a token's owner needs."""
    return {"scopes": sorted({scope for kind in types for scope in kind.permissions}), "admin_role": ADMIN_ROLE}


@dataclass(frozen=True)
class _Page:
    """A page kept for whoever else wants it: its body compressed, a tenth of its size or less."""

    body: bytes
    next: str | None

    @property
    def items(self) -> list[dict[str, Any]]:
        kept: list[dict[str, Any]] = json.loads(zlib.decompress(self.body))
        return kept


class Tenant(Target):
    """An Okta org. Reads are GETs; their answers are raw JSON, so that what Okta adds tomorrow comes through."""

    def __init__(
        self,
        run: Run,
        org_url: str,
        signing_in: Mapping[str, Any],
        *,
        timeout: float = 30.0,
        leave_to_users: float = SHARE_FOR_USERS,
        hr_leavers_file: Path | None = None,
    ) -> None:
        """`signing_in` is from `credentials`; `timeout` is how many seconds one answer may take.

        `hr_leavers_file` is a CSV of who left, which Okta itself does not know of.
        """
        super().__init__(run)
        self.hr_leavers_file = hr_leavers_file
        self.id = urlsplit(org_url).netloc
        self.description = {"org_url": org_url}
        self._client = {"orgUrl": org_url, **signing_in}
        self._timeout = timeout
        self._room = Room(leave_to_users)
        self._transport: Transport | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._silent = 0
        self._over: CollectionError | None = None

    def identity(self) -> str:
        """The login of the API token's owner, or the service app's client id. Raises CollectionError."""
        client_id: str | None = self._client.get("clientId")
        if client_id is not None:
            return client_id
        ask = Ask("GET /api/v1/users/me", {}, None)
        me = self.reads.read(ask.operation, ask.parameters, lambda: content(self._read(ask), ask))
        try:
            return str(me["profile"]["login"])
        except (KeyError, TypeError) as error:
            raise Invalid("the token's owner has no login", operation=ask.operation) from error

    def listing(
        self, operation: str, parameters: Mapping[str, str], *, permission: str, identity_engine: bool = False
    ) -> list[dict[str, Any]]:
        """A list without pages, about one thing of many. It is not kept: ten thousand of them would be too much."""
        ask = Ask(operation, parameters, permission, identity_engine=identity_engine)
        note(ask.operation, ask.parameters, permission=permission)
        return items(self._read(ask), ask)

    def one(
        self, operation: str, parameters: Mapping[str, str], *, permission: str, identity_engine: bool = False
    ) -> dict[str, Any]:
        """A single object. Raises NotFound where there is none, as every CollectionError."""
        ask = Ask(operation, parameters, permission, identity_engine=identity_engine)
        return self.reads.read(ask.operation, parameters, lambda: thing(self._read(ask), ask), permission=permission)

    def pages(
        self,
        operation: str,
        parameters: Mapping[str, str],
        *,
        permission: str,
        headers: Mapping[str, str] | None = None,
        identity_engine: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """All objects of a list, page by page, lazily; each page is fetched once in a run, whoever wants it.

        A page that fails raises its CollectionError, which says how many objects were read before it.
        """
        ask = Ask(operation, parameters, permission, headers or {}, identity_engine)
        seen = {ask.path}
        read = 0
        for number in count(1):
            page = self._page(ask, number, read)
            yield from (kept := page.items)
            read += len(kept)
            if page.next is None:
                return
            ask = ask.next(page.next)
            if ask.path in seen:
                raise Invalid(f"page {number} leads back to an earlier one; {read} were read", operation=operation)
            seen.add(ask.path)
            if self.run.cancelled.is_set():
                raise Cancelled

    def _page(self, ask: Ask, number: int, read: int) -> _Page:
        try:
            return self.reads.read(ask.operation, ask.parameters, lambda: self._fetch(ask), permission=ask.permission)
        except CollectionError as error:
            if number == 1:
                raise
            message = f"page {number} failed, after {read} were read: {error.message}"
            raise type(error)(message, operation=error.operation, permission=error.permission) from error

    def _fetch(self, ask: Ask) -> _Page:
        answer = self._read(ask)
        items(answer, ask)
        assert isinstance(answer, Answer)
        if answer.next is not None and (host := urlsplit(answer.next).netloc) != self.id:
            raise Invalid(f"the next page's link leaves {self.id} for {host}; not followed", operation=ask.operation)
        return _Page(zlib.compress(answer.body.encode(), 1), answer.next)

    def _read(self, ask: Ask) -> Answer | Lost:
        """The answer that stands after all waits and tries. Raises Cancelled, and what made the org unreadable."""
        tries = 0
        while True:
            if self._over is not None:
                raise type(self._over)(self._over.message, operation=ask.operation)
            if seconds := self._room.take(ask.operation, time.monotonic()):
                self._wait(f"{ask.operation}: the rest of the rate limit is left to the org's users", seconds)
            answer = self._send(ask)
            tries += 1
            headers = answer.headers if isinstance(answer, Answer) else {}
            self._room.give_back(ask.operation, headers, time.time(), time.monotonic())
            pause = delay(answer, tries, time.time())
            if pause is None:
                self._judge(answer, ask)
                return answer
            self._wait(f"{ask.operation}: {_brief(answer)}", pause)

    def _send(self, ask: Ask) -> Answer | Lost:
        with self._lock:
            future = self._opened().get(ask)
        while not future.done():
            wait((future,), _GLANCE)
            if self.run.cancelled.is_set():
                future.cancel()
        if future.cancelled():
            raise Cancelled
        return future.result()

    def _opened(self) -> Transport:
        if self._closed:
            raise Cancelled
        if self._transport is None:
            credentials.check(self._client)
            self._transport = Transport(self._client, self._timeout)
        return self._transport

    def _wait(self, reason: str, seconds: float) -> None:
        seconds = min(seconds, LONGEST_WAIT)
        self.run.waiting(reason, seconds)
        if self.run.cancelled.wait(seconds):
            raise Cancelled

    def _judge(self, answer: Answer | Lost, ask: Ask) -> None:
        """Gives the org up for this run where signing in fails, or where it has fallen silent.

        Ten thousand users would otherwise be asked for in vain, each with its waits and tries.
        """
        silent = isinstance(answer, Lost) or answer.status in SILENT
        with self._lock:
            self._silent = self._silent + 1 if silent else 0
            if self._silent >= _SILENT_READS:
                message = (
                    f"Okta was not asked: {_SILENT_READS} reads in a row had no good answer, at last {_brief(answer)}"
                )
                self._over = Unavailable(message)
            elif isinstance(answer, Answer) and not answer.succeeded:
                error = refusal(answer, ask)
                self._over = error if isinstance(error, Unauthenticated) else self._over

    def close(self) -> None:
        """Ends the session and its thread, and forgets the pages. Reads still under way end as Cancelled."""
        with self._lock:
            self._closed = True
            if self._transport is not None:
                self._transport.close()
            self._transport = None
        super().close()


def _brief(answer: Answer | Lost) -> str:
    return str(answer) if isinstance(answer, Lost) else f"{answer.operation or 'it'} answered {answer.status}"


def part(thing: dict[str, Any], *names: str) -> dict[str, Any]:
    """The object inside an object, empty where there is none."""
    for name in names:
        inner = thing.get(name)
        thing = inner if isinstance(inner, dict) else {}
    return thing


def id_of(thing: dict[str, Any]) -> str:
    """The id that a read about this thing names it by. Raises Invalid where it has none."""
    found = thing.get("id")
    if not isinstance(found, str) or not found:
        raise Invalid("it came without an id")
    return found
