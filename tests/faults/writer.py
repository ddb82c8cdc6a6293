"""Puts into a state directory for ever, and prints each number once it was told that it is safe.

python -m tests.faults.writer outbox|careless DIRECTORY

`outbox` is the agent's own; `careless` is an SQLite database that never asks the disk to write, which a power cut is
known to harm.
"""

import random
import sqlite3
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from agent.items import Checkpoint
from agent.outbox import Outbox
from agent.store import Store
from tests.agent_fixtures import made


def careful(directory: Path) -> Callable[[int], object]:
    outbox = Outbox(Store(directory))

    def put(number: int) -> object:
        piece = made(number, noise=random.randbytes(1500).hex())
        checkpoint = Checkpoint(None, str(number), piece.snapshot_id)
        return outbox.put("aws", f"place {number}", [piece], checkpoint, now=time.time())

    return put


def careless(directory: Path) -> Callable[[int], object]:
    connection = sqlite3.connect(directory / "careless.db", isolation_level=None)
    connection.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; CREATE TABLE item (id INTEGER PRIMARY KEY, body BLOB);"
    )
    return lambda number: connection.execute("INSERT INTO item VALUES (?, ?)", (number, random.randbytes(1500)))


def main(kind: str, directory: Path) -> None:
    put = {"outbox": careful, "careless": careless}[kind](directory)
    for number in count(1):
        put(number)
        print(number, flush=True)  # noqa: T201 - the promise that is held to


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
