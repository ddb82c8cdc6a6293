"""Where snapshots go: into the outbox, or, in a dry run, onto a stream."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from agent.evidence import Evidence, PayloadShape, Snapshot, evidence, payloads
from agent.items import Checkpoint
from agent.outbox import Outbox, OutboxFull
from agent.report import State
from agent.spool import Spool
from collectors.errors import Gap, Omitted


@dataclass(frozen=True)
class Kept:
    """What became of a snapshot."""

    state: State
    parts: int
    items: Sequence[int] = ()
    gap: Gap | None = None


class Keeper(Protocol):
    """Keeps snapshots, and knows how far each population was read before."""

    def checkpoint(self, evidence_type: str, target: str) -> Checkpoint | None: ...

    def keep(self, snapshot: Snapshot, target: str, controls: Sequence[str], checkpoint: Checkpoint | None) -> Kept: ...


class Queue:
    """Keeps snapshots in the outbox. `limit` is the largest request body in bytes."""

    def __init__(self, outbox: Outbox, collector: str, *, shape: PayloadShape, limit: int) -> None:
        self._outbox = outbox
        self._collector = collector
        self._shape = shape
        self._limit = limit

    def checkpoint(self, evidence_type: str, target: str) -> Checkpoint | None:
        return self._outbox.checkpoint(self._collector, evidence_type, target)

    def keep(self, snapshot: Snapshot, target: str, controls: Sequence[str], checkpoint: Checkpoint | None) -> Kept:
        if not controls:
            return Kept("unmapped", 0)
        try:
            items = self._put(snapshot, target, controls, checkpoint)
        except OutboxFull as error:
            return self._keep_account(snapshot, target, controls, error)
        return Kept("queued", len(items) // len(controls), items)

    def _keep_account(self, snapshot: Snapshot, target: str, controls: Sequence[str], error: OutboxFull) -> Kept:
        """Queues, in the stead of a snapshot that there is no room for, one that says so: a gap is evidence, too."""
        gap = Omitted(str(error)).gap().model_copy(update={"remedy": error.remedy})
        with closing(Spool()) as spool:
            spool.append(gap)
            items: Sequence[int] = ()
            with suppress(OutboxFull):
                items = self._put(replace(snapshot, observations=spool), target, controls, None, essential=True)
        return Kept("unkept", 0, items, gap)

    def _put(
        self,
        snapshot: Snapshot,
        target: str,
        controls: Sequence[str],
        checkpoint: Checkpoint | None,
        *,
        essential: bool = False,
    ) -> Sequence[int]:
        pieces = _Repeatable(partial(evidence, snapshot, controls, shape=self._shape, limit=self._limit))
        now = time.time()
        return self._outbox.put(self._collector, target, pieces, checkpoint, now=now, essential=essential)


class _Repeatable:
    """Evidence that is cut anew each time it is gone through, and never in memory as a whole."""

    def __init__(self, cut: Callable[[], Iterator[Evidence]]) -> None:
        self._cut = cut

    def __iter__(self) -> Iterator[Evidence]:
        return self._cut()


class Printer:
    """Writes payloads out, one a line, and remembers nothing."""

    def __init__(self, write: Callable[[bytes], object], *, shape: PayloadShape, limit: int) -> None:
        self._write = write
        self._shape = shape
        self._limit = limit
        self._turn = threading.Lock()

    def checkpoint(self, evidence_type: str, target: str) -> Checkpoint | None:
        del evidence_type, target
        return None

    def keep(self, snapshot: Snapshot, target: str, controls: Sequence[str], checkpoint: Checkpoint | None) -> Kept:
        del target, checkpoint
        parts = 0
        with self._turn:
            for payload in payloads(snapshot, controls, shape=self._shape, limit=self._limit):
                self._write(payload.content + b"\n")
                parts += 1
        return Kept("printed", parts)
