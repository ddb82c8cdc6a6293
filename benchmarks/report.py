"""What a benchmark prints: how it measured, a table, and for each target whether it was met."""

import os
import platform
import signal
import sqlite3
import sys
from collections.abc import Sequence


class Report:
    """Prints as it goes along. `end` makes the exit code: 0 where every target was met, else 1."""

    def __init__(self, title: str, *how: str) -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was made is removed
        load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
        print(title)
        print(
            f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {os.cpu_count()} cores, load {load}"
        )
        print(*how, sep="\n", flush=True)
        self._missed = 0

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """The first column to the left, figures to the right."""
        widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
        print()
        for row in (heads, *rows):
            first, *figures = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            print(row[0].ljust(len(first)), *figures, sep="  ", flush=True)

    def target(self, what: str, figure: str, *, met: bool) -> None:
        self._missed += not met
        print(f"{'met' if met else 'MISSED'}: {what}: {figure}", flush=True)

    def end(self) -> None:
        sys.exit(1 if self._missed else 0)
