"""What commands print: JSON for programs, tables and plain sentences for people."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from agent.words import count, size, span, when

__all__ = ["clear", "count", "print_json", "print_line", "say", "size", "span", "table", "warn", "when"]


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
    """A line for people on standard error, without secrets that may stand in it."""
    from agent.redaction import redact

    sys.stderr.write(f"chequr-agent: {redact(text)[0]}\n")


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
