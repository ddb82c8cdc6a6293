"""The rows of tables: CSV with whatever separates its cells, and TSV."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from typing import TextIO

from collectors.manual.rows import NotRows, Row, lines

_SAMPLE = 50
_WIDEST = 16_384


def separation(sample: str, *, whole: bool) -> tuple[str | None, int]:
    """What separates the cells of a table, and how many rows of the sample show it; None where nothing does.

    It is the one of `, ; tab |` at which the most rows fall into as many cells as the first.
    """
    best: tuple[float, int] = (0.0, 0)
    separator, shown = None, 0
    for candidate in ",;\t|":
        widths = _widths(sample, candidate, whole=whole)
        if not widths or widths[0] < 2:  # noqa: PLR2004 one cell a row is no separation
            continue
        score = widths.count(widths[0]) / len(widths), widths[0]
        if score > best:
            best, separator, shown = score, candidate, len(widths)
    return separator, shown if best[0] == 1 else 0


def _widths(sample: str, separator: str, *, whole: bool) -> list[int]:
    widths: list[int] = []
    try:
        for cells in csv.reader(io.StringIO(sample, newline=""), delimiter=separator):
            if cells:
                widths.append(len(cells))
            if len(widths) > _SAMPLE:
                break
    except csv.Error:
        return []
    return widths if whole or len(widths) > _SAMPLE else widths[:-1]


def titles(text: TextIO, separator: str) -> tuple[str, ...]:
    """The first row of a table, as written."""
    return tuple(next(_cells(text, separator), ()))


def table(text: TextIO, separator: str) -> Iterator[Row]:
    """The rows below a table's first, by column. A short row lacks its last columns; no cell is lost in a long one."""
    rows = _cells(text, separator)
    names = columns(next(rows, []))
    for cells in rows:
        if len(cells) > len(names):
            names = columns([*names, *[""] * (len(cells) - len(names))])
        yield dict(zip(names, cells, strict=False))


def columns(header: list[str]) -> list[str]:
    """A name for each column, no two alike: its title; a repeated title with a number; `column N` without a title.

    Raises NotRows where there are more columns than any table program writes.
    """
    if len(header) > _WIDEST:
        raise NotRows(f"there are more than {_WIDEST} columns")
    taken = set(header)
    used: set[str] = set()
    numbers: Counter[str] = Counter()
    names = []
    for position, title in enumerate(header, 1):
        name = title or f"column {position}"
        while name in used or (name != title and name in taken):
            numbers[title] += 1
            name = f"{title or f'column {position}'} ({numbers[title] + 1})"
        used.add(name)
        names.append(name)
    return names


def _cells(text: TextIO, separator: str) -> Iterator[list[str]]:
    reader = csv.reader(lines(text), delimiter=separator, strict=True)
    try:
        yield from (cells for cells in reader if cells)
    except csv.Error as error:
        raise NotRows(f"line {reader.line_num}: {error}") from error
