"""One run of one collector: connect, observe each evidence type at each target, keep each snapshot.

Evidence types are observed in parallel, few at a time; records stream from the source into a spool. What fails is a
gap of the snapshot that it happened in, and never ends the others.
"""

import ctypes
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from agent.canonical import digest
from agent.config import Collector
from agent.controls import ControlMap
from agent.evidence import PayloadLimitTooSmall, Snapshot
from agent.items import Checkpoint
from agent.keep import Keeper, Kept
from agent.observe import observing
from agent.pseudonym import Pseudonym
from agent.report import Observed, Progress, Report, Unwatched
from agent.shard import WHOLE, Shard
from collectors import registry
from collectors.contract import Cancelled, EvidenceType, Run, Target, Unfinished, Unreachable
from collectors.errors import CollectionError, Gap, Invalid, Omitted
from collectors.secret import SecretMissing

log = structlog.get_logger()

READERS = 32  # reads under way at once, for all of a run; more saturate one process without being faster
_ARENAS = 2
_M_ARENA_MAX = -8  # malloc.h
_OBSERVERS = 16  # snapshots under way at once: most of them read a listing, and wait for it

_TOLD = 500  # gaps of a run that people are shown

Job = Callable[[], Observed]


class Collection:
    """One run of one collector. Once `cancelled` is set, what is being read is not kept, and `run` raises Cancelled.

    `types` are the evidence types to observe. Those without a control are left out, unless `unmapped` says otherwise.
    Only the places of the `shard` are read.
    """

    def __init__(
        self,
        collector: Collector,
        types: Sequence[EvidenceType[Any]],
        controls: ControlMap,
        keeper: Keeper,
        *,
        cancelled: threading.Event,
        spool_dir: Path | None = None,
        unfinished: Unfinished | None = None,
        progress: Progress | None = None,
        unmapped: bool = False,
        shard: Shard = WHOLE,
    ) -> None:
        self._collector = collector
        self._types = types
        self._controls = controls
        self._keeper = keeper
        self._cancelled = cancelled
        self._spool_dir = spool_dir
        self._unfinished = unfinished
        self._progress = progress or Unwatched()
        self._unmapped = unmapped
        self._shard = shard
        self._pseudonym: Pseudonym | None = None
        self._open: set[Target] = set()
        self._turn = threading.Lock()
        self._over: dict[int, Observed] = {}  # by the order in which they were begun
        self._told = 0
        self.report = Report(collector.name, datetime.now(UTC))

    def run(self) -> Report:
        """Raises Cancelled."""
        try:
            self._run()
        finally:
            for target in tuple(self._open):  # those that a run which was cut short did not come to
                self._close(target)
        return self.report

    def _run(self) -> None:
        _share_memory()
        name = self._collector.name
        with ThreadPoolExecutor(READERS, f"{name}-read") as readers, ThreadPoolExecutor(_OBSERVERS, name) as observers:
            run = Run(
                name,
                self.report.started,
                readers,
                READERS,
                self._cancelled,
                waiting=self._waiting,
                remembered=_wanted_twice(self._types, registry.source(self._collector.source_name).entering),
                permissions=frozenset(permission for kind in self._types for permission in kind.permissions),
                unfinished=self._unfinished,
            )
            pending: dict[Future[Observed], int] = {}
            try:
                for number, job in enumerate(self._jobs(run)):
                    pending[observers.submit(job)] = number
                    if len(pending) >= 2 * _OBSERVERS:
                        self._await_some(pending)
                while pending:
                    self._await_some(pending)
            finally:
                for future in pending:
                    future.cancel()
            self.report.observed.extend(self._over[number] for number in sorted(self._over))

    def _await_some(self, pending: dict[Future[Observed], int]) -> None:
        """Waits for any: one that takes long keeps none from beginning."""
        done, _ = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            observed = future.result()
            self._progress.finished(observed)
            self._told += len(observed.told)
            # All gaps are delivered. What people are shown is not to grow with an organization of a thousand accounts.
            self._over[pending.pop(future)] = observed if self._told <= _TOLD else replace(observed, told=())

    def _waiting(self, reason: str, seconds: float) -> None:
        with self._turn:
            self.report.waits[reason] += 1
        self._progress.waiting(reason, seconds)

    def _jobs(self, run: Run) -> Iterator[Job]:
        try:
            self._pseudonym = self._collector.pseudonym()
            for target in registry.source(self._collector.source_name).connect(self._collector.settings, run):
                if self._is_elsewhere(target):
                    self.report.elsewhere += 1
                    self._close(target)
                else:
                    yield from self._jobs_at(target)
        except SecretMissing as error:  # of the pseudonyms: nothing is read that could not be written down
            yield from self._jobs_everywhere(Invalid(f"people cannot be given pseudonyms: {error}"))
        except CollectionError as error:
            yield from self._jobs_everywhere(error)

    def _jobs_everywhere(self, error: CollectionError) -> Iterator[Job]:
        """Each evidence type says that nothing could be read."""
        everywhere = Unreachable(Target, self._collector.name, {"source": self._collector.source_name}, error)
        yield from self._jobs_at(everywhere)

    def _is_elsewhere(self, target: Target | Unreachable) -> bool:
        """Whether another shard reads it. What cannot be entered is told by each: some of its places may be its own."""
        return isinstance(target, Target) and not self._shard.has(self._collector.name, target.id)

    def _jobs_at(self, target: Target | Unreachable) -> Iterator[Job]:
        if self._cancelled.is_set():
            raise Cancelled
        kinds = [kind for kind in self._types if _runs_at(kind, target) and self._is_wanted(kind)]
        if isinstance(target, Target):
            self._open.add(target)
        left = _Left(len(kinds))
        if not kinds:
            self._close(target)
        for kind in kinds:
            yield partial(self._observe, kind, target, left)

    def _close(self, target: Target | Unreachable) -> None:
        if isinstance(target, Target):
            self._open.discard(target)
            target.close()

    def _is_wanted(self, kind: EvidenceType[Any]) -> bool:
        """Evidence that has nowhere to go is not collected; a place that speaks for controls itself says where."""
        if self._unmapped or self._controls.has_place_for(kind):
            return True
        if kind.id not in self.report.unmapped:
            self.report.unmapped.append(kind.id)
        return False

    def _observe(self, kind: EvidenceType[Any], target: Target | Unreachable, left: "_Left") -> Observed:
        try:
            if self._cancelled.is_set():
                raise Cancelled
            self._progress.started(kind.id, target.id)
            observed = self._observed(kind, target)
            _tell(self._collector.name, observed)
            return observed
        finally:
            if left.was_last():
                self._close(target)

    def _observed(self, kind: EvidenceType[Any], target: Target | Unreachable) -> Observed:
        controls, strangers = self._controls_of(kind, target)
        unread = partial(
            Observed, kind.id, target.id, gaps=len(strangers), kinds=dict(_kinds(strangers)), told=strangers
        )
        if strangers and not controls:
            return unread("unmapped")
        before = self._keeper.checkpoint(kind.id, target.id)
        revision = _revision(target, controls)
        if revision and before and before.revision == revision:
            return unread("unchanged", controls=controls)
        advanced = partial(self._progress.advanced, kind.id, target.id)
        with observing(
            self._collector,
            kind,
            target,
            before=before,
            revision=revision,
            spool_dir=self._spool_dir,
            pseudonym=self._pseudonym,
            advanced=advanced,
        ) as observation:
            snapshot = observation.snapshot
            kept = self._keep(snapshot, target.id, controls, observation.checkpoint)
            unkept = (kept.gap,) if kept.gap else ()
            beside = _kinds((*unkept, *strangers))
            return Observed(
                kind.id,
                target.id,
                kept.state,
                snapshot_id=snapshot.id,
                controls=controls,
                records=snapshot.observations.records,
                gaps=snapshot.observations.gaps + beside.total(),
                kinds=dict(beside + Counter(observation.kinds)),
                told=(*unkept, *strangers, *observation.told),
                calls=observation.calls,
                parts=kept.parts,
                items=kept.items,
                failed=observation.failed,
            )

    def _keep(self, snapshot: Snapshot, target: str, controls: Sequence[str], checkpoint: Checkpoint | None) -> Kept:
        try:
            return self._keeper.keep(snapshot, target, controls, checkpoint)
        except PayloadLimitTooSmall as error:
            return Kept("unkept", 0, gap=Omitted(str(error)).gap(target))

    def _controls_of(
        self, kind: EvidenceType[Any], target: Target | Unreachable
    ) -> tuple[tuple[str, ...], tuple[Gap, ...]]:
        """The controls that this evidence is for, and a gap for each that the workspace does not have."""
        own = _own_controls(target)
        controls = self._controls.controls_for(kind.id) if own is None else own
        known = self._controls.known
        if own is None or known is None:
            return controls, ()
        strangers = tuple(_stranger(control, target.id) for control in own if control not in known)
        return tuple(control for control in own if control in known), strangers


