"""What is owed to the API, durable before anything is sent.

put ──► pending ──► in_flight ──► the ledger        accepted: the receipt is kept, the body is gone
           ▲            │
           └─ deferred ◄┤         no answer, or one that promises better luck later
           ▲            └─► rejected ──► discarded  the API's words are kept; `retry` makes it pending again
           └──────────────────┘
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from sqlite3 import Connection, Row
from typing import Any

from agent import checkpoints, kept, sql
from agent.body import pack
from agent.database import Damaged
from agent.evidence import Evidence, stamp
from agent.items import Accept, Checkpoint, Claimed, Count, Hold, Item, Kin, Loss, Settlement, State
from agent.lanes import body_of, claim, item_of
from agent.mark import Put
from agent.settlement import settle
from agent.store import DiskFull, Store

_INSTANT, _SECOND = len("2026-04-15T09:14:23.123Z"), len("2026-04-15T09:14:23")
_AHEAD = 32  # bodies that are compressed before the lock is taken: all of them, for nearly every snapshot


class UnknownItem(LookupError):
    """The outbox has no item of this number."""

    def __init__(self, item_id: int) -> None:
        super().__init__(f"the outbox has no item {item_id}; `chequr-agent outbox list` shows what it has")


class BeingSent(UnknownItem):
    """The item is in flight: only its answer decides what becomes of it."""

    def __init__(self, item_id: int) -> None:
        LookupError.__init__(self, f"item {item_id} is being sent; try again once it has its answer")


class OutboxFull(Exception):
    """There is no room for more. Nothing that is owed is dropped to make some."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the outbox is full: {reason}")
        self.remedy = "Let `chequr-agent deliver` empty it, make room on the disk, or raise outbox.max_bytes."


@dataclass(frozen=True)
class _Snapshot:
    """What all items of one `put` have in common."""

    collector: str
    target: str
    checkpoint: Checkpoint | None
    now: float
    is_essential: bool


