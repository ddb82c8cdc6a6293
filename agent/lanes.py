"""What is sent next, in two lanes: today's evidence does not wait behind a backlog."""

from collections.abc import Iterable
from dataclasses import fields, replace
from sqlite3 import Connection, Row

from agent import sql
from agent.body import unpack
from agent.database import Damaged
from agent.items import Claimed, Item

# No answer asks for a longer wait than this: what is due later was dated by a clock that has since been set back.
_LONGEST_WAIT = 2 * 3600.0
_IN_HAND = 8_000_000  # bytes that are claimed at once
_LATE = 300.0  # seconds after which what is due waits for others: then half of the claims are for what is fresh
_FRESH = 86400.0  # seconds for which it is

_COLUMNS = tuple(field.name for field in fields(Item))


def claim(connection: Connection, limit: int, *, now: float, token: str | None) -> list[Claimed]:
    """Up to `limit` items that are due, now in flight; see Outbox.claim. Raises Damaged."""
    claimed = list(_held_in_hand(_each(connection, _due(connection, limit, now))))
    connection.executemany(sql.CLAIM, [(now, token, each.item.id) for each in claimed])
    return claimed


def _each(connection: Connection, item_ids: Iterable[int]) -> Iterable[Claimed]:
    for item_id in item_ids:
        row = connection.execute(sql.CLAIMED, (item_id,)).fetchone()
        if row is None:
            raise Damaged("its index knows of an item that is not there")
        yield Claimed(replace(item_of(row), state="in_flight", attempts=row["attempts"] + 1), body_of(row))


def _held_in_hand(claimed: Iterable[Claimed]) -> Iterable[Claimed]:
    """As many as memory is meant for, and one at least."""
    size = 0
    for each in claimed:
        size += each.item.size
        if size > max(_IN_HAND, each.item.size):
            return
        yield each


def _due(connection: Connection, limit: int, now: float) -> list[int]:
    """Oldest first; where those have waited for long, every other one is of the freshest."""
    rows = connection.execute(sql.OLDEST, (now, now + _LONGEST_WAIT, limit)).fetchall()
    oldest = [row["id"] for row in rows]
    if len(oldest) < limit or rows[0]["queued_at"] > now - _LATE:
        return oldest
    found = connection.execute(sql.FRESHEST, (now, now - _FRESH, (limit + 1) // 2)).fetchall()
    fresh = sorted(row["id"] for row in found)
    taken = [item_id for item_id in oldest if item_id not in fresh][: limit - len(fresh)]
    return fresh + taken


def item_of(row: Row) -> Item:
    return Item(**{name: row[name] for name in _COLUMNS})


def body_of(row: Row) -> bytes | None:
    """The body that an item was put with; None where it is gone or damaged."""
    content = row["content"]
    return None if content is None else unpack(content, expected=row["sha256"])
