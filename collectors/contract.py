"""The contract between the agent and whatever can be seen.

    @evidence("iam:GetAccountPasswordPolicy")
    def password_policy(account: Account) -> Iterator[PasswordPolicy]: ...

A source is a package that holds `SOURCE` and evidence types. An evidence type is a decorated function:

- its module path is its id: `collectors/aws/iam.py::password_policy` is `aws_iam_password_policy`, and one that has the
  name of its module, as in `collectors/github/teams.py::teams`, is `github_teams`;
- its parameter's class says what it runs against, and so how it fans out;
- the type that it yields is its record, its docstring is its documentation;
- the decorator names the least permissions that it needs.

It looks and tells. It does not judge, retry, log, sleep, or know the API. What it cannot see it raises
as a `collectors.errors.CollectionError`, or yields as a `Gap` where one resource of many failed.
"""

from __future__ import annotations

import contextvars
import inspect
import json
import threading
import types
import typing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property, partial
from typing import Annotated, Any, Generic, NamedTuple, Protocol, TypeVar, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PlainSerializer, SerializationInfo, ValidationError

from collectors.errors import CollectionError, Gap, GapKind, Invalid, NotFound

T = TypeVar("T")
R = TypeVar("R")


class Record(BaseModel):
    """One observed thing. Fields are facts, each described; a required field has no default."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


PERSONAL: dict[str, JsonValue] = {"x-personal": True}
"""How the schema of a field says that it names a person."""


def personal(value: str, info: SerializationInfo[Any]) -> str:
    """The value, or its pseudonym where whoever writes it down brings a function that makes one."""
    pseudonym: str = info.context(value) if callable(info.context) else value
    return pseudonym


Personal = Annotated[
    str,
    PlainSerializer(personal, return_type=str),
    Field(json_schema_extra=PERSONAL),
]
"""A text that names a person: a login, an e-mail address, a name. Where it is written down it can be a pseudonym."""


class Settings(BaseModel):
    """A source's own keys of a `[collectors.<name>]` table. Unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Period:
    """The half-open time from `since` to `until`, both aware, that a population in time is read for."""

    since: datetime
    until: datetime


class Unfinished(Protocol):
    """What a run that was cut short had read, for the one that makes up for it. Safe over threads.

    It is for what takes long to read again. Values are JSON, and hold no personal data.
    """

    def get(self, key: str) -> Any:
        """The value, or None."""

    def put(self, key: str, value: Any) -> None:
        """Keeps the value until a run of this collector comes to its end."""


@dataclass(frozen=True)
class Run:
    """What one run of a collector shares: its name, a pool for parallel reads, and the wish to stop.

    `started` is the instant, aware, that ages are counted from.
    `pool` is None where reads must be sequential and lazy, as when access is only probed.
    `cancelled` is set when the agent wants to stop; long waits watch it.
    `waiting` is told when a source makes the run wait: the reason, and the seconds.
    `remembered` are the permissions whose answers are worth keeping, since more than one reader asks with them; None
    keeps all answers.
    `permissions` are all that the run's evidence types declare: as much need be asked for, where grants are asked for;
    None says nothing about them.
    `unfinished` has what an earlier run that was cut short had read; None keeps nothing.
    """

    collector: str
    started: datetime
    pool: Executor | None
    workers: int
    cancelled: threading.Event
    waiting: Callable[[str, float], None] = lambda _reason, _seconds: None
    remembered: frozenset[str] | None = None
    permissions: frozenset[str] | None = None
    unfinished: Unfinished | None = None


class Cancelled(Exception):
    """The run was asked to stop; what was being read is not a snapshot."""


# ── How a record was obtained ──────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Use:
    """How one operation was used for one snapshot: answers fetched, and answers taken from the run's memory."""

    permission: str | None = None
    calls: int = 0
    reused: int = 0
    parameters: set[str] = field(default_factory=set)