class _Left:
    """How many observations of a target are not over yet."""

    def __init__(self, observations: int) -> None:
        self._observations = observations
        self._turn = threading.Lock()

    def was_last(self) -> bool:
        with self._turn:
            self._observations -= 1
            return self._observations == 0


def _share_memory() -> None:
    """Has glibc serve all threads from two arenas: with several for the readers, each keeps what it once needed."""
    with suppress(OSError, AttributeError):  # another libc
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def _wanted_twice(types: Sequence[EvidenceType[Any]], entering: Sequence[str]) -> frozenset[str]:
    """The permissions that more than one reader asks with."""
    wanted = Counter(entering)
    for kind in types:
        wanted.update(set(kind.permissions))
    return frozenset(permission for permission, readers in wanted.items() if readers > 1)


def _runs_at(kind: EvidenceType[Any], target: Target | Unreachable) -> bool:
    if isinstance(target, Unreachable):
        return issubclass(kind.target, target.kind)
    return isinstance(target, kind.target)


def _kinds(gaps: Sequence[Gap]) -> Counter[str]:
    return Counter(gap.kind for gap in gaps)


def _own_controls(target: Target | Unreachable) -> tuple[str, ...] | None:
    own = target.controls if isinstance(target, Target) else None
    return None if own is None else tuple(dict.fromkeys(own))


def _revision(target: Target | Unreachable, controls: Sequence[str]) -> str | None:
    """Of what a place holds, and of the controls that it is for: one that is new has not had any of it yet."""
    if isinstance(target, Unreachable) or target.revision is None:
        return None
    return digest(repr((target.revision, sorted(controls))).encode())


def _stranger(control: str, resource: str) -> Gap:
    message = f"the workspace has no control {control}"
    remedy = "Name the folder, or the sidecar's controls, after a control that `chequr-agent controls list` shows."
    return Invalid(message).gap(resource).model_copy(update={"remedy": remedy})


def _tell(collector: str, observed: Observed) -> None:
    """The canonical line of one collection of one evidence type at one target."""
    tell = log.warning if observed.gaps else log.info
    tell(
        "evidence.collected",
        collector=collector,
        evidence_type=observed.evidence_type,
        target=observed.target,
        state=observed.state,
        records=observed.records,
        gaps=observed.gaps,
        parts=observed.parts,
        controls=list(observed.controls),
        snapshot=observed.snapshot_id,
        **({"first_gap": observed.told[0].message} if observed.told else {}),
    )
