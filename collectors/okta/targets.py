"""An Okta org: how it is entered, and how it is read."""

import json
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import wait
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from collectors import registry
from collectors.contract import Cancelled, EvidenceType, Run, Target, note
from collectors.errors import CollectionError, Invalid, Unauthenticated, Unavailable
from collectors.okta import credentials
from collectors.okta.limits import LONGEST_WAIT, SHARE_FOR_USERS, SILENT, Room, delay, stamp
from collectors.okta.refusals import content, items, lacks_scope, refusal, thing
from collectors.okta.requests import Answer, Ask, Lost
from collectors.okta.settings import Settings
from collectors.okta.transport import Transport

T = TypeVar("T")

ADMIN_ROLE = "Read-only Administrator"
# What that role does not show; a custom admin role with this permission on all resources does.
_BEYOND = {"okta.roles.read": "okta.iam.read"}
_SILENT_READS = 5
_GLANCE = 0.5  # seconds between looks at the wish to stop


def connect(settings: Settings, run: Run) -> Iterator["Tenant"]:
    """The one org of these settings. Raises Unauthenticated where there is no usable secret."""
    if settings.client_id is None:
        signing_in = credentials.api_token(settings.token_file)
    else:
        scopes = settings.scopes or sorted(run.permissions or grants(registry.evidence_types("okta"))["scopes"])
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
    """The scopes that a service app needs, and the least admin roles that it or a token's owner needs."""
    scopes = sorted({scope for kind in types for scope in kind.permissions})
    beyond = sorted({_BEYOND[scope] for scope in scopes if scope in _BEYOND})
    return {"scopes": scopes, "admin_role": ADMIN_ROLE, **({"custom_role_permissions": beyond} if beyond else {})}


@dataclass(frozen=True)
class _Page:
    """A page kept for whoever else wants it: its body compressed, a tenth of its size or less."""

    body: bytes
    length: int
    next: str | None
    as_of: str

    @property
    def items(self) -> list[dict[str, Any]]:
        kept: list[dict[str, Any]] = json.loads(zlib.decompress(self.body))
        return kept


@dataclass(frozen=True)
class _Shape:
    """How a page holds its objects, and which of their fields are wanted."""

    within: str | None
    only: tuple[str, ...] | None

    def of(self, answer: Answer | Lost, ask: Ask) -> tuple[list[dict[str, Any]], str | None]:
        """The objects of a good page, and where the next one is, as its headers or the page itself link it."""
        found, linked = items(answer, ask, self.within)
        if self.only is not None:
            found = [{name: each[name] for name in self.only if name in each} for each in found]
        return found, (answer.next if isinstance(answer, Answer) else None) or linked


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
        """A list about one thing of many, whole. It is not kept: ten thousand of them would be too much."""
        pages = self.pages(operation, parameters, permission=permission, identity_engine=identity_engine, keep=False)
        return list(pages)

    def resumed(
        self, operation: str, parameters: Mapping[str, str], *, permission: str, pick: Callable[[dict[str, Any]], T]
    ) -> tuple[list[T], str]:
        """What `pick` takes of each object of a list about one thing, and when Okta told it, UTC by its own clock.

        A run that was cut short is gone on with: what it had read is not read again. What is picked is JSON without
        personal data.
        """
        ask = Ask(operation, parameters, permission)
        unfinished = self.run.unfinished
        kept = None if unfinished is None else unfinished.get(ask.path)
        if kept is not None:
            note(operation, parameters, permission=permission, reused=True)
            return kept["picked"], kept["as_of"]
        picked: list[T] = []
        for page in self._pages(ask, _Shape(None, None), keep=False):
            picked += map(pick, page.items)
            as_of = page.as_of
        if unfinished is not None:
            unfinished.put(ask.path, {"picked": picked, "as_of": as_of})
        return picked, as_of

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
        within: str | None = None,
        only: tuple[str, ...] | None = None,
        keep: bool = True,
    ) -> Iterator[dict[str, Any]]:
        """All objects of a list, page by page, lazily; each page is fetched once in a run, whoever wants it.

        `within` is the field that holds the list, where it comes inside an object. `only` names the fields that are
        wanted of each object. With `keep` false nobody else wants the list, and its pages are let go.
        A page that fails raises its CollectionError, which says how many objects were read before it.
        """
        ask = Ask(operation, parameters, permission, headers or {}, identity_engine)
        for page in self._pages(ask, _Shape(within, only), keep=keep):
            yield from page.items

    def _pages(self, ask: Ask, shape: "_Shape", *, keep: bool) -> "Iterator[_Page]":
        seen = {ask.path}
        read = 0
        for number in count(1):
            page = self._page(ask, number, read, shape, keep=keep)
            yield page
            read += page.length
            if page.next is None:
                return
            ask = ask.next(page.next)
            if ask.path in seen:
                raise Invalid(f"page {number} leads back to an earlier one; {read} were read", operation=ask.operation)
            seen.add(ask.path)
            if self.run.cancelled.is_set():
                raise Cancelled

    def _page(self, ask: Ask, number: int, read: int, shape: "_Shape", *, keep: bool) -> "_Page":
        def fetch() -> _Page:
            return self._fetch(ask, shape)

        try:
            if keep:
                return self.reads.read(ask.operation, ask.parameters, fetch, permission=ask.permission)
            note(ask.operation, ask.parameters, permission=ask.permission)
            return fetch()
        except CollectionError as error:
            if number == 1:
                raise
            message = f"page {number} failed, after {read} were read: {error.message}"
            raise type(error)(message, operation=error.operation, permission=error.permission) from error

    def _fetch(self, ask: Ask, shape: "_Shape") -> "_Page":
        answer = self._read(ask)
        found, following = shape.of(answer, ask)
        assert isinstance(answer, Answer)
        if following is not None and (host := urlsplit(following).netloc) != self.id:
            raise Invalid(f"the next page's link leaves {self.id} for {host}; not followed", operation=ask.operation)
        return _Page(zlib.compress(json.dumps(found).encode(), 1), len(found), following, stamp(answer.headers))

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
            self._transport = self._signed_in(Transport(self._client, self._timeout))
        return self._transport

    def _signed_in(self, transport: Transport) -> Transport:
        """A transport that asks for no scope which the app was not granted.

        Okta gives no token at all where one of the scopes lacks, and does not say which: then each is tried.
        """
        scopes = self._client.get("scopes", ())
        if len(scopes) < 2 or not lacks_scope(transport.sign_in().result()):  # noqa: PLR2004 - one is told by its name
            return transport
        transport.close()
        granted = [scope for scope in scopes if self._is_granted(scope)]
        self._client = {**self._client, "scopes": granted or scopes}
        return Transport(self._client, self._timeout)

    def _is_granted(self, scope: str) -> bool:
        with closing(Transport({**self._client, "scopes": [scope]}, self._timeout)) as transport:
            return not lacks_scope(transport.sign_in().result())

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