class Journal:
    """The operations that one snapshot rests on. Safe over threads."""

    def __init__(self) -> None:
        self.uses: dict[str, Use] = {}
        self._lock = threading.Lock()

    def note(self, operation: str, parameters: str, *, permission: str | None, reused: bool) -> None:
        with self._lock:
            use = self.uses.setdefault(operation, Use(permission))
            use.parameters.add(parameters)
            if reused:
                use.reused += 1
            else:
                use.calls += 1


_journal: contextvars.ContextVar[Journal | None] = contextvars.ContextVar("journal", default=None)


@contextmanager
def journaling(journal: Journal) -> Iterator[Journal]:
    """Notes every read made in this context, in pool threads too where `Target.each` started them."""
    token = _journal.set(journal)
    try:
        yield journal
    finally:
        _journal.reset(token)


def note(
    operation: str, parameters: Mapping[str, object], *, permission: str | None = None, reused: bool = False
) -> None:
    """Writes one use of an operation into the journal of the snapshot being read, if there is one.

    `permission` is the grant that the operation needs, in the words that evidence types declare theirs in.
    """
    journal = _journal.get()
    if journal is not None:
        journal.note(operation, _canonical(parameters), permission=permission, reused=reused)


def _canonical(parameters: Mapping[str, object]) -> str:
    return json.dumps(parameters, sort_keys=True, separators=(",", ":"), default=str)


class _Known(NamedTuple):
    """An answer. There may be very many, so it takes little memory."""

    value: Any

    def get(self) -> Any:
        return self.value


class _Failed(NamedTuple):
    """A read that failed. Where it was raised is forgotten: that would keep all that was in reach there."""

    error: Exception

    def get(self) -> Any:
        """Raises it, to each reader one of its own: one that is raised again and again grows."""
        if not isinstance(self.error, CollectionError):  # our own fault, which the log is to show whole
            raise self.error
        raise copy(self.error) from self.error.__cause__


def _called(call: Callable[[], Any], asked: Future[_Known | _Failed]) -> _Known | _Failed:
    """What `call` comes to, told to those who wait for `asked` as well."""
    answer: _Known | _Failed
    try:
        answer = _Known(call())
    except Exception as error:  # whatever it is, it is remembered for all who want this answer
        if isinstance(error, CollectionError):
            _forget_where(error)
        answer = _Failed(error)
    except BaseException as error:
        asked.set_exception(error)
        raise
    asked.set_result(answer)
    return answer


def _forget_where(error: CollectionError) -> None:
    for raised in (error, error.__cause__):
        if raised is not None:
            raised.__traceback__ = raised.__context__ = None


class Reads:
    """A read-through memory of one run: the same operation with the same parameters is called once.

    Threads that ask for the same thing at the same time wait for the one call. A failure is remembered
    like an answer, so that a denied read is not tried again by each evidence type that wants it.

    Where `remembered` names permissions, the answers to reads with other permissions are not kept: nobody else asks,
    and a population that only passes through need not fit into memory.
    """

    def __init__(self, remembered: frozenset[str] | None = None) -> None:
        self._answers: dict[tuple[str, str, str], _Known | _Failed | Future[_Known | _Failed]] = {}
        self._remembered = remembered
        self._lock = threading.Lock()

    def read(
        self,
        operation: str,
        parameters: Mapping[str, object],
        call: Callable[[], T],
        *,
        permission: str | None = None,
        place: str = "",
        noted: Mapping[str, object] | None = None,
        keep: bool = False,
    ) -> T:
        """The remembered answer of `operation` with `parameters` at `place`, or what `call` returns or raises now.

        `noted` is what the journal tells instead of the parameters. With `keep` the answer is remembered whoever
        else asks: the same evidence type comes upon it again.
        """
        told = parameters if noted is None else noted
        if not (keep or permission is None or self._remembered is None or permission in self._remembered):
            note(operation, told, permission=permission)
            return call()
        key = (operation, place, _canonical(parameters))
        with self._lock:
            answer = self._answers.get(key)
            if answer is None:
                asked = self._answers[key] = Future()
        note(operation, told, permission=permission, reused=answer is not None)
        if answer is None:
            answer = self._answers[key] = _called(call, asked)
        elif isinstance(answer, Future):
            answer = answer.result()
        result: T = answer.get()
        return result

    def clear(self) -> None:
        with self._lock:
            self._answers.clear()


