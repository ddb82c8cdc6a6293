"""What the API accepted: one receipt an item, kept after the item's body is gone, and never changed.

Entries are a chain in the order of their acceptance (`agent.chain`). Those that were kept for long enough go from its
beginning only.
"""

from collections.abc import Iterator
from dataclasses import fields
from functools import partial
from sqlite3 import Connection, Row

from agent.items import Accepted
from agent.sql import HEAD
from agent.store import Store

_LAST = 2**63 - 1

RECEIPTS = "SELECT * FROM ledger ORDER BY id DESC LIMIT ?"
RECEIPTS_OF_ITEM = "SELECT * FROM ledger WHERE id = ? LIMIT ?"
RECEIPTS_OF_SNAPSHOT = "SELECT * FROM ledger WHERE snapshot_id = ? ORDER BY id DESC LIMIT ?"
COUNT = "SELECT count(*) FROM ledger"
ENTRIES = "SELECT * FROM ledger WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT 500"
# Only the oldest go, in the order of their numbers, and never the last: so a number that is missing is missed.
FORGETTABLE = """
    SELECT min(
        coalesce((SELECT min(id) FROM item), 9e18), (SELECT max(id) FROM ledger),
        coalesce((SELECT id FROM ledger WHERE accepted_at >= ? ORDER BY id LIMIT 1), 9e18)
    )
"""
# The beginning of the chain that consists of such: an item that was refused for long comes late in it.
FORGOTTEN = "SELECT coalesce(min(seq), 1) - 1 FROM ledger WHERE id >= ?"
PRUNE = "DELETE FROM ledger WHERE seq <= ?"


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

    def head(self) -> tuple[int, str] | None:
        """The number and the link of the last entry; None where there is none."""
        row = self._store.read(lambda connection: connection.execute(HEAD).fetchone())
        return (row["seq"], row["link"]) if row else None

    def count(self) -> int:
        number: int = self._store.read(lambda connection: connection.execute(COUNT).fetchone()[0])
        return number

    def prune(self, *, before: float) -> int:
        """Forgets receipts accepted before an instant, in seconds since the epoch; how many there were."""
        pruned, kept = self._store.write(lambda connection: _prune(connection, before))
        self._store.forget(kept - 1)
        return pruned


def _page(after: int, until: int, connection: Connection) -> list[Row]:
    return connection.execute(ENTRIES, (after, until)).fetchall()


def _entry(row: Row) -> Accepted:
    return Accepted(**{each.name: row[each.name] for each in fields(Accepted)})


def _prune(connection: Connection, before: float) -> tuple[int, int]:
    kept = int(connection.execute(FORGETTABLE, (before,)).fetchone()[0] or 0)
    last = connection.execute(FORGOTTEN, (kept,)).fetchone()[0]
    return connection.execute(PRUNE, (last,)).rowcount, kept
