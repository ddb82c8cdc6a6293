"""When each collector ran, and how it went."""

from dataclasses import dataclass

from agent.report import Outcome
from agent.store import Store

START = "INSERT INTO run (collector, started_at) VALUES (?, ?)"
FINISH = """
    UPDATE run SET finished_at = ?, outcome = ?, snapshots = ?, records = ?, gaps = ?, items = ?, message = ?
    WHERE id = ?
"""
LATEST = "SELECT * FROM run WHERE collector = ? ORDER BY id DESC LIMIT 1"
LATEST_FINISHED = "SELECT * FROM run WHERE collector = ? AND finished_at IS NOT NULL ORDER BY id DESC LIMIT 1"
LAST_SUCCESS = "SELECT max(finished_at) FROM run WHERE collector = ? AND outcome = 'complete'"
RECENT = "SELECT * FROM run ORDER BY id DESC LIMIT ?"
PRUNE = "DELETE FROM run WHERE started_at < ?"


@dataclass(frozen=True)
class CollectorRun:
    """One run of one collector. Instants are seconds since the epoch; one that was cut short has no end."""

    id: int
    collector: str
    started_at: float
    finished_at: float | None
    outcome: Outcome | None
    snapshots: int
    records: int
    gaps: int
    items: int
    message: str | None


class Runs:
    """The runs of one state directory."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def start(self, collector: str, *, now: float) -> int:
        return self._store.write(lambda connection: connection.execute(START, (collector, now)).lastrowid or 0)

    def finish(
        self,
        run_id: int,
        outcome: Outcome,
        *,
        now: float,
        snapshots: int,
        records: int,
        gaps: int,
        items: int,
        message: str | None,
    ) -> None:
        row = (now, outcome, snapshots, records, gaps, items, message, run_id)
        self._store.write(lambda connection: connection.execute(FINISH, row))

    def latest(self, collector: str, *, finished: bool = False) -> CollectorRun | None:
        """The last run that started, or the last that came to its end."""
        statement = LATEST_FINISHED if finished else LATEST
        row = self._store.read(lambda connection: connection.execute(statement, (collector,)).fetchone())
        return CollectorRun(**row) if row else None

    def recent(self, limit: int) -> list[CollectorRun]:
        """The last runs of all collectors, latest first."""
        rows = self._store.read(lambda connection: connection.execute(RECENT, (limit,)).fetchall())
        return [CollectorRun(**row) for row in rows]

    def last_success(self, collector: str) -> float | None:
        """When the last run that left no gap ended."""
        found: float | None = self._store.read(
            lambda connection: connection.execute(LAST_SUCCESS, (collector,)).fetchone()[0]
        )
        return found

    def prune(self, *, before: float) -> int:
        return self._store.write(lambda connection: connection.execute(PRUNE, (before,)).rowcount)
