"""What became of an item in flight, written down."""

from dataclasses import asdict, fields
from sqlite3 import Connection

from agent import sql
from agent.chain import ORIGIN, facts, link
from agent.evidence import stamp
from agent.items import Accept, Accepted, Defer, Lose, Piece, Reject, Release, Settlement
from agent.losses import lose_item


def settle(connection: Connection, settlement: Settlement, *, now: float) -> None:
    match settlement:
        case Accept(item_id, evidence_id, None) if connection.execute(sql.RECEIPT, (evidence_id,)).fetchone():
            # Found at its control, and another's by now: parts of a snapshot look alike there.
            connection.execute(sql.LOOK_AGAIN, (now, item_id))
        case Accept(item_id):
            _enter(connection, settlement, now)
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


def _enter(connection: Connection, accept: Accept, now: float) -> None:
    """Appends the receipt to the ledger."""
    item = connection.execute(sql.ITEM, (accept.item_id,)).fetchone()
    if item is None:
        return
    head = connection.execute(sql.HEAD).fetchone()
    entry = Accepted(
        **{each.name: item[each.name] for each in fields(Piece)},
        evidence_id=accept.evidence_id,
        created_at=stamp(accept.created_at) if accept.created_at else None,
        accepted_at=now,
        request_id=accept.request_id,
        seq=head["seq"] + 1 if head else 1,
        previous=head["link"] if head else ORIGIN,
        link="",
    )
    connection.execute(sql.PUT_RECEIPT, {**vars(entry), "link": link(facts(entry))})


def _answered(connection: Connection, settlement: Defer | Reject, now: float) -> None:
    state, due, renewed = "rejected", now, False
    if isinstance(settlement, Defer):
        state, due, renewed = "deferred", settlement.due, settlement.renewed
    told = {"id": settlement.item_id, "state": state, "due": due, "renewed": renewed, "now": now}
    connection.execute(sql.ANSWERED, {**told, "unsure_since": settlement.unsure_since, **asdict(settlement.answer)})
