"""What the API accepted: one receipt an item, kept after the item's body is gone."""

from agent.items import Accepted
from agent.store import Store

RECEIPTS = """
    SELECT * FROM ledger WHERE (?1 IS NULL OR id = ?1) AND (?2 IS NULL OR snapshot_id = ?2) ORDER BY id DESC LIMIT ?3
"""
RECEIPT_OF = "SELECT 1 FROM ledger WHERE evidence_id = ?"
COUNT = "SELECT count(*) FROM ledger"
PRUNE = "DELETE FROM ledger WHERE accepted_at < ?"


class Ledger:
    """The receipts of one state directory."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def receipts(
        self, item_id: int | None = None, *, snapshot_id: str | None = None, limit: int = 100
    ) -> list[Accepted]:
        """The latest receipts first: of one item, of one snapshot, or of all."""
        with self._store.reading() as connection:
            rows = connection.execute(RECEIPTS, (item_id, snapshot_id, limit)).fetchall()
        return [Accepted(**row) for row in rows]

    def has(self, evidence_id: str) -> bool:
        """Whether some item's receipt is for this evidence."""
        with self._store.reading() as connection:
            return connection.execute(RECEIPT_OF, (evidence_id,)).fetchone() is not None

    def count(self) -> int:
        with self._store.reading() as connection:
            number: int = connection.execute(COUNT).fetchone()[0]
        return number

    def prune(self, *, before: float) -> int:
        """Forgets receipts accepted before an instant, in seconds since the epoch; how many there were."""
        with self._store.transaction() as connection:
            return connection.execute(PRUNE, (before,)).rowcount
