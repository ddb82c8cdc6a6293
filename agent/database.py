"""The database file of the state directory: how it is opened, whether it is whole, and what its errors mean."""

import os
import sqlite3
from pathlib import Path
from typing import Literal

from agent import schema, sql
from agent.private import open_private

DATABASE = "state.db"
_BUSY = 60.0  # seconds that a reader waits for a writer
_IMPATIENT = 1000  # milliseconds that a start waits for it
_LOOKED_THROUGH = 8_000_000  # bytes up to which a database is looked through as a whole when it is opened

Trouble = Literal["full", "damaged", "broken", "busy"]

_TROUBLES: dict[int, Trouble] = {
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_IOERR_SHMSIZE: "full",
    sqlite3.SQLITE_CANTOPEN: "full",  # of the files beside it: that it is there was seen before
    sqlite3.SQLITE_CORRUPT: "damaged",
    sqlite3.SQLITE_NOTADB: "damaged",
    sqlite3.SQLITE_READONLY: "damaged",  # that it may be written to was seen before: its header says otherwise
    sqlite3.SQLITE_IOERR: "broken",
    sqlite3.SQLITE_BUSY: "busy",
    sqlite3.SQLITE_LOCKED: "busy",
}


_UNREADABLE = "Could not decode to UTF-8"  # Python's own words for a text that is none any more; it has no code


class Damaged(Exception):
    """The database is not what it was when it was written; the message says in what."""


def trouble(error: Exception) -> Trouble | None:
    """What an error says about the database or its disk; None where it says nothing about them."""
    if isinstance(error, Damaged) or _UNREADABLE in str(error):
        return "damaged"
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else _TROUBLES.get(code) or _TROUBLES.get(code & 0xFF)


def connect(path: Path) -> sqlite3.Connection:
    """A connection to the database, which is made if it is not there; nothing is read yet. Raises OSError."""
    if not path.exists():  # SQLite would follow the umask; and to close a file that it has open would end its locks
        os.close(open_private(path))
    connection = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    return connection


def configure(connection: sqlite3.Connection, *, shared: bool) -> None:
    """What each connection needs first. `shared` is for file systems of which WAL would ask too much."""
    mode = "journal_mode=DELETE; PRAGMA synchronous=EXTRA" if shared else "journal_mode=WAL; PRAGMA synchronous=FULL"
    connection.executescript(
        f"PRAGMA page_size={schema.PAGE_SIZE}; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA {mode};"
        "PRAGMA journal_size_limit=16000000; PRAGMA foreign_keys=ON; PRAGMA secure_delete=ON;"
        "PRAGMA trusted_schema=OFF;"
    )


def prepare(connection: sqlite3.Connection) -> None:
    """Gives a new database its tables, and an older one the newer ones."""
    if not version(connection):
        connection.execute(f"PRAGMA application_id={schema.APPLICATION_ID}")
    schema.migrate(connection)


def version(connection: sqlite3.Connection) -> int:
    """Of the schema; 0 for a new database."""
    number: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return number


def is_newer(connection: sqlite3.Connection) -> bool:
    """Whether a newer agent wrote it."""
    (ours,) = connection.execute("PRAGMA application_id").fetchone()
    return ours == schema.APPLICATION_ID and len(schema.MIGRATIONS) < version(connection) < len(schema.MIGRATIONS) + 100


def examine_file(path: Path) -> None:
    """Raises Damaged where the first bytes are not SQLite's, or the file is shorter than they say.

    They are those that SQLite believes: https://sqlite.org/fileformat2.html. Nobody may have the database open.
    """
    with path.open("rb") as file:
        header = file.read(100)
    if not header:
        return
    encoding, pages = int.from_bytes(header[56:60]), int.from_bytes(header[28:32])
    told = (header[:16], int.from_bytes(header[16:18]), header[20:24], encoding, header[72:92])
    if told != (b"SQLite format 3\0", schema.PAGE_SIZE, b"\0\x40\x20\x20", 1, bytes(20)):
        raise Damaged("its header is not one that SQLite wrote for the agent")
    if header[18:20] not in {b"\1\1", b"\2\2"}:
        raise Damaged("its header does not say how it is written")
    if path.stat().st_size < pages * schema.PAGE_SIZE and not wal_size(path):
        raise Damaged("its end is missing")


def examine(connection: sqlite3.Connection, path: Path) -> None:
    """Raises Damaged where it cannot be what the agent wrote. A small one is looked through as a whole."""
    current, definitions = version(connection), schema.definitions(connection)
    if definitions and (current == 0 or current > len(schema.MIGRATIONS)):
        raise Damaged("it does not say which version its tables have")
    if current == len(schema.MIGRATIONS) and definitions != schema.expected():
        raise Damaged("its tables are not those that it was made with")
    if path.stat().st_size <= _LOOKED_THROUGH:
        (told,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if told != "ok":
            raise Damaged(" ".join(told.removeprefix("*** in database main ***").split()))


def checkpoint(connection: sqlite3.Connection) -> None:
    """Writes the log into the database, and flushes it; what a program of somebody else's still reads stays."""
    connection.execute(f"PRAGMA busy_timeout={_IMPATIENT}")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    connection.execute(f"PRAGMA busy_timeout={round(_BUSY * 1000)}")


def wal_size(path: Path) -> int:
    """Bytes of the log beside the database: none after it was closed in order."""
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size
    except FileNotFoundError:
        return 0


def highest(connection: sqlite3.Connection) -> int:
    """The highest number that an item was ever given."""
    number: int = connection.execute(f"SELECT {sql.HIGHEST}").fetchone()[0]
    return number
