"""One evidence type at one target: records and gaps as they come, into a snapshot."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from pydantic import ValidationError

from agent.config import Collector
from agent.evidence import Snapshot
from agent.items import Checkpoint
from agent.pseudonym import Pseudonym
from agent.spool import Spool, SpoolFull
from collectors.contract import Cancelled, EvidenceType, Journal, Period, Target, Unreachable, explain, journaling
from collectors.errors import CollectionError, Gap, Invalid, Omitted

log = structlog.get_logger()

_MAKE_ROOM = "Make room on the disk of state_dir; it is read again at the next run."
_TOLD = 20  # gaps of one snapshot that people are shown; all of them are delivered


@dataclass(frozen=True)
class Observation:
    """A snapshot, what to remember once it is kept, and what to tell people."""

    snapshot: Snapshot
    checkpoint: Checkpoint | None
    told: tuple[Gap, ...]
    kinds: Mapping[str, int]
    calls: int
    failed: bool


@contextmanager
def observing(
    collector: Collector,
    kind: EvidenceType[Any],
    target: Target | Unreachable,
    *,
    before: Checkpoint | None,
    revision: str | None,
    spool_dir: Path | None,
    pseudonym: Pseudonym | None = None,
    advanced: Callable[[int], None],
) -> Iterator[Observation]:
    """Observes `kind` at `target`, since `before` where it is a population in time.

    `revision` is what to remember a place by that was read whole: of what it holds, and of whom that is for.
    Whatever fails is a gap: of the whole where the evidence type raised it. Records that came before stay, and the
    snapshot says that it is incomplete. The snapshot's spool is closed with the context. Raises Cancelled.
    """
    told = _Told(Spool(spool_dir, pseudonym), advanced)
    try:
        yield _observe(collector, kind, target, told, before=before, revision=revision)
    finally:
        told.spool.close()


def _observe(
    collector: Collector,
    kind: EvidenceType[Any],
    target: Target | Unreachable,
    told: "_Told",
    *,
    before: Checkpoint | None,
    revision: str | None,
) -> Observation:
    started = datetime.now(UTC)
    period, lost = _period(kind, before, started)
    journal = Journal()
    if lost:
        told.add(lost)
    with journaling(journal):
        identity, failed = _read(kind, target, period, told)
    finished = _instants.next()
    snapshot = Snapshot(
        collector=collector.name,
        evidence_type=kind.id,
        schema_version=kind.version,
        source=collector.source_name,
        target=target.description,
        identity=identity,
        period=period,
        started=started,
        finished=finished,
        journal=journal,
        config_digest=collector.digest,
        observations=told.spool,
        supersedes=before.snapshot_id if before and before.revision else None,
    )
    calls = sum(use.calls for use in journal.uses.values())
    reached = isinstance(target, Target)
    checkpoint = _checkpoint(snapshot, revision, told, before, kind.window) if reached else None
    return Observation(snapshot, checkpoint, tuple(told.first), dict(told.kinds), calls, failed)


class _Instants:
    """Instants of milliseconds, of which no two are the same: a control tells snapshots apart by nothing else."""

    def __init__(self) -> None:
        self._last = datetime.min.replace(tzinfo=UTC)
        self._turn = threading.Lock()

    def next(self) -> datetime:
        with self._turn:
            now = datetime.now(UTC)
            now = now.replace(microsecond=now.microsecond // 1000 * 1000)
            if timedelta(0) <= self._last - now < timedelta(seconds=1):  # more: the clock was set back
                now = self._last + timedelta(milliseconds=1)
            self._last = now
            return now


_instants = _Instants()


class _Told:
    """Puts observations into the spool, counts them aloud, and keeps the first gaps for people."""

    def __init__(self, spool: Spool, advanced: Callable[[int], None]) -> None:
        self.spool = spool
        self._advanced = advanced
        self.first: list[Gap] = []
        self.kinds: Counter[str] = Counter()
        self.settled = True

    def restart(self, gap: Gap) -> None:
        """Tells nothing but that there was no room to tell it."""
        self.spool.close()
        self.spool = Spool()  # so little stays in memory
        self.settled = False
        self.add(gap)

    def add(self, observation: Any) -> None:
        self.spool.append(observation)
        self._advanced(self.spool.records)
        if isinstance(observation, Gap):
            self.kinds[observation.kind] += 1
            self.settled = self.settled and observation.kind == Omitted.kind
            if len(self.first) < _TOLD:
                self.first.append(observation)


def _read(
    kind: EvidenceType[Any], target: Target | Unreachable, period: Period | None, told: _Told
) -> tuple[str | None, bool]:
    """Reads to the end or to the first failure of the whole; as whom, and whether our own code failed."""
    if isinstance(target, Unreachable):
        told.add(target.cause.gap())
        return None, False
    try:
        identity, failed = _read_as_somebody(kind, target, period, told)
        told.spool.flush()
    except SpoolFull as error:
        told.restart(Omitted(str(error)).gap().model_copy(update={"remedy": _MAKE_ROOM}))
        return None, False
    return identity, failed


def _read_as_somebody(
    kind: EvidenceType[Any], target: Target, period: Period | None, told: _Told
) -> tuple[str | None, bool]:
    try:
        _read_whole(kind, target, period, told)
        return _identity(target), False
    except (Cancelled, SpoolFull):
        raise
    except Exception as error:  # around this job: a broken evidence type must not end the others
        told.add(failure(kind, target, error))
        return None, True


def _read_whole(kind: EvidenceType[Any], target: Target, period: Period | None, told: _Told) -> None:
    try:
        for observation in kind(target, period):
            if target.run.cancelled.is_set():
                raise Cancelled
            told.add(observation)
    except CollectionError as error:
        told.add(error.gap())
    except ValidationError as error:
        told.add(Invalid(explain(error)).gap())


def failure(kind: EvidenceType[Any], target: Target, error: Exception) -> Gap:
    """What a broken evidence type leaves unseen; the log has its error."""
    log.error("evidence_type.failed", evidence_type=kind.id, target=target.id, exc_info=error)
    return Gap(
        kind="failed",
        resource=None,
        operation=None,
        permission=None,
        message=f"{kind.id} broke: {type(error).__name__}",
        remedy="The agent's log has the details; report it to whoever wrote this evidence type.",
    )


def _identity(target: Target) -> str | None:
    try:
        return target.identity()
    except CollectionError:  # the reads have left their own gaps
        return None


def _period(kind: EvidenceType[Any], before: Checkpoint | None, now: datetime) -> tuple[Period | None, Gap | None]:
    """What a population in time is read for, and the gap where the source no longer keeps some of that."""
    if kind.window is None:
        return None, None
    until = now - kind.lag
    since = before.until if before and before.until else until - kind.window
    kept = kind.retention or timedelta.max
    if now - since <= kept:
        return Period(min(since, until), until), None
    span = f"from {since:%Y-%m-%d %H:%M} to {now - kept:%Y-%m-%d %H:%M} UTC"
    return Period(now - kept, until), Omitted(f"the source keeps {kept.days} days; nothing is known {span}").gap()


def _checkpoint(
    snapshot: Snapshot,
    revision: str | None,
    told: _Told,
    before: Checkpoint | None,
    window: timedelta | None,
) -> Checkpoint | None:
    """What need not be read again. What left a gap is, unless the gap was left on purpose."""
    if window is None or snapshot.period is None:
        return Checkpoint(None, revision, snapshot.id) if told.settled and revision else None
    if told.settled:
        return Checkpoint(snapshot.period.until, revision, snapshot.id)
    return _incomplete(snapshot.id, snapshot.period, snapshot.started, before, window) if before else None


def _incomplete(
    snapshot_id: str, period: Period, started: datetime, before: Checkpoint, window: timedelta
) -> Checkpoint:
    """Where to read again from, after a gap. One that nobody mends would have the period grow for ever: once it has
    stood for as long as the window, what is longer ago stays as it was told, with its gap.
    """
    incomplete_since = before.incomplete_since or started
    has_stood = started - incomplete_since >= window
    since = max(period.since, period.until - window) if has_stood else period.since
    return Checkpoint(since, None, snapshot_id, incomplete_since)
