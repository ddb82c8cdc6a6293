"""What the API accepted: one receipt an item, kept after the item's body is gone, and never changed.

Entries are a chain in the order of their acceptance (`agent.chain`). Those that were kept for long enough go from its
beginning only.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import partial
from sqlite3 import Connection, Row

from agent.items import Accepted
from agent.sql import HEAD
from agent.store import Store

_LAST = 2**63 - 1
_STRIDE = 1000  # entries that are looked at in one read

RECEIPTS = "SELECT * FROM ledger ORDER BY seq DESC LIMIT ?"
RECEIPTS_OF_ITEM = "SELECT * FROM ledger WHERE id = ? LIMIT ?"
RECEIPTS_OF_SNAPSHOT = "SELECT * FROM ledger WHERE snapshot_id = ? ORDER BY id DESC LIMIT ?"
COUNT = "SELECT count(*) FROM ledger"
# Of all targets: the last instant, and the gaps of what was collected within a day of it, as by the same run.
LATEST = """
    SELECT control_id, evidence_type, collector, source, seq, evidence_id, max(collected_at) AS collected_at,
           sum(gaps) AS gaps
    FROM (
        SELECT *, max(collected_at) OVER (PARTITION BY control_id, evidence_type, collector) AS last FROM latest
    )
    WHERE collected_at >= strftime('%Y-%m-%dT%H:%M:%fZ', last, '-1 day')
    GROUP BY control_id, evidence_type, collector ORDER BY control_id, evidence_type, collector
"""
DAYS = "SELECT * FROM day WHERE day >= ? ORDER BY day"
RECEIVED = """
    SELECT * FROM ledger WHERE seq > ? AND seq <= ? AND (created_at >= ? OR created_at IS NULL) ORDER BY seq
"""
FIRST = "SELECT seq FROM ledger ORDER BY seq LIMIT 1"
FIRST_DATED = "SELECT created_at FROM ledger WHERE created_at IS NOT NULL ORDER BY seq LIMIT 1"
KNOWN = "SELECT DISTINCT evidence_id FROM ledger WHERE evidence_id IN (SELECT value FROM json_each(?))"
ENTRIES = "SELECT * FROM ledger WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT 500"
# Only the oldest go, in the order of their numbers, and never the last: so a number that is missing is missed.
KEPT = """
    SELECT min(
        coalesce((SELECT min(id) FROM item), 9e18), (SELECT max(id) FROM ledger),
        coalesce((SELECT id FROM ledger WHERE accepted_at >= ? ORDER BY id LIMIT 1), 9e18)
    )
"""
# The beginning of the chain that consists of such: an item that was refused for long comes late in it.
FORGETTABLE = """
    SELECT * FROM ledger WHERE seq < (SELECT min(seq) FROM ledger WHERE id >= ?) ORDER BY seq DESC LIMIT 1
"""
FORGET = "DELETE FROM ledger WHERE seq <= ?"
# A target that is read no more; what was collected last of all stays known.
FORGET_TARGETS = """
    DELETE FROM latest WHERE seq <= ? AND EXISTS (
        SELECT 1 FROM latest AS later
        WHERE (later.control_id, later.evidence_type, later.collector)
                = (latest.control_id, latest.evidence_type, latest.collector)
            AND later.collected_at > latest.collected_at
    )
"""
HIGHEST_FORGOTTEN = "SELECT coalesce(max(id), 0) FROM ledger WHERE seq <= ?"


# Where a clock was set back the order of acceptance is not that of the instants: all between the two is in it.
SPAN = """
    SELECT (SELECT min(seq) FROM ledger WHERE accepted_at >= :since) AS first,
           (SELECT max(seq) FROM ledger WHERE accepted_at < :until) AS last
