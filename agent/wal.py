"""SQLite's write-ahead log, read without SQLite: which version of a page is the last that was committed.

https://sqlite.org/fileformat2.html#the_write_ahead_log. SQLite itself stops at the first frame that is not whole.
Here only that frame is left out: the checksum that it bears is right where its page is wrong, and goes on from there.
"""

import os
import struct
from array import array
from collections.abc import Iterator
from typing import NamedTuple

_HEADER = struct.Struct(">IIIIIIII")  # magic, version, page size, sequence, salts, checksum
_FRAME = struct.Struct(">IIIIII")  # page number, pages after a commit or 0, salts, checksum
_MAGIC = 0x377F0682  # and 1 more where checksums are of big-endian words

Sum = tuple[int, int]


class Frame(NamedTuple):
    """One version of a page; `commit` is the size of the database in pages where a transaction ends with it."""

    page: int
    commit: int
    offset: int


def frames(file: int, page_size: int) -> Iterator[Frame]:
    """The whole frames of the log's present generation. None of damaged content raises."""
    size = os.fstat(file).st_size
    step = _FRAME.size + page_size
    salts, seed, is_big = _beginning(file, page_size)
    for offset in range(_HEADER.size, size - step + 1, step):
        head = os.pread(file, _FRAME.size, offset)
        page, commit, *salt, one, two = _FRAME.unpack(head)
        if tuple(salt) != salts:
            continue
        content = os.pread(file, page_size, offset + _FRAME.size)
        if seed is not None and _sum(head[:8] + content, seed, is_big=is_big) == (one, two) and page:
            yield Frame(page, commit, offset + _FRAME.size)
        seed = (one, two)


def _beginning(file: int, page_size: int) -> tuple[tuple[int, int], Sum | None, bool]:
    """The salts, the checksum before the first frame, where it is known, and the order of bytes in its words."""
    head = os.pread(file, _HEADER.size, 0)
    if len(head) == _HEADER.size:
        magic, version, size, _, salt, pepper, one, two = _HEADER.unpack(head)
        is_big = bool(magic & 1)
        if (magic & ~1, version, size) == (_MAGIC, 3007000, page_size) and _sum(head[:24], (0, 0), is_big=is_big) == (
            one,
            two,
        ):
            return (salt, pepper), (one, two), is_big
    return _guessed(file, page_size)


def _guessed(file: int, page_size: int) -> tuple[tuple[int, int], Sum | None, bool]:
    """Without a header the first frame that follows rightly upon another tells."""
    step = _FRAME.size + page_size
    for offset in range(_HEADER.size, os.fstat(file).st_size - 2 * step + 1, step):
        *_, salt, pepper, one, two = _FRAME.unpack(os.pread(file, _FRAME.size, offset))
        head = os.pread(file, _FRAME.size, offset + step)
        content = os.pread(file, page_size, offset + step + _FRAME.size)
        *_, next_salt, next_pepper, next_one, next_two = _FRAME.unpack(head)
        for is_big in (False, True):
            follows = _sum(head[:8] + content, (one, two), is_big=is_big) == (next_one, next_two)
            if follows and (salt, pepper) == (next_salt, next_pepper):
                return (salt, pepper), None, is_big
    return (0, 0), None, False


def _sum(content: bytes, seed: Sum, *, is_big: bool) -> Sum:
    words = array("I", content)
    if is_big != (array("I", b"\0\0\0\1")[0] == 1):
        words.byteswap()
    one, two = seed
    numbers = iter(words)
    for first, second in zip(numbers, numbers, strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two
