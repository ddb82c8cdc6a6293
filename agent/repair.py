"""What is missing at the API, back into the outbox under its old key; or read again, where its body is gone."""

from sqlite3 import Connection, Row

from agent import checkpoints, sql
from agent.body import unpack
from agent.mark import Mark, Put
from agent.store import Store

_KEPT = "SELECT ledger.*, since, content FROM ledger LEFT JOIN kept USING (id) WHERE seq = ?"
_AGAIN = f"""
    INSERT INTO item (id, {sql.PIECE}, since, queued_at, due, state)
    SELECT {sql.HIGHEST} + 1, {sql.PIECE}, since, :now, :now, 'pending'
    FROM ledger JOIN kept USING (id) WHERE id = :id
    RETURNING id
"""  # noqa: S608 - constants
_BODY = "INSERT INTO body (id, content) SELECT ?, content FROM kept WHERE id = ?"
_MOVED = "DELETE FROM kept WHERE id = ?"
_PRESENT = "its next run sends what is there now"


class Repair:
    """Mends one entry after the other. Whoever calls knows that it is not in the outbox already."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._puts: dict[str, Put] | None = None

    def mend(self, seq: int, *, now: float) -> str:
        """What was done about the entry of this number, in words."""
        row = self._store.read(lambda connection: connection.execute(_KEPT, (seq,)).fetchone())
        if row is None:
            return "Its entry was forgotten meanwhile."
        if row["content"] is not None and unpack(row["content"], expected=row["sha256"]) is not None:
            put = self._store.write(lambda connection: _put_again(connection, row, now), lambda put: put)
            if put is not None:
                return f"It is in the outbox again as item {put.first}, with its body and its key."
        told = self._store.write(lambda connection: _read_again(connection, row, self._put_of(row["snapshot_id"])))
        return f"Its body is not kept (delivery.keep_bodies): {told}."

    def _put_of(self, snapshot_id: str) -> Put | None:
        """How a snapshot was put, as far as the mark still tells."""
        if self._puts is None:
            self._puts = {put.snapshot_id: put for put in Mark(self._store.directory).read()[0]}
        return self._puts.get(snapshot_id)


def _put_again(connection: Connection, row: Row, now: float) -> Put | None:
    """As a new item: numbers are never given twice. None where its body went meanwhile."""
    item = connection.execute(_AGAIN, {"id": row["id"], "now": now}).fetchone()
    if item is None:
        return None
    (number,) = item
    connection.execute(_BODY, (number, row["id"]))
    connection.execute(_MOVED, (row["id"],))
    names = (row[name] for name in ("collector", "evidence_type", "target", "snapshot_id", "since"))
    return Put(number, number, *names)


def _read_again(connection: Connection, row: Row, put: Put | None) -> str:
    """Sets back the checkpoint of its population, if there is one that tells where to."""
    place = (row["collector"], row["evidence_type"], row["target"])
    checkpoint = checkpoints.get(connection, place)
    if checkpoint is None:
        return _PRESENT
    if checkpoint.revision is not None:
        if checkpoint.snapshot_id != row["snapshot_id"]:
            return "a later revision was sent since"
        checkpoints.rewind(connection, place, None, row["snapshot_id"])
        return "its next run reads it again"
    if put is None:
        return f"where its period began is not known any more; {_PRESENT}"
    checkpoints.rewind(connection, place, put.since, row["snapshot_id"])
    return f"its next run reads again from {put.since or 'the beginning'} on"
