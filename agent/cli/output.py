"""What commands print: JSON for programs, tables and plain sentences for people."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any


def print_json(value: Any) -> None:
    """One JSON document, indented, on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, ensure_ascii=not _is_unicode()) + "\n")


def print_line(value: Any) -> None:
    """One JSON value on one line of standard output."""
    sys.stdout.write(json.dumps(value, default=str, ensure_ascii=not _is_unicode()) + "\n")


def _is_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def say(text: str = "") -> None:
    """A line for people on standard output."""
    sys.stdout.write(f"{text}\n")


def clear() -> None:
    """An empty terminal, so that what comes next stands in the place of what was there; nothing elsewhere."""
    sys.stdout.flush()
    if sys.stdout.isatty():
        sys.stdout.write("\x1b[H\x1b[2J")


def warn(text: str) -> None:
    """A line for people on standard error."""
    sys.stderr.write(f"chequr-agent: {text}\n")


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """A table as wide as its content; on a terminal, cells that do not fit are folded. `right` columns hold numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for heading in headings:
        drawn.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    console.print(drawn)


def when(instant: float | datetime | None, *, now: datetime | None = None) -> str:
    """An instant as people say it: `2026-04-15 09:14 UTC (3 h ago)`."""
    if instant is None:
        return "never"
    moment = instant if isinstance(instant, datetime) else datetime.fromtimestamp(instant, UTC)
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    distance = f"{span(seconds)} ago" if seconds >= 0 else f"in {span(-seconds)}"
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC ({distance})"


def span(seconds: float) -> str:
    """A length of time in its largest unit: `45 s`, `12 min`, `3 h`, `9 d`."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def size(number: float) -> str:
    """Bytes in their largest decimal unit: `1.2 MB`."""
    for unit, length in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= length:
            return f"{number / length:.1f} {unit}"
    return f"{number:.0f} B"


def count(number: int, noun: str) -> str:
    """`1 record`, `2 records`, `3 copies` of `copy`."""
    plural = noun if number == 1 else f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {plural}"