# ── Where it is read ───────────────────────────────────────────────────────────────────────────────────────────────


class Target:
    """One place read: an account, a tenant, an organization, a file. Subclasses add the reads of their source.

    `id` is stable and unique within its collector. `description` goes into each payload as `target`.
    `controls` names the controls that the place itself speaks for; None leaves that to the mapping. A class whose
    places always do has an empty tuple of its own.
    `revision` changes when the place's content does; a revision that was delivered is not read again.
    `alike` names places that are seen with the same permissions: who only checks access looks at one of them.
    `expires` is the day from which what the place holds no longer does, where it says so itself.
    """

    id: str
    description: Mapping[str, Any]
    controls: tuple[str, ...] | None = None
    revision: str | None = None
    alike: str | None = None
    expires: date | None = None

    def __init__(self, run: Run, reads: Reads | None = None) -> None:
        self.run = run
        self.reads = Reads(run.remembered) if reads is None else reads

    def identity(self) -> str:
        """Whose eyes these are: an ARN, a login, a client id; never a secret. Raises CollectionError."""
        raise NotImplementedError

    def refused(self, permissions: Iterable[str]) -> Mapping[str, str]:
        """Which of the permissions the source itself says that this identity lacks, each with its reason.

        Empty where it does not say. To be told so is not to be refused: who relies on it reads all the same.
        """
        del permissions
        return {}

    def unseen(self) -> Iterator[Gap]:
        """What the source lists fewer of to this identity than there are, without refusing anything.

        Empty where it does not say. Evidence types that rest on such a list yield these gaps as well.
        """
        yield from ()

    def close(self) -> None:
        """Lets go of clients and remembered answers."""
        self.reads.clear()

    def each(
        self,
        items: Iterable[T],
        look: Callable[[T], R | None],
        *,
        resource: Callable[[T], str],
        may_go: bool = True,
    ) -> Iterator[R | Gap]:
        """`look` at every item in parallel, in order, few at a time: what it returns, or the gap it left.

        An item that went away meanwhile (NotFound) or that `look` answers with None is passed over. Where items are
        no resources but regions, listings or the like, they `may_go` nowhere: not to be found is a gap. Memory holds
        a bounded number of items, however many there are.
        """
        seen = partial(_look, look=look, resource=resource, may_go=may_go)
        outcomes: Iterator[R | Gap | None]
        if self.run.pool is None:
            outcomes = map(seen, items)
        else:
            outcomes = _ahead(self.run.pool, 2 * self.run.workers, seen, items)
        for outcome in outcomes:
            if self.run.cancelled.is_set():
                raise Cancelled
            if outcome is not None:
                yield outcome


def _look(item: T, *, look: Callable[[T], R | None], resource: Callable[[T], str], may_go: bool) -> R | Gap | None:
    try:
        return look(item)
    except CollectionError as error:
        if may_go and isinstance(error, NotFound):
            return None
        return error.gap(resource(item))
    except ValidationError as error:
        return Invalid(explain(error)).gap(resource(item))


def _ahead(
    pool: Executor, window: int, seen: Callable[[T], R | Gap | None], items: Iterable[T]
) -> Iterator[R | Gap | None]:
    pending: deque[Future[R | Gap | None]] = deque()
    try:
        try:
            for item in items:
                context = contextvars.copy_context()
                pending.append(pool.submit(context.run, seen, item))
                if len(pending) >= window:
                    yield pending.popleft().result()
        except CollectionError:  # the listing broke half-way: what was looked at before is told first
            while pending:
                yield pending.popleft().result()
            raise
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()


def explain(error: ValidationError) -> str:
    """A source's malformed answer in one line: which fields, and why; never their values."""
    faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors(include_input=False))
    return f"the answer does not fit {error.title}: " + "; ".join(faults)


