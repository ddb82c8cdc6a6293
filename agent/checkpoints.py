"""How far each population was read, and which revision of each place was taken.

A wrong one would hide what was never read, so each is sealed with a checksum: one that does not fit is none.
"""

import zlib
from datetime import datetime
from sqlite3 import Connection

from agent.evidence import stamp
from agent.items import Checkpoint

_GET = "SELECT * FROM checkpoint WHERE (collector, evidence_type, target) = (?, ?, ?)"
_PUT = "INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_DELETE = "DELETE FROM checkpoint WHERE (collector, evidence_type, target) = (?, ?, ?)"
_ORPHANS = """
    DELETE FROM checkpoint
    WHERE snapshot_id NOT IN (SELECT snapshot_id FROM item UNION SELECT snapshot_id FROM ledger)
"""

_INSTANTS = ("until", "incomplete_since")

Place = tuple[str, str, str]
"""A collector, an evidence type and a target."""


def get(connection: Connection, place: Place) -> Checkpoint | None:
    row = connection.execute(_GET, place).fetchone()
    if row is None or row["seal"] != _seal(tuple(row)[:-1]):
        return None
    until, incomplete_since = (datetime.fromisoformat(row[at]) if row[at] else None for at in _INSTANTS)
    return Checkpoint(until, row["revision"], row["snapshot_id"], incomplete_since)


def put(connection: Connection, place: Place, checkpoint: Checkpoint) -> None:
    until, incomplete_since = (stamp(at) if at else None for at in (checkpoint.until, checkpoint.incomplete_since))
    row = (*place, until, checkpoint.revision, checkpoint.snapshot_id, incomplete_since)
    connection.execute(_PUT, (*row, _seal(row)))


def rewind(connection: Connection, place: Place, since: str | None, snapshot_id: str) -> None:
    """What a snapshot told is lost: its population is read again from where that began, and its place as a whole."""
    before = connection.execute(_GET, place).fetchone()
    if since is None:
        connection.execute(_DELETE, place)
    elif before is None or not before["until"] or before["until"] > since:
        put(connection, place, Checkpoint(datetime.fromisoformat(since), None, snapshot_id))


def drop_doubtful(connection: Connection) -> None:
    """Those of snapshots that are not here, and those that are damaged."""
    connection.execute(_ORPHANS)
    for row in connection.execute("SELECT * FROM checkpoint").fetchall():
        if row["seal"] != _seal(tuple(row)[:-1]):
            connection.execute(_DELETE, tuple(row)[:3])


def _seal(row: tuple[str | None, ...]) -> int:
    return zlib.crc32(repr(row).encode())
