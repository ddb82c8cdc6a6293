"""What the API accepted: one receipt an item, kept after the item's body is gone."""

from sqlite3 import Connection

from agent.items import Accepted
from agent.store import Store

RECEIPTS = "SELECT * FROM ledger ORDER BY id DESC LIMIT ?"
RECEIPTS_OF_ITEM = "SELECT * FROM ledger WHERE id = ? LIMIT ?"
RECEIPTS_OF_SNAPSHOT = "SELECT * FROM ledger WHERE snapshot_id = ? ORDER BY id DESC LIMIT ?"
COUNT = "SELECT count(*) FROM ledger"
# Only the oldest go, in the order of their numbers, and never the last: so a number that is missing is missed.
FORGETTABLE = """
    SELECT min(
        coalesce((SELECT min(id) FROM item), 9e18), (SELECT max(id) FROM ledger),
        coalesce((SELECT id FROM ledger WHERE accepted_at >= ? ORDER BY id LIMIT 1), 9e18)
    )
"""
PRUNE = "DELETE FROM ledger WHERE id < ?"


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
        return [Accepted(**{name: row[name] for name in row.keys() if name != "sha256"}) for row in rows]  # noqa: SIM118 a Row is no dict

    def count(self) -> int:
        number: int = self._store.read(lambda connection: connection.execute(COUNT).fetchone()[0])
        return number

    def prune(self, *, before: float) -> int:
        """Forgets receipts accepted before an instant, in seconds since the epoch; how many there were."""
        pruned, kept = self._store.write(lambda connection: _prune(connection, before))
        self._store.forget(kept - 1)
        return pruned


def _prune(connection: Connection, before: float) -> tuple[int, int]:
    kept = int(connection.execute(FORGETTABLE, (before,)).fetchone()[0] or 0)
    return connection.execute(PRUNE, (kept,)).rowcount, kept
