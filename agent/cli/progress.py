"""A live display of a collection on a terminal."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from agent.report import Observed

_WORTH_TELLING = 2.0  # seconds of waiting; less is nothing to look up for


class Display:
    """One line for each snapshot under way, and one for those that are done. Safe over threads."""

    def __init__(self) -> None:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TextColumn("{task.fields[told]}"),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=Console(file=sys.stderr), transient=True)
        self._done = self._progress.add_task("collected", told="0 snapshots")
        self._finished = 0
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def started(self, evidence_type: str, target: str) -> None:
        self._tasks[evidence_type, target] = self._progress.add_task(f"{evidence_type} {target}", told="")

    def advanced(self, evidence_type: str, target: str, observations: int) -> None:
        self._progress.update(self._tasks[evidence_type, target], told=f"{observations:,} records")

    def waiting(self, reason: str, seconds: float) -> None:
        if seconds >= _WORTH_TELLING:
            self._progress.console.print(f"waiting {seconds:.0f} s: {reason}", markup=False)

    def finished(self, observed: Observed) -> None:
        task = self._tasks.pop((observed.evidence_type, observed.target), None)
        if task is not None:
            self._progress.remove_task(task)
        self._finished += 1
        self._progress.update(self._done, told=f"{self._finished:,} snapshots")
