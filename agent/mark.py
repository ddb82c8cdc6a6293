"""What was put last, told outside the database: a database that lost its end does not notice that itself.

One line for each put, in JSON behind its CRC-32, appended after the commit. It is not flushed: a power cut may take
the last lines, which tells less than there is, and never more.
"""

import json
import os
import zlib
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.private import hand_over, open_private

MARK = "state.mark"
_KEPT = 2000  # lines that stay when the file is cut
_END = 65_536  # bytes that certainly hold the last line
_LONGEST = 2_000_000  # bytes before it is


_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True)
class Put:
    """One snapshot as it was put: its items `first` to `last`, and how far its population had been read before."""

    first: int
    last: int
    collector: str
    evidence_type: str
    target: str
    snapshot_id: str
    since: str | None


class Mark:
    """The file of one state directory. Whoever writes to it holds the lock of the state."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / MARK
        self._file: int | None = None

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def append(self, puts: Sequence[Put]) -> None:
        """Where the disk is full these puts have no line: they are no less queued."""
        if puts:
            with suppress(OSError):
                self._append(map(vars, puts))

    def forget(self, up_to: int) -> None:
        """The items up to a number are known to be gone: their receipts were kept for long enough."""
        self._append([{"forgotten": up_to}])

    def read(self, last: int | None = None) -> tuple[list[Put], int]:
        """The puts that it tells of, or the `last` ones, oldest first; and up to which number items were forgotten."""
        puts, forgotten = deque[Put](maxlen=last), 0
        with suppress(FileNotFoundError), self._path.open("rb") as file:
            for told in filter(None, (_told(line.rstrip(b"\n")) for line in file)):
                if "forgotten" in told:
                    forgotten = max(forgotten, told["forgotten"])
                else:
                    puts.append(Put(**told))
        return list(puts), forgotten

    def last(self) -> int:
        """The highest number that was ever given, as far as the end of this file tells."""
        try:
            with self._path.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _END))
                content = file.read()
        except FileNotFoundError:
            return 0
        told = filter(None, map(_told, content.split(b"\n")))
        return max((line.get("last") or line["forgotten"] for line in told), default=0)

    def sync(self) -> None:
        if self._file is not None:
            os.fsync(self._file)

    def rewrite(self, puts: Sequence[Put], forgotten: int) -> None:
        """Replaces all lines."""
        fresh = self._path.with_suffix(".mark.new")
        file = open_private(fresh)
        try:
            os.ftruncate(file, 0)
            os.write(file, b"".join(map(_line, [{"forgotten": forgotten}, *map(vars, puts)])))
            os.fsync(file)
        finally:
            os.close(file)
        fresh.rename(self._path)

    def _append(self, lines: Iterable[dict[str, Any]]) -> None:
        file, content = self._opened(), b"".join(map(_line, lines))
        os.write(file, content)
        if os.fstat(file).st_size > _LONGEST:
            self.rewrite(*self.read(_KEPT))

    def _opened(self) -> int:
        """The file at its path, which another process may have replaced."""
        if self._file is not None and not os.fstat(self._file).st_nlink:
            self.close()
        if self._file is None:
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            hand_over(self._path)
        return self._file


def _line(value: dict[str, Any]) -> bytes:
    """It brings the end of the line before it: that one may be torn."""
    text = _encode(value).encode()
    return b"\n%08x %s" % (zlib.crc32(text), text)


def _told(line: bytes) -> dict[str, Any] | None:
    """None for a line that is torn or damaged."""
    text = line[9:]
    if line[:9] != b"%08x " % zlib.crc32(text):
        return None
    told: dict[str, Any] = json.loads(text)
    return told
