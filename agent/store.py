"""The agent's durable state: one SQLite database in the state directory.

Every process of the agent on this machine may open it. Writers take turns through a file lock that also covers
SQLite's checkpoints, because SQLite before 3.51.3 can lose a commit when two connections meet at a WAL reset.
`synchronous=FULL` makes a commit survive a power cut.
"""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.private import open_private

DATABASE = "state.db"
_BUSY = 60.0  # seconds that a reader waits for a writer

# Each entry takes the schema from its index to the next one. Entries never change once released.
_MIGRATIONS = (
    """
    CREATE TABLE item (                    -- what is still owed, or was refused
        id            INTEGER PRIMARY KEY AUTOINCREMENT,
        key           TEXT NOT NULL UNIQUE, -- Idempotency-Key
        collector     TEXT NOT NULL,
        evidence_type TEXT NOT NULL,
        source        TEXT NOT NULL,
        control_id    TEXT NOT NULL,
        snapshot_id   TEXT NOT NULL,
        part          INTEGER NOT NULL,
        parts         INTEGER NOT NULL,
        records       INTEGER NOT NULL,
        gaps          INTEGER NOT NULL,
        collected_at  TEXT NOT NULL,
        queued_at     REAL NOT NULL,        -- seconds since the epoch, as all REALs here
        size          INTEGER NOT NULL,     -- bytes of the request body
        digest        TEXT NOT NULL,        -- of the request body
        state         TEXT NOT NULL CHECK (state IN ('pending', 'in_flight', 'deferred', 'rejected', 'discarded')),
        due           REAL NOT NULL,        -- not sent before
        attempts      INTEGER NOT NULL DEFAULT 0,
        first_sent_at REAL,
        status        INTEGER,              -- of the last answer; null where there was none
        code          TEXT,
        reason        TEXT,
        request_id    TEXT
    ) STRICT;
    CREATE INDEX item_owed ON item (due, id, state) WHERE state IN ('pending', 'deferred');
    CREATE INDEX item_state ON item (state);
    CREATE INDEX item_snapshot ON item (snapshot_id);
    CREATE TABLE body (                    -- apart, so that a change of state never rewrites a body
        id      INTEGER PRIMARY KEY REFERENCES item (id) ON DELETE CASCADE,
        content BLOB NOT NULL               -- zstd
    ) STRICT;
    CREATE TABLE ledger (                  -- what the API accepted
        id            INTEGER PRIMARY KEY,  -- the item's
        key           TEXT NOT NULL UNIQUE,
        collector     TEXT NOT NULL,
        evidence_type TEXT NOT NULL,
        source        TEXT NOT NULL,
        control_id    TEXT NOT NULL,
        snapshot_id   TEXT NOT NULL,
        part          INTEGER NOT NULL,
        parts         INTEGER NOT NULL,
        records       INTEGER NOT NULL,
        gaps          INTEGER NOT NULL,
        collected_at  TEXT NOT NULL,
        size          INTEGER NOT NULL,
        digest        TEXT NOT NULL,
        evidence_id   TEXT NOT NULL,
        created_at    TEXT,                 -- the API's; null where the item was found at its control instead
        accepted_at   REAL NOT NULL,
        request_id    TEXT
    ) STRICT;
    CREATE INDEX ledger_snapshot ON ledger (snapshot_id);
    CREATE INDEX ledger_evidence ON ledger (evidence_id);
    CREATE INDEX ledger_accepted ON ledger (accepted_at);
    CREATE TABLE checkpoint (              -- how far each population was read, and which revision of a place was taken
        collector     TEXT NOT NULL,
        evidence_type TEXT NOT NULL,
        target        TEXT NOT NULL,
        until         TEXT,
        revision      TEXT,
        snapshot_id   TEXT NOT NULL,
        PRIMARY KEY (collector, evidence_type, target)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE run (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        collector   TEXT NOT NULL,
        started_at  REAL NOT NULL,
        finished_at REAL,                   -- null: under way, or cut short
        outcome     TEXT,                   -- complete | incomplete | failed
        snapshots   INTEGER NOT NULL DEFAULT 0,
        records     INTEGER NOT NULL DEFAULT 0,
        gaps        INTEGER NOT NULL DEFAULT 0,
        items       INTEGER NOT NULL DEFAULT 0,
        message     TEXT
    ) STRICT;
    CREATE INDEX run_collector ON run (collector, started_at);
    CREATE TABLE hold (                    -- at most one: why nothing is sent
        id     INTEGER PRIMARY KEY CHECK (id = 1),
        status INTEGER,                     -- null: there is no token
        reason TEXT NOT NULL,
        since  REAL NOT NULL
    ) STRICT;
    """,
)


class StateUnusable(Exception):
    """The state directory or its database cannot be used."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be used: {reason}")
        self.path = path


class Store:
    """An open state directory. Safe over threads; one connection, used by one thread at a time."""

    def __init__(self, directory: Path) -> None:
        """Opens the database, and creates or migrates it. Raises StateUnusable."""
        self.directory = directory
        self._turn = threading.RLock()
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = open_private(directory / "state.lock")
        except OSError as error:
            raise StateUnusable(directory, error.strerror or str(error)) from error
        try:
            with self._exclusively():
                self._connection = _open(directory / DATABASE)
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        with self._turn, self._exclusively():  # the last connection to close writes a checkpoint
            self._connection.close()
        os.close(self._lock)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection for writing: all of it is durable when the block ends, or none of it happened."""
        with self._turn, self._exclusively():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.rollback()
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for reading one consistent state."""
        with self._turn:
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.rollback()

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)


def _open(path: Path) -> sqlite3.Connection:
    try:
        os.close(open_private(path))  # SQLite would follow the umask
        connection = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise StateUnusable(path, getattr(error, "strerror", None) or str(error)) from error
    try:
        connection.row_factory = sqlite3.Row
        connection.executescript(
            "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
            "PRAGMA foreign_keys=ON; PRAGMA secure_delete=ON; PRAGMA trusted_schema=OFF;"
        )
        _migrate(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise StateUnusable(path, str(error)) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(_MIGRATIONS):
        raise StateUnusable(
            path, f"its schema {version} is newer than this agent's {len(_MIGRATIONS)}; upgrade the agent"
        )
    for number, script in enumerate(_MIGRATIONS[version:], version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version={number}; COMMIT;")