class Outbox:
    """The queue of one state directory. Any number of processes may put; one delivers."""

    def __init__(self, store: Store, *, keep_bodies: float = 0.0) -> None:
        """`keep_bodies` is how many seconds a body is kept once it was accepted."""
        self._store = store
        self._keep_bodies = keep_bodies
        self._fitting = 0  # bytes that fit without another look

    # ── putting ──

    def put(
        self,
        collector: str,
        target: str,
        evidence: Iterable[Evidence],
        checkpoint: Checkpoint | None,
        *,
        now: float,
        essential: bool = False,
    ) -> list[int]:
        """All parts of one snapshot and the collector's checkpoint in one transaction; the ids of the items.

        What is `essential` may use what is kept back for it. Raises OutboxFull.
        """
        again = list(evidence) if iter(evidence) is evidence else evidence
        pieces = [(piece, pack(piece.body)) for piece in islice(again, _AHEAD)]
        snapshot = _Snapshot(collector, target, checkpoint, now, essential)

        def all_pieces() -> Iterator[tuple[Evidence, bytes]]:
            yield from pieces
            if len(pieces) == _AHEAD:
                yield from ((piece, pack(piece.body)) for piece in islice(again, _AHEAD, None))

        try:
            put = self._store.write(lambda connection: self._put(connection, snapshot, all_pieces()), lambda put: put)
        except DiskFull as error:
            raise OutboxFull(error.reason) from error
        return list(range(put.first, put.last + 1)) if put else []

    def _put(self, connection: Connection, snapshot: _Snapshot, pieces: Iterable[tuple[Evidence, bytes]]) -> Put | None:
        numbers: list[int] = []
        since: str | None = None
        for piece, content in pieces:
            if not numbers:
                since = self._advance(connection, snapshot, piece.evidence_type)
            self._make_sure(connection, len(content), essential=snapshot.is_essential)
            (number,) = connection.execute(sql.PUT_ITEM, _row(snapshot, piece, since)).fetchone()
            connection.execute(sql.PUT_BODY, (number, content))
            numbers.append(number)
        if not numbers:
            return None
        first, last = numbers[0], numbers[-1]
        return Put(first, last, snapshot.collector, piece.evidence_type, snapshot.target, piece.snapshot_id, since)

    def _advance(self, connection: Connection, snapshot: _Snapshot, evidence_type: str) -> str | None:
        """Puts the checkpoint, if there is a new one, and returns how far the population had been read before."""
        place = (snapshot.collector, evidence_type, snapshot.target)
        before = checkpoints.get(connection, place)
        if snapshot.checkpoint is not None:
            checkpoints.put(connection, place, snapshot.checkpoint)
        return stamp(before.until) if before and before.until else None

    def _make_sure(self, connection: Connection, size: int, *, essential: bool) -> None:
        self._fitting -= size
        if self._fitting >= 0 and not essential:
            return
        used, lack = self._lack(connection, size, essential=essential)
        while lack and kept.drop_oldest(connection):
            used, lack = self._lack(connection, size, essential=essential)
        if lack:
            raise OutboxFull(lack)
        self._fitting = self._store.room.certain(self._store.directory, used + size)

    def _lack(self, connection: Connection, size: int, *, essential: bool = False) -> tuple[int, str | None]:
        """The bytes used, and why there is no room for `size` more."""
        used, unused = connection.execute(sql.USED).fetchone()
        return used, self._store.room.lack(self._store.directory, used, unused, size, essential=essential)

    def lack(self) -> str | None:
        """Why nothing more can be queued; None where something can."""
        return self._store.read(lambda connection: self._lack(connection, 1)[1])

    def checkpoint(self, collector: str, evidence_type: str, target: str) -> Checkpoint | None:
        return self._store.read(lambda connection: checkpoints.get(connection, (collector, evidence_type, target)))

    # ── delivering ──

    def reclaim(self) -> int:
        """Makes pending again what a deliverer that ended had in flight: nobody knows whether it arrived."""
        return self._store.write(lambda connection: connection.execute(sql.RECLAIM).rowcount, delivers=True)

    def claim(self, limit: int, *, now: float, token: str | None = None) -> list[Claimed]:
        """Up to `limit` items that are due, now in flight, with the `token` of this fingerprint.

        Oldest first; but where what is due has waited for long, every other one is of the freshest.
        """
        if self.next_due() is None:
            return []
        return self._store.write(lambda connection: claim(connection, limit, now=now, token=token), delivers=True)

    def settle(self, settlements: Iterable[Settlement], *, now: float) -> None:
        """Writes down what became of items in flight: in one transaction, or one by one on a disk that is full."""
        told = list(settlements)

        def settle_each(connection: Connection) -> None:
            kept.forget(connection, before=now - self._keep_bodies)
            for settlement in told:
                if isinstance(settlement, Accept) and self._keep_bodies:
                    self._keep(connection, settlement.item_id, now)
                settle(connection, settlement, now=now)

        try:
            self._store.write(settle_each, delivers=True)
        except DiskFull:  # a receipt at a time, and each body that goes makes room for more
            if len(told) == 1:
                raise
            for one in told:
                self.settle([one], now=now)

    def _keep(self, connection: Connection, item_id: int, now: float) -> None:
        """Keeps a body, unless there is no room: a full disk empties by what is accepted."""
        (size,) = connection.execute(kept.SIZE, (item_id,)).fetchone()
        _, lack = self._lack(connection, size)
        if not lack:
            kept.keep(connection, item_id, now=now)

    def forget_bodies(self, *, before: float) -> int:
        """Forgets the kept bodies of what was accepted before an instant, in seconds since the epoch; how many."""
        forgotten = 0
        while some := self._store.write(partial(kept.forget, before=before), delivers=True):
            forgotten += some
        return forgotten

    def audit(self) -> None:
        """Has the database mended where its indexes do not know of all items: what is not known is never sent."""
        self._store.read(_audit)

    def tidy(self) -> bool:
        """Gives back room, and makes sure of what is owed; whether there is more to do. For idle moments."""
        is_more = self._store.tidy()
        if not is_more:
            self.audit()
        return is_more

    # ── holding ──

    def set_hold(self, status: int | None, reason: str, *, now: float) -> None:
        self._store.write(lambda connection: connection.execute(sql.SET_HOLD, (status, reason, now)), delivers=True)

    def lift_hold(self) -> None:
        self._store.write(lambda connection: connection.execute("DELETE FROM hold"), delivers=True)

    def hold(self) -> Hold | None:
        row = self._row("SELECT status, reason, since FROM hold")
        return Hold(**row) if row else None

    def see_token(self, fingerprint: str, *, now: float) -> float:
        """When a token was first used here, which is now if it never was."""
        known = self.token_seen(fingerprint)
        if known is None:
            self._store.write(lambda connection: connection.execute(sql.SEE_TOKEN, (fingerprint, now)), delivers=True)
        return now if known is None else known

    def token_seen(self, fingerprint: str) -> float | None:
        """When a token was first used here, in seconds since the epoch; None where it never was."""
        row = self._row(sql.TOKEN, fingerprint)
        return row["first_seen"] if row else None

    # ── looking ──

    def next_due(self) -> float | None:
        """When the next item may be sent, in seconds since the epoch; None where nothing is owed."""
        due: float | None = self._number(sql.NEXT_DUE)
        return due

    def counts(self) -> dict[State, Count]:
        """Of all states; this looks at every item."""
        rows = self._store.read(lambda connection: connection.execute(sql.COUNTS).fetchall())
        return {row["state"]: Count(row["items"], row["bytes"], row["oldest"]) for row in rows}

    def last_queued(self) -> dict[tuple[str, str], float]:
        """When something of each collector and evidence type was queued last, of all that was not accepted.

        This looks at every item.
        """
        rows = self._store.read(lambda connection: connection.execute(sql.LAST_QUEUED).fetchall())
        return {(row["collector"], row["evidence_type"]): row["at"] for row in rows}

    def kin(self, item: Item, evidence_ids: Iterable[str], *, in_seconds: bool = False) -> Kin:
        """What is known of the evidence that the item's control shows, given by its ids.

        `in_seconds`: it shows instants no finer than that, so that all items of a second look alike.
        """
        wanted, digits = list(evidence_ids), _SECOND if in_seconds else _INSTANT
        return self._store.read(lambda connection: _kin(connection, item, wanted, digits))

    def owed(self) -> int:
        """How many items may still be accepted."""
        number: int = self._number(sql.COUNT_OWED) + self.count("in_flight")
        return number

    def count(self, state: State) -> int:
        """How many items are in flight, rejected or discarded."""
        number: int = self._number(sql.COUNT_IN, state)
        return number

    def doubtful(self) -> int:
        """How many items may have arrived; this looks at every item."""
        number: int = self._number(sql.COUNT_UNSURE)
        return number

    def keys(self) -> Iterator[str]:
        """The Idempotency-Keys of all items that may still be accepted; page by page, so that memory stays flat."""
        after = 0
        while rows := self._store.read(partial(_keys, after)):
            yield from (row["key"] for row in rows)
            after = rows[-1]["id"]

    def is_lost(self, item_id: int) -> bool:
        """Whether an item is among the losses."""
        return bool(self._number(sql.IS_LOST, item_id))

    def losses(self) -> list[Loss]:
        """What was queued and is gone, as it was found out."""
        rows = self._store.read(lambda connection: connection.execute(sql.LOSSES).fetchall())
        return [Loss(**row) for row in rows]

    def items(self, states: Sequence[State] = (), *, limit: int | None = None) -> Iterator[Item]:
        """Items by id, without their bodies; page by page, so that memory stays flat."""
        last, left = 0, limit
        while left is None or left > 0:
            page = min(500, left) if left is not None else 500
            rows = self._page(states, last, page)
            yield from (item_of(row) for row in rows)
            if len(rows) < page:
                return
            last = rows[-1]["id"]
            left = left - page if left is not None else None

    def _page(self, states: Sequence[State], after: int, size: int) -> list[Row]:
        among = f"AND state IN ({', '.join('?' * len(states))})" if states else ""
        statement = f"SELECT * FROM item WHERE id > ? {among} ORDER BY id LIMIT ?"  # noqa: S608 only question marks
        return self._store.read(lambda connection: connection.execute(statement, (after, *states, size)).fetchall())

    def item(self, item_id: int) -> Item:
        """Raises UnknownItem."""
        row = self._row(sql.ITEM, item_id)
        if row is None:
            raise UnknownItem(item_id)
        return item_of(row)

    def body(self, item_id: int) -> bytes | None:
        """The request body as it is sent; None once it is gone, or where it is damaged."""
        row = self._row(sql.CLAIMED, item_id)
        return body_of(row) if row else None

    def _row(self, statement: str, *values: object) -> Row | None:
        row: Row | None = self._store.read(lambda connection: connection.execute(statement, values).fetchone())
        return row

    def _number(self, statement: str, *values: object) -> Any:
        return self._store.read(lambda connection: connection.execute(statement, values).fetchone()[0])

    # ── operating ──

    def retry(self, item_ids: Iterable[int], *, now: float, renewed: bool = False) -> int:
        """Makes rejected and deferred items due now, with another key if `renewed`; how many there were.

        One that may have arrived is looked up first, and sent under its new key unless it is there.
        """
        rows = [{"id": item_id, "now": now, "renewed": renewed} for item_id in item_ids]
        return self._store.write(lambda connection: connection.executemany(sql.RETRY, rows).rowcount)

    def discard(self, item_id: int) -> None:
        """Gives an item up for good: its body goes, its row stays and says so. Raises UnknownItem and BeingSent."""
        item = self.item(item_id)

        def discard(connection: Connection) -> None:
            if not connection.execute(sql.DISCARD, (item.id,)).rowcount:
                raise BeingSent(item_id)
            connection.execute(sql.DELETE_BODY, (item_id,))

        self._store.write(discard, delivers=True)

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


