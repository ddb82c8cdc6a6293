"""All that the sandbox remembers: one SQLite database, in memory or in a file that survives kill -9.

The server's loop writes; tests read from their own thread, hence the lock.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from agent.sandbox.clock import Clock

SCHEMA = """
CREATE TABLE IF NOT EXISTS key (id TEXT PRIMARY KEY, scope TEXT NOT NULL, rate REAL, revoked_at INTEGER);
CREATE TABLE IF NOT EXISTS token (digest BLOB PRIMARY KEY, key_id TEXT NOT NULL, expires_at REAL);
CREATE TABLE IF NOT EXISTS control (
    id TEXT PRIMARY KEY, framework TEXT NOT NULL, code TEXT NOT NULL, name TEXT NOT NULL, owner_id TEXT NOT NULL,
    owner_name TEXT NOT NULL, cadence TEXT NOT NULL, evaluator TEXT NOT NULL, status TEXT NOT NULL,
    last_tested_at TEXT, verdict TEXT);
CREATE TABLE IF NOT EXISTS evidence (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, control_id TEXT NOT NULL, source TEXT NOT NULL,
    collected_at TEXT NOT NULL, signal TEXT NOT NULL, created_at INTEGER NOT NULL, key_id TEXT NOT NULL,
    idempotency_key TEXT, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS evidence_of_control ON evidence (control_id, seq);
CREATE TABLE IF NOT EXISTS answer (
    idempotency_key TEXT PRIMARY KEY, digest BLOB NOT NULL, status INTEGER NOT NULL, body BLOB NOT NULL,
    kept_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS audit (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, actor_type TEXT NOT NULL, actor_id TEXT NOT NULL, actor_name TEXT,
    action TEXT NOT NULL, target TEXT NOT NULL, at INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS audit_by_time ON audit (at, seq);
CREATE INDEX IF NOT EXISTS audit_by_actor ON audit (actor_id, at, seq);
CREATE TRIGGER IF NOT EXISTS audit_kept BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is immutable'); END;
CREATE TRIGGER IF NOT EXISTS audit_unchanged BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is immutable'); END;
CREATE TABLE IF NOT EXISTS webhook (
    id TEXT PRIMARY KEY, url TEXT NOT NULL, events TEXT NOT NULL, secret TEXT NOT NULL, created_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS delivery (
    seq INTEGER PRIMARY KEY, webhook_id TEXT NOT NULL, event_id TEXT NOT NULL, body BLOB NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, since REAL NOT NULL, due REAL NOT NULL, state TEXT NOT NULL DEFAULT 'owed');
CREATE INDEX IF NOT EXISTS delivery_owed ON delivery (due) WHERE state = 'owed';
"""


class Workspace:
    """The one workspace of the sandbox. `path` is a file, or `:memory:`."""

    def __init__(self, path: str, clock: Clock) -> None:
        self.clock = clock
        self._lock = threading.RLock()
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.row_factory = sqlite3.Row
        try:
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.executescript(SCHEMA)
        except sqlite3.DatabaseError:
            self._database.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of what is written inside, or none of it."""
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def write(self, statement: str, *values: object) -> int:
        """The number of rows written."""
        with self._lock:
            return self._database.execute(statement, values).rowcount

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """All rows. One mapping in place of `values` binds by name."""
        with self._lock:
            bound = values[0] if len(values) == 1 and isinstance(values[0], dict) else values
            return self._database.execute(query, bound).fetchall()

    def row(self, query: str, *values: object) -> sqlite3.Row | None:
        return next(iter(self.rows(query, *values)), None)

    def close(self) -> None:
        with self._lock:
            self._database.close()
