"""What a run of a collector came to, and who watches it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from collectors.errors import Gap

Outcome = Literal["complete", "incomplete", "failed"]
State = Literal["queued", "unchanged", "unmapped", "printed", "unkept"]


@dataclass(frozen=True, slots=True)
class Observed:
    """What became of one evidence type at one target.

    `gaps` counts all gaps, `kinds` by their kind, `told` are the first few of them. `calls` were made of the source.
    `items` are numbers in the outbox. Unmapped evidence has no control to go to; unchanged evidence was delivered
    before; unkept evidence fits into no payload or no longer into the outbox. `failed` says that our own code broke.
    """

    evidence_type: str
    target: str
    state: State
    snapshot_id: str | None = None
    controls: Sequence[str] = ()
    records: int = 0
    gaps: int = 0
    kinds: Mapping[str, int] = field(default_factory=dict)
    told: Sequence[Gap] = ()
    calls: int = 0
    parts: int = 0
    items: Sequence[int] = ()
    failed: bool = False


@dataclass
class Report:
    """What one run came to. `unmapped` are evidence types without a control, which were not looked at.

    `elsewhere` counts the places of other shards. `waits` counts how often a source made the run wait, by reason.
    """

    collector: str
    started: datetime
    observed: list[Observed] = field(default_factory=list)
    unmapped: list[str] = field(default_factory=list)
    elsewhere: int = 0
    waits: Counter[str] = field(default_factory=Counter)

    @property
    def snapshots(self) -> int:
        return sum(observed.snapshot_id is not None for observed in self.observed)

    @property
    def records(self) -> int:
        return sum(observed.records for observed in self.observed)

    @property
    def gaps(self) -> int:
        return sum(observed.gaps for observed in self.observed)

    @property
    def items(self) -> list[int]:
        return [item for observed in self.observed for item in observed.items]

    @property
    def failed(self) -> bool:
        return any(observed.failed for observed in self.observed)

    @property
    def outcome(self) -> Outcome:
        return "failed" if self.failed else "incomplete" if self.gaps else "complete"


class Progress(Protocol):
    """Somebody who watches a run. Called from several threads."""

    def started(self, evidence_type: str, target: str) -> None: ...
    def advanced(self, evidence_type: str, target: str, observations: int) -> None: ...
    def waiting(self, reason: str, seconds: float) -> None: ...
    def finished(self, observed: Observed) -> None: ...


class Unwatched:
    """Nobody watches."""

    def started(self, evidence_type: str, target: str) -> None: ...
    def advanced(self, evidence_type: str, target: str, observations: int) -> None: ...
    def waiting(self, reason: str, seconds: float) -> None: ...
    def finished(self, observed: Observed) -> None: ...
