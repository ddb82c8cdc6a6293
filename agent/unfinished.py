"""What runs that were cut short had read: a file for each collector, gone when one of its runs comes to its end.

It is not flushed, so that a power cut may take it: then what it had is read again.
"""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

from agent.private import open_private

_KEPT = 86_400.0  # seconds after which it is better read again


class Unfinished:
    """The file of one collector. Only the run that holds the collector's lock has it open."""

    def __init__(self, directory: Path, collector: str) -> None:
        self._path = directory / f"unfinished-{collector}.jsonl"
        self._turn = threading.Lock()
        self._known = _known(self._path)
        self._file: int | None = None

    def get(self, key: str) -> Any:
        """The value that a run which was cut short put under `key`; or None."""
        return self._known.get(key)

    def put(self, key: str, value: Any) -> None:
        """Where the disk is full it is read again after a restart, and no worse."""
        line = json.dumps({"key": key, "at": time.time(), "value": value}, separators=(",", ":")).encode()
        with self._turn:
            try:
                if self._file is None:
                    self._file = open_private(self._path)
                    os.lseek(self._file, 0, os.SEEK_END)
                os.write(self._file, b"\n" + line)  # the end before it may be torn
            except OSError:
                return

    def close(self) -> None:
        """Leaves what it has for the next run."""
        with self._turn:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def finish(self) -> None:
        """Nothing is left to be made up for."""
        self.close()
        self._path.unlink(missing_ok=True)


def _known(path: Path) -> dict[str, Any]:
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return {}
    known = {}
    for line in lines:
        try:
            told = json.loads(line)
        except ValueError:  # torn, or the empty beginning
            continue
        match told:
            case {"key": str(key), "at": float(at), "value": value} if 0 <= time.time() - at <= _KEPT:
                known[key] = value
    return known