@dataclass(frozen=True)
class Unreachable:
    """A place that could not be entered: each evidence type that would run there gets this gap."""

    kind: type[Target]
    id: str
    description: Mapping[str, Any]
    cause: CollectionError


@dataclass(frozen=True)
class Source:
    """A provider: its settings, how to enter its places, and how its least privilege is written down.

    `connect` yields targets lazily; it raises CollectionError where nothing at all can be read.
    `grants` turns evidence types into what an administrator pastes: an IAM policy, a list of scopes. `formats` are
    other ways to write that down, by name: as a tool takes it that rolls out infrastructure. `entering` are the
    permissions that `connect` needs.
    """

    settings: type[Settings]
    connect: Callable[[Any, Run], Iterator[Target | Unreachable]]
    grants: Callable[[Sequence[EvidenceType[Any]]], Mapping[str, Any]]
    formats: Mapping[str, Callable[[Sequence[EvidenceType[Any]]], str]] = field(default_factory=dict)
    entering: tuple[str, ...] = ()


# ── What is read ───────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class EvidenceType(Generic[R]):
    """One decorated function and all that follows from it."""

    observe: Callable[..., Iterator[R | Gap]]
    permissions: tuple[str, ...]
    version: int
    window: timedelta | None
    retention: timedelta | None
    lag: timedelta

    @cached_property
    def id(self) -> str:
        package, module = self.observe.__module__.split(".")[-2:]
        name = self.observe.__name__
        return f"{package}_{module}" if name == module else f"{package}_{module}_{name}"

    @cached_property
    def source(self) -> str:
        return self.observe.__module__.split(".")[-2]

    @cached_property
    def documentation(self) -> str:
        return inspect.getdoc(self.observe) or ""

    @cached_property
    def target(self) -> type[Target]:
        """The class of the first parameter: what the function runs against."""
        first = next(iter(inspect.signature(self.observe).parameters))
        target: type[Target] = self._hints[first]
        return target

    @property
    def speaks_for_itself(self) -> bool:
        """Whether its places name their controls themselves, as files do: it needs no mapping then."""
        return self.target.controls is not None

    @cached_property
    def record(self) -> type[Record]:
        """The class that the function yields, beside gaps."""
        (yielded,) = get_args(self._hints["return"])
        union = typing.get_origin(yielded) in (typing.Union, types.UnionType)
        (record,) = [kind for kind in (get_args(yielded) if union else (yielded,)) if kind is not Gap]
        return typing.cast("type[Record]", record)

    @cached_property
    def _hints(self) -> dict[str, Any]:
        return get_type_hints(self.observe)

    def __call__(self, target: Target, period: Period | None = None) -> Iterator[R | Gap]:
        return self.observe(target) if self.window is None else self.observe(target, period)


def evidence(
    *permissions: str,
    version: int = 1,
    window: timedelta | None = None,
    retention: timedelta | None = None,
    lag: timedelta = timedelta(0),
) -> Callable[[Callable[..., Iterator[R]]], EvidenceType[Any]]:
    """Makes a function an evidence type.

    `permissions` are the least grants that its calls need, in the source's own words. `version` counts changes
    of the record's shape. With `window` the function takes a second argument, the Period since its last success:
    the window is how far back the first run looks, `retention` how long the source keeps what it would find, `lag`
    how long it may take to show what happened: a period ends that long ago, or what comes late would never be read.
    """

    def decorate(observe: Callable[..., Iterator[R]]) -> EvidenceType[Any]:
        made: EvidenceType[Any] = EvidenceType(observe, permissions, version, window, retention, lag)
        return made

    return decorate


__all__ = [
    "PERSONAL", "Cancelled", "EvidenceType", "Gap", "GapKind", "Journal", "Period", "Personal", "Reads", "Record",
    "Run", "Settings", "Source", "Target", "Unfinished", "Unreachable", "Use", "evidence", "explain", "journaling",
    "note", "personal",
]  # fmt: skip
