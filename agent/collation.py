"""The ledger and what the API shows, side by side in a database of their own, so that memory stays flat.

It is a file of the state directory that is gone at the end. A process that dies leaves it to the next one, which
begins anew. Whoever makes one holds the lock `verify`.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from agent.arrival import Case, Stranger
from agent.evidence import stamp
from agent.items import Accepted
from agent.models import AuditLogEntry, EvidenceItem
from agent.private import open_private

_FILE = "verify.db"
_SUBMITTED = "evidence.submitted"

# Nothing of it is to survive: neither a journal nor a flush is needed.
_SETTINGS = "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-4000; PRAGMA temp_store=MEMORY;"
_SCHEMA = """
    CREATE TABLE entry (                   -- of the ledger
        seq INTEGER PRIMARY KEY, evidence_id TEXT, key TEXT, control_id TEXT, collected_at TEXT, created_at TEXT,
        accepted_at REAL, request_id TEXT
    );
    CREATE INDEX entry_evidence ON entry (evidence_id);
    CREATE INDEX entry_key ON entry (key);
    CREATE INDEX entry_control ON entry (control_id);
    CREATE TABLE logged (evidence_id TEXT PRIMARY KEY, actor TEXT, at TEXT) WITHOUT ROWID;
    CREATE TABLE control (id TEXT PRIMARY KEY, listed INTEGER) WITHOUT ROWID;
    CREATE TABLE shown (evidence_id TEXT, control_id TEXT, collected_at TEXT, PRIMARY KEY (evidence_id, control_id))
        WITHOUT ROWID;
    CREATE TABLE owed (key TEXT PRIMARY KEY) WITHOUT ROWID;
    BEGIN;
"""
_CASES = """
    SELECT entry.seq, entry.evidence_id, entry.control_id, entry.collected_at, entry.created_at,
        entry.accepted_at, entry.request_id,
        EXISTS (SELECT 1 FROM entry AS later WHERE later.key = entry.key AND later.seq > entry.seq) AS is_superseded,
        EXISTS (SELECT 1 FROM entry AS earlier
                WHERE earlier.evidence_id = entry.evidence_id AND earlier.seq < entry.seq) AS is_echoed,
        EXISTS (SELECT 1 FROM owed WHERE owed.key = entry.key) AS is_owed,
        logged.at AS logged_at,
        shown.collected_at AS shown_at,
        (SELECT other.control_id FROM shown AS other
         WHERE other.evidence_id = entry.evidence_id AND other.control_id <> entry.control_id) AS elsewhere,
        control.listed
    FROM entry
    LEFT JOIN logged USING (evidence_id)
    LEFT JOIN shown ON shown.evidence_id = entry.evidence_id AND shown.control_id = entry.control_id
    LEFT JOIN control ON control.id = entry.control_id
    ORDER BY entry.seq
"""
_LACKS = """
    SELECT EXISTS (SELECT 1 FROM entry WHERE NOT EXISTS
        (SELECT 1 FROM logged WHERE logged.evidence_id = entry.evidence_id))
"""
# What is as young as the newest receipt may be of an item whose own receipt is not written down yet.
_STRANGERS = """
    SELECT evidence_id, actor, at AS logged_at FROM logged
    WHERE at > :after AND at < (SELECT max(created_at) FROM entry)
        AND actor IN (SELECT DISTINCT actor FROM logged JOIN entry USING (evidence_id))
        AND NOT EXISTS (SELECT 1 FROM entry WHERE entry.evidence_id = logged.evidence_id)
"""


class Collation:
    """Takes in what both sides have, in any order; then it tells of each entry, and of what has none."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / _FILE

    def __enter__(self) -> Self:
        self._path.unlink(missing_ok=True)
        os.close(open_private(self._path))
        self._connection = sqlite3.connect(self._path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.executescript(_SETTINGS + _SCHEMA)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._path.unlink(missing_ok=True)

    def add_entries(self, entries: Iterable[Accepted]) -> None:
        """Entries of the ledger, in its order. Those without a time count from the first on that has one."""
        statement = "INSERT INTO entry VALUES (:seq, :evidence_id, :key, :control_id, :collected_at, :created_at,"
        begun = (vars(entry) for entry in _from_the_first_dated(entries))
        self._connection.executemany(f"{statement} :accepted_at, :request_id)", begun)

    def add_logged(self, log: Iterable[AuditLogEntry]) -> None:
        """Entries of the audit log; those about evidence that was submitted count."""
        rows = ((each.target, each.actor.id, stamp(each.at)) for each in log if each.action == _SUBMITTED)
        self._connection.executemany("INSERT OR IGNORE INTO logged VALUES (?, ?, ?)", (row for row in rows if row[0]))

    def add_shown(self, control_id: str, evidence: Iterable[EvidenceItem] | None) -> None:
        """What a control shows; None where there is no such control."""
        shown = None if evidence is None else [(each.id, control_id, stamp(each.collected_at)) for each in evidence]
        listed = None if shown is None else len(shown)
        self._connection.execute("INSERT INTO control VALUES (?, ?)", (control_id, listed))
        self._connection.executemany("INSERT OR IGNORE INTO shown VALUES (?, ?, ?)", shown or ())

    def add_owed(self, keys: Iterable[str]) -> None:
        """Keys that are sent again, or were since the last entry."""
        self._connection.executemany("INSERT OR IGNORE INTO owed VALUES (?)", ((key,) for key in keys))

    def controls(self) -> Iterator[str]:
        """The controls that the entries went to."""
        for row in self._connection.execute("SELECT DISTINCT control_id FROM entry ORDER BY control_id"):
            yield row["control_id"]

    def is_empty(self) -> bool:
        """Whether there is no entry to compare."""
        return not self._connection.execute("SELECT EXISTS (SELECT 1 FROM entry)").fetchone()[0]

    def lacks(self) -> bool:
        """Whether the audit log lacks any entry."""
        return bool(self._connection.execute(_LACKS).fetchone()[0])

    def cases(self) -> Iterator[Case]:
        """Each entry, in the order of the ledger, with what the API shows of it."""
        for row in self._connection.execute(_CASES):
            told: dict[str, Any] = {each.name: row[each.name] for each in fields(Case)}
            told |= {name: bool(value) for name, value in told.items() if name.startswith("is_")}
            yield Case(**told)

    def strangers(self, *, after: str) -> Iterator[Stranger]:
        """What was logged after an instant with a key that entries were, too, and that no entry is of."""
        for row in self._connection.execute(_STRANGERS, {"after": after}):
            yield Stranger(**row)


def _from_the_first_dated(entries: Iterable[Accepted]) -> Iterator[Accepted]:
    begun = False
    for entry in entries:
        begun = begun or entry.created_at is not None
        if begun:
            yield entry