def _row(snapshot: _Snapshot, piece: Evidence, since: str | None) -> tuple[Any, ...]:
    """An item's columns behind its number."""
    return (
        hashlib.sha256(piece.body).digest(), snapshot.collector, piece.evidence_type, piece.source, snapshot.target,
        piece.control_id, piece.snapshot_id, piece.part, piece.parts, piece.records, piece.gaps,
        stamp(piece.collected_at), len(piece.body), since, snapshot.now, snapshot.now,
    )  # fmt: skip


def _keys(after: int, connection: Connection) -> list[Row]:
    return connection.execute(sql.KEYS, (after,)).fetchall()


def _kin(connection: Connection, item: Item, evidence_ids: Iterable[str], digits: int) -> Kin:
    rows = ((each, connection.execute(sql.RECEIPT, (each,)).fetchone()) for each in evidence_ids)
    receipts = {each: row["accepted_at"] for each, row in rows if row}
    twins = connection.execute(sql.TWINS, {**vars(item), "digits": digits}).fetchall()
    return Kin(receipts, {twin["id"]: twin["unsure_since"] for twin in twins})


def _audit(connection: Connection) -> None:
    one, other, both = (
        connection.execute(statement).fetchone()[0] for statement in (sql.COUNT_OWED, sql.COUNT_OTHER, sql.COUNT_ALL)
    )
    if one + other != both:
        raise Damaged("its indexes do not know of all items")
