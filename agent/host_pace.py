"""One pace for all agents of a host that use the same key: what one of them learns, and each place, is all theirs.

What is known stands in a small file, which is read, used and written back under its lock. Where there is no file, or
its lock is not given back, or it cannot be read, the agent goes on by itself from what it knew last.

    what it is │ boot │ when it was last used │ the floats of Learned │ CRC-32
"""

import hashlib
import os
import struct
import weakref
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path

from agent.errors import TokenUnusable
from agent.host_file import folders, lock_again, lock_shared, unlock
from agent.pacing import Learned, Pace, Places

_KIND = b"cq-pace1"  # another layout gets another number
_LAYOUT = struct.Struct(f"<8s16sd{len(fields(Learned))}d")
_CHECKSUM = struct.Struct("<I")
_SIZE = _LAYOUT.size + _CHECKSUM.size

_FRESH = 60.0  # seconds after the last use: what was learned before is no longer true
_LONGEST_PAUSE = 10.0  # seconds that one answer stops all agents: each believes a longer Retry-After for itself only
_ALONE = 1.0  # seconds until a file that could not be used is tried again


class HostPace(Pace):
    """A Pace that all agents share which run on this host as this user, with the same address and token.

    `fingerprint` tells the token, whenever it is asked, since a token changes. `cap` bounds what this agent takes, and
    does not slow the others down.
    """

    def __init__(self, base_url: str, fingerprint: Callable[[], str], *, cap: float | None = None) -> None:
        super().__init__()
        self._base_url = base_url
        self._fingerprint = fingerprint
        self._most = None if cap is None else max(cap, self.FLOOR)
        self._own = Places()
        self._folders = folders(os.environ)
        self._alone_until = float("-inf")
        self._kept: tuple[str, int] | None = None
        self._let_go: Callable[[], object] = lambda: None

    def reserve(self, now: float) -> float:
        with self._shared(now):
            wait = super().reserve(now)
        return wait if self._most is None else max(wait, self._own.take(now, self._most))

    def learn(self, status: int, headers: Mapping[str, str], now: float, wall: datetime) -> None:
        with self._shared(now):
            super().learn(status, headers, now, wall)

    def start_slowly(self, now: float) -> None:
        with self._shared(now):
            super().start_slowly(now)

    @contextmanager
    def _shared(self, now: float) -> Iterator[None]:
        """What happens inside happens to what all agents know, or else to what this one knows."""
        file = self._lock(now)
        if file is None:
            yield
            return
        try:
            with suppress(OSError):
                self._take_in(os.pread(file, _SIZE, 0), now)
            yield
            with suppress(OSError):
                os.pwrite(file, self._to_hand_on(now), 0)
        finally:
            unlock(file)

    def _lock(self, now: float) -> int | None:
        if now < self._alone_until:
            return None
        try:
            name = file_name(self._base_url, self._fingerprint())
            if self._kept is not None and self._kept[0] == name and lock_again(self._kept[1]):
                return self._kept[1]
            for folder in self._folders:
                file = _lock_in(folder, name)
                if file is not None:
                    return self._keep(name, file)
        except (TokenUnusable, TimeoutError):
            return None
        self._alone_until = now + _ALONE
        return None

    def _keep(self, name: str, file: int) -> int:
        """Keeps the file open from one use to the next: for as long as this pace, or until there is another."""
        self._let_go()
        self._kept, self._let_go = (name, file), weakref.finalize(self, os.close, file)
        return file

    def _take_in(self, content: bytes, now: float) -> None:
        found = _read(content, now)
        if found is not None:
            found.pause_until = max(found.pause_until, self.pause_until)
            self.learned = found

    def _to_hand_on(self, now: float) -> bytes:
        pause = min(self.pause_until, now + _LONGEST_PAUSE)
        known = vars(self.learned) | {"pause_until": pause}
        content = _LAYOUT.pack(_KIND, _boot(), now, *known.values())
        return content + _CHECKSUM.pack(zlib.crc32(content))


@lru_cache(maxsize=8)
def file_name(base_url: str, fingerprint: str) -> str:
    """Of the file that agents with this address and this token share; it tells neither."""
    return hashlib.sha256(f"{base_url.rstrip('/')}\n{fingerprint}".encode()).hexdigest()[:16] + ".pace"


def _lock_in(folder: Path, name: str) -> int | None:
    try:
        return lock_shared(folder, name)
    except TimeoutError:
        raise
    except OSError:
        return None


def _read(content: bytes, now: float) -> Learned | None:
    """None where it is torn, of an earlier boot, or too old to be true."""
    if len(content) != _SIZE:
        return None
    body, (checksum,) = content[: _LAYOUT.size], _CHECKSUM.unpack(content[_LAYOUT.size :])
    kind, boot, used_at, *known = _LAYOUT.unpack(body)
    if (kind, boot, checksum) != (_KIND, _boot(), zlib.crc32(body)) or not now - _FRESH <= used_at <= now + 1:
        return None
    return Learned(*known)


@cache
def _boot() -> bytes:
    """Since when this machine's monotonic clock runs; nothing where it does not say."""
    try:
        return bytes.fromhex(Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", ""))
    except (OSError, ValueError):
        return bytes(16)