"""


@dataclass(frozen=True)
class Span:
    """A part of the chain, from the entry `first` to the entry `last`, both in it."""

    first: int
    last: int


@dataclass(frozen=True)
class Latest:
    """What one collector collected last, of one type for one control, of all that was accepted.

    `gaps` are those at all its targets; all else is of the one that was collected last. A backlog is accepted late, and
    in any order: how fresh evidence is follows from when it was collected.
    """

    control_id: str
    evidence_type: str
    collector: str
    source: str
    seq: int
    evidence_id: str
    collected_at: str
    gaps: int

    @property
    def collected(self) -> datetime:
        return datetime.fromisoformat(self.collected_at)


@dataclass(frozen=True)
class Day:
    """What was accepted on one day, in UTC; `day` counts from the epoch, `bytes` are those of the requests."""

    day: int
    items: int
    records: int
    gaps: int
    bytes: int


class Ledger:
    """The receipts of one state directory."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def receipts(
        self, item_id: int | None = None, *, snapshot_id: str | None = None, limit: int = 100
    ) -> list[Accepted]:
        """The latest receipts first: of one item, of one snapshot, or of all."""
        statement, wanted = RECEIPTS, list[object]([limit])
        if item_id is not None:
            statement, wanted = RECEIPTS_OF_ITEM, [item_id, limit]
        elif snapshot_id is not None:
            statement, wanted = RECEIPTS_OF_SNAPSHOT, [snapshot_id, limit]
        rows = self._store.read(lambda connection: connection.execute(statement, wanted).fetchall())
        return [_entry(row) for row in rows]

    def entries(self, *, after: int = 0, until: int = _LAST) -> Iterator[Accepted]:
        """The entries in the order of the chain, behind the number `after`; page by page, so that memory stays flat."""
        while True:
            rows = self._store.read(partial(_page, after, until))
            yield from map(_entry, rows)
            if not rows:
                return
            after = rows[-1]["seq"]

    def received(self, since: str, *, until: int) -> Iterator[Accepted]:
        """The entries up to the number `until` that the API took from an instant on, in ISO 8601, by its own clock.

        Also those of which it did not say when. They come in the order of the chain, page by page.
        """
        row = self._store.read(lambda connection: connection.execute(FIRST).fetchone())
        after = row["seq"] - 1 if row else until
        while after < until:
            page = (after, min(after + _STRIDE, until), since)
            yield from map(_entry, self._store.read(partial(_received, page)))
            after += _STRIDE

    def beginning(self) -> str | None:
        """When the API took the first of them, in ISO 8601, by its own clock; None where no receipt says."""
        row = self._store.read(lambda connection: connection.execute(FIRST_DATED).fetchone())
        return row["created_at"] if row else None

    def known(self, evidence_ids: Sequence[str]) -> set[str]:
        """Those of some evidence that have a receipt."""
        told = json.dumps(evidence_ids)
        rows = self._store.read(lambda connection: connection.execute(KNOWN, (told,)).fetchall())
        return {row["evidence_id"] for row in rows}

    def head(self) -> tuple[int, str] | None:
        """The number and the link of the last entry; None where there is none."""
        row = self._store.read(lambda connection: connection.execute(HEAD).fetchone())
        return (row["seq"], row["link"]) if row else None

    def count(self) -> int:
        number: int = self._store.read(lambda connection: connection.execute(COUNT).fetchone()[0])
        return number

    def latest(self) -> list[Latest]:
        """By control, evidence type and collector."""
        rows = self._store.read(lambda connection: connection.execute(LATEST).fetchall())
        return [Latest(**row) for row in rows]

    def days(self, since: int) -> list[Day]:
        """The days from a number on that anything was accepted on, oldest first."""
        rows = self._store.read(lambda connection: connection.execute(DAYS, (since,)).fetchall())
        return [Day(**row) for row in rows]

    def span(self, since: datetime, until: datetime) -> Span | None:
        """What was accepted from one instant, aware, until before another; None where nothing was."""
        instants = {"since": since.timestamp(), "until": until.timestamp()}
        row = self._store.read(lambda connection: connection.execute(SPAN, instants).fetchone())
        if row["first"] is None or row["last"] is None or row["first"] > row["last"]:
            return None
        return Span(row["first"], row["last"])

    def forgettable(self, *, before: float) -> Accepted | None:
        """The last entry of the chain's beginning that was all accepted before an instant; None where there is none."""
        row = self._store.read(partial(_forgettable, before))
        return _entry(row) if row else None

    def forget(self, up_to: int) -> int:
        """Forgets the entries up to this number; how many there were."""
        forgotten, highest = self._store.write(lambda connection: _forget(connection, up_to))
        self._store.forget(highest)
        return forgotten


def _page(after: int, until: int, connection: Connection) -> list[Row]:
    return connection.execute(ENTRIES, (after, until)).fetchall()


def _received(page: tuple[int, int, str], connection: Connection) -> list[Row]:
    return connection.execute(RECEIVED, page).fetchall()


def _entry(row: Row) -> Accepted:
    return Accepted(**{each.name: row[each.name] for each in fields(Accepted)})


def _forgettable(before: float, connection: Connection) -> Row | None:
    kept = int(connection.execute(KEPT, (before,)).fetchone()[0] or 0)
    row: Row | None = connection.execute(FORGETTABLE, (kept,)).fetchone()
    return row


def _forget(connection: Connection, up_to: int) -> tuple[int, int]:
    """How many there were, and the highest number of their items."""
    highest: int = connection.execute(HIGHEST_FORGOTTEN, (up_to,)).fetchone()[0]
    connection.execute(FORGET_TARGETS, (up_to,))
    return connection.execute(FORGET, (up_to,)).rowcount, highest
