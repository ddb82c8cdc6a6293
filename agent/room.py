"""How much of the disk the outbox may take, and what is kept back so that a full one can be emptied.

SQLite needs room even to delete. A file of nothing, the ballast, is given up when there is none left, and made anew
once there is.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.private import open_private

_BALLAST = 8_000_000  # bytes: what delivering writes before it has deleted more than that
_STEP = 500_000  # bytes that are given up at once
_DELIVERIES = 2  # parts of the reserve that only the account of what was refused may use


@dataclass(frozen=True)
class Room:
    """What the outbox may take: `max_bytes` in all, while the disk has `min_free_bytes` left or a twentieth of it."""

    max_bytes: int = 1 << 30
    min_free_bytes: int = 256_000_000

    def lack(self, directory: Path, used: int, unused: int, more: int, *, essential: bool = False) -> str | None:
        """Why there is no room for `more` bytes beside those `used`; None where there is.

        `unused` bytes are the database's already, and are taken first.

        What is `essential`, such as the account of what was not kept, may use half of what else is left free.
        """
        free, floor = self._free(directory)
        most = self.max_bytes
        if essential:
            floor, most = floor // _DELIVERIES, most + floor // _DELIVERIES
        if used + more > most:
            return f"it holds {_mb(used)} of the {_mb(self.max_bytes)} that outbox.max_bytes allows"
        if more > unused and free - (more - unused) < floor:
            return f"its disk has {_mb(free)} left, of which outbox.min_free_bytes keeps {_mb(floor)} free"
        return None

    def certain(self, directory: Path, used: int) -> int:
        """Bytes that fit beside those `used` without another look: an eighth of what is left."""
        free, floor = self._free(directory)
        return max(0, min(self.max_bytes - used, free - floor) // 8)

    def _free(self, directory: Path) -> tuple[int, int]:
        """Bytes that the disk of a directory has free, and of which so many stay so."""
        free, whole = _disk(directory)
        return free, min(self.min_free_bytes, whole // 20)


class Ballast:
    """The file of nothing in a state directory. What delivers may take all of it, everybody else only half."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "ballast"

    def give_up(self, *, delivers: bool) -> bool:
        """Frees some of its room, and returns whether there was any for this purpose."""
        with suppress(OSError):
            size, least = self._path.stat().st_size, 0 if delivers else self._whole() // 2
            if size > least:
                os.truncate(self._path, max(size - _STEP, least))
                return True
        return False

    def restore(self) -> None:
        """Makes it anew where there is room for it twice over: a sixteenth of a small disk."""
        with suppress(OSError):
            whole = self._whole()
            if self._size() < whole and _disk(self._path.parent)[0] >= 2 * whole:
                self._fill(whole)

    def _whole(self) -> int:
        return min(_BALLAST, _disk(self._path.parent)[1] // 16)

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def _fill(self, size: int) -> None:
        before, file = self._size(), open_private(self._path)
        try:
            os.posix_fallocate(file, 0, size)
        except OSError:
            os.ftruncate(file, before)
            raise
        finally:
            os.close(file)


def _disk(directory: Path) -> tuple[int, int]:
    """The bytes of its disk: those that are free for the agent, and all."""
    system = os.statvfs(directory)
    return system.f_bavail * system.f_frsize, system.f_blocks * system.f_frsize


def _mb(number: int) -> str:
    return f"{number / 1e6:,.1f} MB"
