"""SQLite's files, read page by page without SQLite: what is left of a database that SQLite no longer reads.

https://sqlite.org/fileformat2.html. Nothing that the file says about itself as a whole is believed. A row is taken
where it is whole in itself.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from agent.wal import frames

Value = int | float | str | bytes | None

_LEAF, _INDEX_LEAF, _INDEX_INTERIOR = 0x0D, 0x0A, 0x02  # kinds of pages that hold rows
_LARGEST = 16_000_000  # bytes of one row
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}  # bytes by serial type
_REAL, _ZERO, _ONE, _BLOB = 7, 8, 9, 12


class Cell(NamedTuple):
    """One row; `rowid` is None in an index and in a table WITHOUT ROWID."""

    rowid: int | None
    values: tuple[Value, ...]


class Pages:
    """The pages of a database, those of its log before its own. Either file may be missing, cut or damaged."""

    def __init__(self, database: Path, wal: Path, page_size: int) -> None:
        self._size = page_size
        self._files = [_open(database), _open(wal)]
        self._logged: dict[int, int] = {}
        self.unreadable = 0
        """Rows that were seen, and could not be read."""
        self._count = -(-_length(self._files[0]) // page_size)
        self._take_in_log()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files:
            if file is not None:
                os.close(file)

    def cells(self) -> Iterator[Cell]:
        """All rows of all tables and indexes that can be read."""
        for number in range(1, self._count + 1):
            page = self._page(number)
            begin = 100 if number == 1 else 0
            if len(page) > begin + 8 and page[begin] in {_LEAF, _INDEX_LEAF, _INDEX_INTERIOR}:
                yield from self._cells_of(page, begin)

    def _take_in_log(self) -> None:
        if self._files[1] is None:
            return
        uncommitted: dict[int, int] = {}
        for frame in frames(self._files[1], self._size):
            uncommitted[frame.page] = frame.offset
            if frame.commit:
                self._logged |= uncommitted
                self._count = frame.commit
                uncommitted = {}

    def _page(self, number: int) -> bytes:
        """Less than a page where the file ends in it."""
        if number in self._logged and self._files[1] is not None:
            return os.pread(self._files[1], self._size, self._logged[number])
        if self._files[0] is None:
            return b""
        return os.pread(self._files[0], self._size, (number - 1) * self._size)

    def _cells_of(self, page: bytes, begin: int) -> Iterator[Cell]:
        kind = page[begin]
        first = begin + (12 if kind == _INDEX_INTERIOR else 8)
        (count,) = struct.unpack_from(">H", page, begin + 3)
        if first + 2 * count > len(page):
            return
        for (offset,) in struct.iter_unpack(">H", page[first : first + 2 * count]):
            try:
                yield self._cell(page, kind, offset)
            except (ValueError, IndexError, struct.error):
                self.unreadable += 1

    def _cell(self, page: bytes, kind: int, offset: int) -> Cell:
        if kind == _INDEX_INTERIOR:
            offset += 4  # the page below
        length, offset = _varint(page, offset)
        rowid = None
        if kind == _LEAF:
            rowid, offset = _varint(page, offset)
            rowid -= (rowid >> 63) << 64
        return Cell(rowid, _values(self._payload(page, kind, offset, length)))

    def _payload(self, page: bytes, kind: int, offset: int, length: int) -> bytes:
        if length > _LARGEST:
            raise ValueError("a row this long is none")
        most = self._size - 35 if kind == _LEAF else (self._size - 12) * 64 // 255 - 23
        here = length
        if length > most:
            least = (self._size - 12) * 32 // 255 - 23
            here = least + (length - least) % (self._size - 4)
            here = here if here <= most else least
        parts = [page[offset : offset + here]]
        if len(parts[0]) < here:
            raise ValueError("it goes beyond its page")
        if here < length:
            (following,) = struct.unpack_from(">I", page, offset + here)
            parts += self._overflow(following, length - here)
        return b"".join(parts)

    def _overflow(self, number: int, left: int) -> Iterator[bytes]:
        while left > 0:
            page = self._page(number) if 0 < number <= self._count else b""
            part = page[4 : 4 + left]
            if len(part) < min(left, self._size - 4):
                raise ValueError("its rest is not there")
            yield part
            left -= len(part)
            number = int.from_bytes(page[:4])


def _open(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


def _length(file: int | None) -> int:
    return 0 if file is None else os.fstat(file).st_size


def _varint(content: bytes, offset: int) -> tuple[int, int]:
    """The number at an offset, and the offset behind it."""
    number = 0
    for index in range(offset, offset + 8):
        number = number << 7 | content[index] & 0x7F
        if content[index] < 0x80:  # noqa: PLR2004 - the bit that says that more follows
            return number, index + 1
    return number << 8 | content[offset + 8], offset + 9


def _values(payload: bytes) -> tuple[Value, ...]:
    """A row's values. Raises ValueError where its header does not account for each of its bytes."""
    end, at = _varint(payload, 0)
    types = []
    while at < end:
        kind, at = _varint(payload, at)
        types.append(kind)
    if at != end:
        raise ValueError("its header has another length")
    values: list[Value] = []
    for kind in types:
        length = _INTEGERS.get(kind, 8 if kind == _REAL else max(kind - _BLOB, 0) // 2)
        values.append(_value(kind, payload[at : at + length], length))
        at += length
    if at != len(payload):
        raise ValueError("its header tells of more or less than there is")
    return tuple(values)


def _value(kind: int, content: bytes, length: int) -> Value:
    if len(content) < length or kind in (10, 11):
        raise ValueError("there is no such value")
    if kind in _INTEGERS:
        return int.from_bytes(content, signed=True)
    if kind == _REAL:
        number: float = struct.unpack(">d", content)[0]
        return number
    if kind < _BLOB:
        return {0: None, _ZERO: 0, _ONE: 1}[kind]
    return content if kind % 2 == 0 else content.decode()
