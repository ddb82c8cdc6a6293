"""What a file's rows are, and when it has none."""

from collections.abc import Callable, Iterator
from typing import Any, TextIO

Row = dict[str, Any]
Reader = Callable[[TextIO], Iterator[Row]]

LONGEST = 1024 * 1024
"""Characters of one row; a file with a longer one is carried as it is, so that memory stays flat."""


class NotRows(ValueError):
    """The file cannot be read as rows without loss; the message says where and why."""


def lines(text: TextIO) -> Iterator[str]:
    """The text's lines with their ends. Raises NotRows at one that is too long."""
    number = 0
    while line := text.readline(LONGEST + 1):
        number += 1
        if len(line) > LONGEST:
            raise NotRows(f"line {number} is longer than {LONGEST} characters")
        yield line
