"""Where snapshots go: into the outbox, or, in a dry run, onto a stream."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.evidence import PayloadShape, Snapshot, evidence, payloads
from agent.items import Checkpoint
from agent.outbox import Outbox
from agent.report import State


@dataclass(frozen=True)
class Kept:
    """What became of a snapshot."""

    state: State
    parts: int
    items: Sequence[int] = ()


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
        pieces = evidence(snapshot, controls, shape=self._shape, limit=self._limit)
        items = self._outbox.put(self._collector, target, pieces, checkpoint, now=time.time())
        return Kept("queued", len(items) // len(controls), items)


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
