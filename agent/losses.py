"""What was queued and is gone: told by name where it has one, by number otherwise, and read anew at its source."""

from collections.abc import Iterable, Mapping, Sequence
from sqlite3 import Connection, Row

import structlog

from agent import checkpoints
from agent.mark import Put

log = structlog.get_logger()

_PUT = """
    INSERT INTO loss (found_at, reason, collector, evidence_type, target, control_id, snapshot_id, first_item,
                      last_item, items)
    VALUES (:found_at, :reason, :collector, :evidence_type, :target, :control_id, :snapshot_id, :first_item,
            :last_item, :items)
"""
_NAMELESS = dict.fromkeys(("collector", "evidence_type", "target", "control_id", "snapshot_id"))


def lose_item(connection: Connection, item: Row, reason: str, *, now: float) -> None:
    """Takes an item out of the outbox and into the account of losses."""
    place = (item["collector"], item["evidence_type"], item["target"])
    connection.execute("DELETE FROM body WHERE id = ?", (item["id"],))
    connection.execute("DELETE FROM item WHERE id = ?", (item["id"],))
    checkpoints.rewind(connection, place, item["since"], item["snapshot_id"])
    names = {name: item[name] for name in ("collector", "evidence_type", "target", "control_id", "snapshot_id")}
    _tell(connection, range(item["id"], item["id"] + 1), names, reason, now)


def lose_put(connection: Connection, put: Put, lost: Sequence[range], reason: str, *, now: float) -> None:
    """Tells of those items of a snapshot that no row is there of, if there are any."""
    names = {
        "collector": put.collector, "evidence_type": put.evidence_type, "target": put.target,
        "snapshot_id": put.snapshot_id,
    }  # fmt: skip
    if lost:
        checkpoints.rewind(connection, (put.collector, put.evidence_type, put.target), put.since, put.snapshot_id)
    for numbers in lost:
        _tell(connection, numbers, names, reason, now)


def lose_numbers(connection: Connection, lost: Iterable[range], reason: str, *, now: float) -> None:
    """Tells of items of which nothing but the number is known."""
    for numbers in lost:
        _tell(connection, numbers, {}, reason, now)


def _tell(connection: Connection, numbers: range, names: Mapping[str, str], reason: str, now: float) -> None:
    told = {"first_item": numbers[0], "last_item": numbers[-1], "items": len(numbers)}
    connection.execute(_PUT, {**_NAMELESS, **names, **told, "found_at": now, "reason": reason})
    log.error("evidence.lost", **names, **told, reason=reason)
