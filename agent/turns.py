"""The files through which the processes on one state directory take turns."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.private import open_private


class Turns:
    """Two locks: one for whoever is at the database, one shared by all who have it open. Raises OSError.

    Used by one thread at a time.
    """

    def __init__(self, directory: Path) -> None:
        self._depth = 0
        self._lock = open_private(directory / "state.lock")
        try:
            self._presence = open_private(directory / "state.open")
        except OSError:
            os.close(self._lock)
            raise

    def arrive(self) -> bool:
        """Is counted among those who have the database open, and returns whether nobody else is."""
        try:
            fcntl.flock(self._presence, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(self._presence, fcntl.LOCK_SH)
            return False
        fcntl.flock(self._presence, fcntl.LOCK_SH)
        return True

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """While nobody else is at the database; inside of itself it does nothing."""
        if not self._depth:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._presence)
        os.close(self._lock)
