"""What is owed to the API, durable before anything is sent.

put ──► pending ──► in_flight ──► the ledger        accepted: the receipt is kept, the body is gone
           ▲            │
           └─ deferred ◄┤         no answer, or one that promises better luck later
           ▲            └─► rejected ──► discarded  the API's words are kept; `retry` makes it pending again
           └──────────────────┘
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from sqlite3 import Connection, Row
from typing import Any

from agent import sql
from agent.body import pack, unpack
from agent.canonical import digest
from agent.evidence import Evidence, stamp
from agent.items import (
    Accept,
    Answer,
    Checkpoint,
    Claimed,
    Count,
    Defer,
    Hold,
    Item,
    Reject,
    Release,
    Settlement,
    State,
)
from agent.store import Store

# No answer asks for a longer wait than this: what is due later was dated by a clock that has since been set back.
_LONGEST_WAIT = 2 * 3600.0
_AHEAD = 32  # bodies that are compressed before the lock is taken: all of them, for nearly every snapshot


class UnknownItem(LookupError):
    """The outbox has no item of this number."""

    def __init__(self, item_id: int) -> None:
        super().__init__(f"the outbox has no item {item_id}; `chequr-agent outbox list` shows what it has")


class BeingSent(UnknownItem):
    """The item is in flight: only its answer decides what becomes of it."""

    def __init__(self, item_id: int) -> None:
        LookupError.__init__(self, f"item {item_id} is being sent; try again once it has its answer")


class Outbox:
    """The queue of one state directory. Any number of processes may put; one delivers."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # ── putting ──

    def put(
        self, collector: str, target: str, evidence: Iterable[Evidence], checkpoint: Checkpoint | None, *, now: float
    ) -> list[int]:
        """All parts of one snapshot and the collector's checkpoint in one transaction; the ids of the items."""
        rows = (_row(collector, piece, now) for piece in evidence)
        first = list(islice(rows, _AHEAD))
        ids = []
        with self._store.transaction() as connection:
            for row, content in chain(first, rows):
                ids.append(connection.execute(sql.PUT_ITEM, row).lastrowid or 0)
                connection.execute(sql.PUT_BODY, (ids[-1], content))
            if checkpoint and first:
                until = stamp(checkpoint.until) if checkpoint.until else None
                evidence_type = first[0][0][2]
                told = (collector, evidence_type, target, until, checkpoint.revision, checkpoint.snapshot_id)
                connection.execute(sql.PUT_CHECKPOINT, told)
        return ids

    def checkpoint(self, collector: str, evidence_type: str, target: str) -> Checkpoint | None:
        with self._store.reading() as connection:
            row = connection.execute(sql.CHECKPOINT, (collector, evidence_type, target)).fetchone()
        if row is None:
            return None
        until = datetime.fromisoformat(row["until"]) if row["until"] else None
        return Checkpoint(until, row["revision"], row["snapshot_id"])

    # ── delivering ──

    def reclaim(self) -> int:
        """Makes pending again what a deliverer that ended had in flight: nobody knows whether it arrived."""
        with self._store.transaction() as connection:
            return connection.execute(sql.RECLAIM).rowcount

    def claim(self, limit: int, *, now: float) -> list[Claimed]:
        """Up to `limit` items that are due, oldest first, now in flight."""
        if self.next_due() is None:
            return []
        with self._store.transaction() as connection:
            ids = [row["id"] for row in connection.execute(sql.DUE, (now, now + _LONGEST_WAIT, limit))]
            connection.executemany(sql.CLAIM, [(now, item_id) for item_id in ids])
            rows = [connection.execute(sql.CLAIMED, (item_id,)).fetchone() for item_id in ids]
        return [_claimed(row) for row in rows]

    def settle(self, settlements: Iterable[Settlement], *, now: float) -> None:
        """Writes down what became of items in flight, all in one transaction."""
        with self._store.transaction() as connection:
            for settlement in settlements:
                _settle(connection, settlement, now)

    # ── holding ──

    def set_hold(self, status: int | None, reason: str, *, now: float) -> None:
        with self._store.transaction() as connection:
            connection.execute(sql.SET_HOLD, (status, reason, now))

    def lift_hold(self) -> None:
        with self._store.transaction() as connection:
            connection.execute("DELETE FROM hold")

    def hold(self) -> Hold | None:
        with self._store.reading() as connection:
            row = connection.execute("SELECT status, reason, since FROM hold").fetchone()
        return Hold(**row) if row else None

    # ── looking ──

    def next_due(self) -> float | None:
        """When the next item may be sent, in seconds since the epoch; None where nothing is owed."""
        with self._store.reading() as connection:
            due: float | None = connection.execute(sql.NEXT_DUE).fetchone()[0]
        return due

    def counts(self) -> dict[State, Count]:
        with self._store.reading() as connection:
            rows = connection.execute(sql.COUNTS).fetchall()
        return {row["state"]: Count(row["items"], row["bytes"], row["oldest"]) for row in rows}

    def twins(self, item: Item) -> int:
        """How many items are owed, this one among them, that their control could not tell from it."""
        with self._store.reading() as connection:
            number: int = connection.execute(sql.TWINS, (item.control_id, item.source, item.collected_at)).fetchone()[0]
        return number

    def owed(self) -> int:
        """How many items may still be accepted."""
        counts = self.counts()
        return sum(count.items for state, count in counts.items() if state in ("pending", "in_flight", "deferred"))

    def items(self, states: Sequence[State] = (), *, limit: int | None = None) -> Iterator[Item]:
        """Items by id, without their bodies; page by page, so that memory stays flat."""
        last, left = 0, limit
        while left is None or left > 0:
            page = min(500, left) if left is not None else 500
            rows = self._page(states, last, page)
            yield from (_item(row) for row in rows)
            if len(rows) < page:
                return
            last = rows[-1]["id"]
            left = left - page if left is not None else None

    def _page(self, states: Sequence[State], after: int, size: int) -> list[Row]:
        among = f"AND state IN ({', '.join('?' * len(states))})" if states else ""
        statement = f"SELECT * FROM item WHERE id > ? {among} ORDER BY id LIMIT ?"  # noqa: S608 only question marks
        with self._store.reading() as connection:
            return connection.execute(statement, (after, *states, size)).fetchall()

    def item(self, item_id: int) -> Item:
        """Raises UnknownItem."""
        with self._store.reading() as connection:
            row = connection.execute("SELECT * FROM item WHERE id = ?", (item_id,)).fetchone()
        if row is None:
            raise UnknownItem(item_id)
        return _item(row)

    def body(self, item_id: int) -> bytes | None:
        """The request body as it is sent; None once it is gone, or where it is damaged."""
        with self._store.reading() as connection:
            row = connection.execute(sql.CLAIMED, (item_id,)).fetchone()
        return _claimed(row).body if row else None

    # ── operating ──

    def retry(self, item_ids: Iterable[int], *, now: float) -> int:
        """Makes rejected and deferred items due now; how many there were."""
        with self._store.transaction() as connection:
            return connection.executemany(sql.RETRY, [(now, item_id) for item_id in item_ids]).rowcount

    def discard(self, item_id: int) -> None:
        """Gives an item up for good: its body goes, its row stays and says so. Raises UnknownItem and BeingSent."""
        item = self.item(item_id)
        with self._store.transaction() as connection:
            if not connection.execute(sql.DISCARD, (item.id,)).rowcount:
                raise BeingSent(item_id)
            connection.execute(sql.DELETE_BODY, (item_id,))

    def export(self, directory: Path) -> int:
        """Writes each body that is still here into a file of its own, for its owner only; how many there were."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        written = 0
        for item in self.items():
            body = self.body(item.id)
            if body is not None:
                file = directory / f"{item.id:08}-{item.state}-{item.evidence_type}-{item.part}-of-{item.parts}.json"
                file.touch(mode=0o600)
                file.write_bytes(body)
                written += 1
        return written


def _row(collector: str, piece: Evidence, now: float) -> tuple[tuple[Any, ...], bytes]:
    """An item's columns, and its compressed body."""
    snapshot = (piece.control_id, piece.snapshot_id, piece.part, piece.parts, piece.records, piece.gaps)
    content = (stamp(piece.collected_at), len(piece.body), digest(piece.body))
    row = (piece.key, collector, piece.evidence_type, piece.source, *snapshot, *content, now, now)
    return row, pack(piece.body)


def _settle(connection: Connection, settlement: Settlement, now: float) -> None:
    match settlement:
        case Accept(item_id, evidence_id, created_at, request_id):
            created = stamp(created_at) if created_at else None
            connection.execute(sql.PUT_RECEIPT, (evidence_id, created, now, request_id, item_id))
            connection.execute(sql.DELETE_ITEM, (item_id,))
        case Defer(item_id, answer, due):
            _answered(connection, item_id, "deferred", due, answer)
        case Reject(item_id, answer):
            _answered(connection, item_id, "rejected", now, answer)
        case Release(item_id, due):
            connection.execute(sql.RELEASE, (due, item_id))


def _answered(connection: Connection, item_id: int, state: State, due: float, answer: Answer) -> None:
    row = (state, due, answer.status, answer.code, answer.reason, answer.request_id, item_id)
    connection.execute(sql.ANSWERED, row)


def _item(row: Row) -> Item:
    columns: dict[str, Any] = {name: row[name] for name in row.keys() if name != "content"}  # noqa: SIM118 a Row is no dict
    return Item(**columns)


def _claimed(row: Row) -> Claimed:
    item = _item(row)
    content = row["content"]
    return Claimed(item, None if content is None else unpack(content, size=item.size, expected=item.digest))
