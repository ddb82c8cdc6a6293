"""Ways in which a disk or a person damages the files of a state directory."""

import random
from dataclasses import dataclass
from pathlib import Path

from agent.store import DATABASE

HEADER = 100  # bytes: what SQLite calls the database header
_FLIPPED = 64
_ZEROED = 4096


@dataclass(frozen=True)
class Place:
    """A part of a file: all of it, or its first `length` bytes."""

    file: str
    length: int | None = None

    def size(self, state: Path) -> int:
        whole = (state / self.file).stat().st_size
        return min(whole, self.length or whole)


PLACES = {
    "state.db": Place(DATABASE),
    "state.db-wal": Place(f"{DATABASE}-wal"),
    "header": Place(DATABASE, HEADER),
}


def flip(state: Path, place: Place, lots: random.Random) -> str:
    """64 random bytes over what was there."""
    length = min(_FLIPPED, place.size(state))
    return _overwrite(state, place, lots, lots.randbytes(length))


def zero(state: Path, place: Place, lots: random.Random) -> str:
    """4 KB of nothing, or the whole place where it is smaller."""
    return _overwrite(state, place, lots, bytes(min(_ZEROED, place.size(state))))


def cut(state: Path, place: Place, lots: random.Random) -> str:
    """Ends the file in the middle of the place."""
    at = lots.randrange(place.size(state))
    with (state / place.file).open("r+b") as file:
        file.truncate(at)
    return f"{place.file} cut at {at}"


HARMS = {"flipped": flip, "cut": cut, "zeroed": zero}


def _overwrite(state: Path, place: Place, lots: random.Random, content: bytes) -> str:
    at = lots.randrange(place.size(state) - len(content) + 1)
    with (state / place.file).open("r+b") as file:
        file.seek(at)
        file.write(content)
    return f"{place.file} overwritten from {at} to {at + len(content)}"
