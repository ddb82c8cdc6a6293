"""What Chequr told by webhook: kept before it is acknowledged, acted upon once, then forgotten.

    received ──► waiting ──► done     evidence.collected   the signal is written beside the receipt
                                      control.drifted      fresh evidence was queued, or there is none to collect
                                      all others           the last of each subject stays as a fact

An event that comes again is known by its id, for longer than the API goes on sending it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from sqlite3 import Connection, Row
from typing import Any

from agent import told
from agent.store import Store
from agent.webhook import Event

RECEIVE = """
    INSERT INTO event (id, type, subject, created_at, received_at, data) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO NOTHING
"""
WAITING = "SELECT * FROM event WHERE done_at IS NULL AND (type <> 'control.drifted' OR subject IS NULL) LIMIT 500"
DRIFTED = """
    SELECT * FROM event WHERE done_at IS NULL AND type = 'control.drifted' AND subject IS NOT NULL ORDER BY number
"""
COUNT_WAITING = "SELECT count(*) FROM event WHERE done_at IS NULL"
DONE = "UPDATE event SET done_at = ?, outcome = ?, data = ? WHERE number = ?"
RECENT = "SELECT * FROM event ORDER BY number DESC LIMIT ?"
LAST_OF_EACH = """
    SELECT *, max(created_at) FROM event WHERE done_at IS NOT NULL AND data IS NOT NULL
    GROUP BY type, subject ORDER BY created_at DESC LIMIT 200
"""
PRUNE = f"""
    DELETE FROM event WHERE done_at IS NOT NULL AND received_at < ?
    AND number NOT IN (SELECT number FROM ({LAST_OF_EACH}))
"""  # noqa: S608 - a constant
SIGNAL = """
    INSERT INTO signal (evidence_id, signal, told_at, received_at) VALUES (?, ?, ?, ?)
    ON CONFLICT (evidence_id) DO UPDATE SET
    signal = excluded.signal, told_at = excluded.told_at, received_at = excluded.received_at
    WHERE excluded.told_at >= told_at
"""
SIGNAL_OF = "SELECT signal FROM signal WHERE evidence_id = ?"
_OURS = "EXISTS (SELECT 1 FROM ledger WHERE ledger.evidence_id = signal.evidence_id)"
SIGNALS = f"SELECT signal, count(*) FROM signal WHERE {_OURS} GROUP BY signal ORDER BY signal"  # noqa: S608
PRUNE_SIGNALS = f"DELETE FROM signal WHERE received_at < ? AND NOT {_OURS}"  # noqa: S608 - a constant


@dataclass(frozen=True)
class Received:
    """One event as it is kept. Instants are seconds since the epoch; one that waits has neither end nor outcome.

    `data` is all of it while it waits, and afterwards the plain facts of those that are kept as such.
    """

    number: int
    id: str
    type: str
    subject: str | None
    created_at: float
    received_at: float
    data: Mapping[str, Any] | None
    done_at: float | None
    outcome: str | None


class Events:
    """The events of one state directory."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def receive(self, event: Event, *, now: float) -> bool:
        """Keeps an event, durably; False where it was there already. Raises StateUnusable."""
        data = json.dumps(event.data)
        row = (event.id, event.type, told.subject(event), event.created_at.timestamp(), now, data)
        return self._store.write(lambda connection: connection.execute(RECEIVE, row).rowcount > 0)

    def note(self, *, now: float) -> int:
        """Acts upon all that wait, but for drifts; how many there were."""
        noted = 0
        while batch := self._store.write(lambda connection: _note(connection, now)):
            noted += batch
        return noted

    def drifted(self) -> list[Received]:
        """The drifts that wait, oldest first. Each has a subject: its control."""
        return self._select(DRIFTED)

    def done(self, outcomes: Mapping[int, str], *, now: float) -> None:
        """Nothing is to be done any more about the events of these numbers."""
        rows = [(now, outcome, None, number) for number, outcome in outcomes.items()]
        self._store.write(lambda connection: connection.executemany(DONE, rows))

    def waiting(self) -> int:
        number: int = self._store.read(lambda connection: connection.execute(COUNT_WAITING).fetchone()[0])
        return number

    def recent(self, limit: int) -> list[Received]:
        """The last events, latest first."""
        return self._select(RECENT, limit)

    def facts(self) -> list[Received]:
        """The last event of each type and subject that were told for information, latest first; 200 at most."""
        return self._select(LAST_OF_EACH)

    def signal(self, evidence_id: str) -> str | None:
        """What the API made of a piece of evidence; None where it has not told."""
        row = self._store.read(lambda connection: connection.execute(SIGNAL_OF, (evidence_id,)).fetchone())
        return row["signal"] if row else None

    def signals(self) -> dict[str, int]:
        """How many pieces of evidence with a receipt here the API told pass, fail or review of."""
        return {row[0]: row[1] for row in self._store.read(lambda connection: connection.execute(SIGNALS).fetchall())}

    def prune(self, *, before: float) -> int:
        """Forgets what was received before an instant and is done, but for facts; how many events there were."""
        return self._store.write(lambda connection: _prune(connection, before))

    def _select(self, statement: str, *values: object) -> list[Received]:
        rows = self._store.read(lambda connection: connection.execute(statement, values).fetchall())
        return [_received(row) for row in rows]


def _note(connection: Connection, now: float) -> int:
    rows = connection.execute(WAITING).fetchall()
    for row in rows:
        event = _received(row)
        outcome, facts = _noted(connection, event, now)
        connection.execute(DONE, (now, outcome, None if facts is None else json.dumps(facts), event.number))
    return len(rows)


def _noted(connection: Connection, event: Received, now: float) -> tuple[str, Mapping[str, Any] | None]:
    """What was done about it, and what is kept of it."""
    data = event.data or {}
    if event.type == told.COLLECTED:
        signal = told.signal(data)
        if not event.subject or not signal:
            return "names no evidence, or no result of its test", None
        connection.execute(SIGNAL, (event.subject, signal, event.created_at, now))
        return signal, None
    if event.type == told.DRIFTED:
        return "names no control", None
    return "noted", told.facts(data)


def _prune(connection: Connection, before: float) -> int:
    connection.execute(PRUNE_SIGNALS, (before,))
    return connection.execute(PRUNE, (before,)).rowcount


def _received(row: Row) -> Received:
    told: dict[str, Any] = {each.name: row[each.name] for each in fields(Received)}
    return Received(**{**told, "data": _data(row)})


def _data(row: Row) -> Mapping[str, Any] | None:
    """What cannot be read any more, as after damage, says nothing."""
    try:
        data = json.loads(row["data"] or "null")
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None
