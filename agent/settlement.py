"""What became of an item in flight, written down."""

from dataclasses import asdict
from sqlite3 import Connection

from agent import sql
from agent.evidence import stamp
from agent.items import Accept, Defer, Lose, Reject, Release, Settlement
from agent.losses import lose_item


def settle(connection: Connection, settlement: Settlement, *, now: float) -> None:
    match settlement:
        case Accept(item_id, evidence_id, created_at, request_id):
            created = stamp(created_at) if created_at else None
            connection.execute(sql.PUT_RECEIPT, (evidence_id, created, now, request_id, item_id))
            connection.execute(sql.DELETE_BODY, (item_id,))
            connection.execute(sql.DELETE_ITEM, (item_id,))
        case Defer() | Reject():
            _answered(connection, settlement, now)
        case Release(item_id, due, unsure_since):
            connection.execute(sql.RELEASE, (due, unsure_since, item_id))
        case Lose(item_id, reason):
            row = connection.execute(sql.ITEM, (item_id,)).fetchone()
            if row:
                lose_item(connection, row, reason, now=now)


def _answered(connection: Connection, settlement: Defer | Reject, now: float) -> None:
    state, due, renewed = "rejected", now, False
    if isinstance(settlement, Defer):
        state, due, renewed = "deferred", settlement.due, settlement.renewed
    told = {"id": settlement.item_id, "state": state, "due": due, "renewed": renewed, "now": now}
    connection.execute(sql.ANSWERED, {**told, "unsure_since": settlement.unsure_since, **asdict(settlement.answer)})
