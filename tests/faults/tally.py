"""What a fault test did and counted, for the table at the end."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

LONG = os.environ.get("FAULTS") == "long"
HEADINGS = (
    "fault", "repetitions", "items", "accepted", "owed", "rejected", "lost by name", "lost by number", "replays",
    "verdict",
)  # fmt: skip


@dataclass
class Tally:
    """The counts of one fault over all its repetitions."""

    fault: str
    repetitions: int = 0
    items: int = 0
    accepted: int = 0
    owed: int = 0
    rejected: int = 0
    named: int = 0
    numbered: int = 0
    replays: int = 0
    verdict: str = "never ended"

    def times(self, short: int, long: int) -> int:
        """How often to repeat it."""
        return long if LONG else short

    def count(self, **counts: int) -> None:
        """Adds a repetition and what it counted."""
        self.repetitions += 1
        for name, number in counts.items():
            setattr(self, name, getattr(self, name) + number)

    @property
    def cells(self) -> list[str]:
        numbers = (
            self.repetitions, self.items, self.accepted, self.owed, self.rejected, self.named, self.numbered,
            self.replays,
        )  # fmt: skip
        return [self.fault, *map(str, numbers), self.verdict]


def lines(tallies: Iterable[Tally]) -> list[str]:
    """The table, one line a fault: words to the left, numbers to the right."""
    rows: list[Sequence[Any]] = [HEADINGS, *(tally.cells for tally in tallies)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return ["  ".join(_aligned(row, widths)).rstrip() for row in rows]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *numbers, last = zip(row, widths, strict=True)
    return [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in numbers), last[0]]
