"""One at a time, across processes: locks that end with their holder, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.private import make_private, open_private


class Locked(Exception):
    """Somebody else holds the lock."""

    def __init__(self, directory: Path, name: str, holder: str) -> None:
        super().__init__(f"process {holder} is already at work on {directory} ({name})")
        self.holder = holder


@contextmanager
def lock(directory: Path, name: str) -> Iterator[None]:
    """Holds `name` among all agents on this state directory. Raises Locked at once if it is taken."""
    folder = directory / "locks"
    make_private(folder)
    descriptor = open_private(folder / f"{name}.lock")
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            raise Locked(directory, name, holder or "unknown") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)
