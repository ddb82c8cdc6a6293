"""The rows of JSON and JSON Lines, read without losing a key, a digit or a character."""

import json
import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, TextIO

from collectors.manual.rows import LONGEST, NotRows, Row, lines

_EXACT = 2**53 - 1


def each_line(text: TextIO) -> Iterator[Row]:
    """Each line of JSON Lines; what is no object stands under `value`."""
    for number, line in enumerate(lines(text), 1):
        if line.strip():
            yield _row(_parsed(line, f"line {number}"))


def one_value(text: TextIO) -> Iterator[Row]:
    """A JSON file as one row; what is no object stands under `value`."""
    content = text.read(LONGEST + 1)
    if len(content) > LONGEST:
        raise NotRows(f"one JSON value is longer than {LONGEST} characters")
    yield _row(_parsed(content, "the file"))


def objects(text: TextIO) -> Iterator[Row]:
    """The objects of a JSON array, one at a time. Raises NotRows where the file is anything else."""
    window = _Window(text)
    if window.peek() != "[":
        raise NotRows("it is not a JSON array")
    window.expect("[")
    number = 0
    while window.peek() != "]":
        if number:
            window.expect(",")
        number += 1
        row = window.take(f"row {number}")
        if not isinstance(row, dict):
            raise NotRows(f"row {number} is not an object")
        yield row
    window.expect("]")
    if window.peek():
        raise NotRows("something follows the end of the JSON array")


class _Window:
    """The part of a JSON text that is being read; it grows only as far as one value reaches."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._seen = ""
        self._at = 0

    def peek(self) -> str:
        """The next character that is not white space, or nothing at the end."""
        while True:
            while self._at < len(self._seen) and self._seen[self._at] in " \t\r\n":
                self._at += 1
            if self._at < len(self._seen) or not self._grow():
                return self._seen[self._at : self._at + 1]

    def expect(self, character: str) -> None:
        if self.peek() != character:
            raise NotRows(f"there is no {character!r} where the JSON needs it")
        self._at += 1

    def take(self, name: str) -> Any:
        """The next value."""
        self.peek()
        while True:
            try:
                parsed, end = _DECODER.raw_decode(self._seen, self._at)
            except json.JSONDecodeError as error:
                if len(self._seen) - self._at > LONGEST or not self._grow():
                    raise NotRows(f"{name}: {error.msg}") from error
            except RecursionError as error:
                raise NotRows(f"{name} is nested too deeply") from error
            except ValueError as error:
                raise NotRows(f"{name}: {error}") from error
            else:
                if end - self._at > LONGEST:
                    raise NotRows(f"{name} is longer than {LONGEST} characters")
                self._at = end
                return _sound(parsed, name)

    def _grow(self) -> bool:
        # Twice what is left each time: a long value is parsed again only as often as its length doubles.
        kept = self._seen[self._at :]
        more = self._text.read(max(64 * 1024, len(kept)))
        self._seen, self._at = kept + more, 0
        return bool(more)


def _row(parsed: Any) -> Row:
    return parsed if isinstance(parsed, dict) else {"value": parsed}


def _parsed(text: str, name: str) -> Any:
    try:
        return _sound(_DECODER.decode(text), name)
    except json.JSONDecodeError as error:
        raise NotRows(f"{name}: {error.msg}") from error
    except RecursionError as error:
        raise NotRows(f"{name} is nested too deeply") from error
    except ValueError as error:
        raise NotRows(f"{name}: {error}") from error


def _sound(parsed: Any, name: str) -> Any:
    try:
        json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise NotRows(f"{name} holds half of a surrogate pair") from error
    except RecursionError as error:
        raise NotRows(f"{name} is nested too deeply") from error
    return parsed


def _object(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise NotRows("an object has the same key twice")
    return row


def _integer(digits: str) -> int:
    # JSON readers keep whole numbers exactly only up to 2^53.
    if len(digits) > 17 or abs(int(digits)) > _EXACT:  # noqa: PLR2004 a sign and the digits of 2^53
        raise NotRows("a number has more digits than JSON readers keep")
    return int(digits)


def _fraction(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise NotRows("a number is larger than JSON readers keep")
    if Decimal(digits) != Decimal(repr(number)):
        raise NotRows("a number has more digits than JSON readers keep")
    return number


def _no_number(word: str) -> Any:
    raise NotRows(f"{word} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_fraction, parse_constant=_no_number
)
