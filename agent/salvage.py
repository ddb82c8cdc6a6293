"""A damaged database is set aside, and all that can be read of it carried over into a new one.

What cannot is told in the table `loss`: by name where the row, the body or the mark has one, by number otherwise.

    state.db, -wal            linked into damaged/<time>/, where they stay until somebody deletes them
    state.db.building         the new database while it is written
    state.db.new              the new database, whole and flushed: from here on it is the one that counts
    state.db                  the new database in its place
"""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from agent import checkpoints, schema
from agent.body import unpacked
from agent.database import DATABASE, configure, connect, highest, prepare
from agent.losses import lose_item, lose_numbers, lose_put
from agent.mark import Mark
from agent.pages import Pages
from agent.private import flush, hand_over, make_private
from agent.retell import retold

log = structlog.get_logger()

_BESIDE = ("-wal", "-shm", "-journal")
_FOLDER = "damaged"

# No row of one of them fits another: see `_carry`.
_CARRIED = ("item", "body", "ledger", "kept", "checkpoint", "loss", "run", "hold", "token", "event", "signal")
_ACCEPTED = "DELETE FROM item WHERE id IN (SELECT id FROM ledger)"
_SPENT = "DELETE FROM body WHERE id IN (SELECT id FROM ledger)"
_UNKNOWN = "DELETE FROM kept WHERE id NOT IN (SELECT id FROM ledger)"
_INTERRUPTED = "UPDATE item SET state = 'pending' WHERE state = 'in_flight'"
_ORPHANS = "SELECT id FROM body WHERE id NOT IN (SELECT id FROM item)"
_CONTENT = "SELECT content FROM body WHERE id = ?"
_BODILESS = """
    SELECT * FROM item WHERE state IN ('pending', 'deferred') AND id NOT IN (SELECT id FROM body)
"""
_KNOWN = """
    SELECT id, id FROM item WHERE id BETWEEN :first AND :last
    UNION ALL SELECT id, id FROM ledger WHERE id BETWEEN :first AND :last
    UNION ALL SELECT first_item, last_item FROM loss WHERE first_item <= :last AND last_item >= :first
    ORDER BY 1
"""


def finish(directory: Path) -> None:
    """Ends what was interrupted. Whoever calls holds the lock of the state, and opens it again. Raises OSError."""
    (directory / f"{DATABASE}.building").unlink(missing_ok=True)
    if is_unfinished(directory):
        _put_in_place(directory)


def is_unfinished(directory: Path) -> bool:
    """Whether there is a database that counts, and is not in its place."""
    return os.path.exists(f"{directory}/{DATABASE}.new")  # noqa: PTH110 - half as dear as Path.exists, at each write


def salvage(directory: Path, reason: str, got_on: Callable[[], object]) -> None:
    """Builds the database anew, which may take minutes: `got_on` is called with each row.

    Whoever calls holds the lock of the state, and opens it again. Raises OSError.
    """
    log.error("store.damaged", reason=reason, remedy="none needed: what can be read of it is carried over")
    aside = _set_aside(directory)
    building = directory / f"{DATABASE}.building"
    building.unlink(missing_ok=True)
    with closing(connect(building)) as connection:
        configure(connection, shared=True)
        connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA foreign_keys=OFF;")
        prepare(connection)
        connection.execute("BEGIN")
        counts = _Salvage(connection, aside, Mark(directory), reason, got_on).run()
        connection.execute("COMMIT")
    flush(building)
    building.rename(directory / f"{DATABASE}.new")
    flush(directory)
    _put_in_place(directory)
    log.warning("store.salvaged", damaged=str(aside), **counts)


def _set_aside(directory: Path) -> Path:
    """Links to the files as they are: what becomes of their names does not change them."""
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S.%fZ")
    aside = directory / _FOLDER / stamp
    make_private(directory / _FOLDER)
    make_private(aside)
    for name in (DATABASE, *(f"{DATABASE}{beside}" for beside in _BESIDE)):
        with suppress(FileNotFoundError):
            _keep(directory / name, aside / name)
    flush(aside)
    return aside


def _keep(file: Path, copy: Path) -> None:
    try:
        copy.hardlink_to(file)
    except FileNotFoundError:
        raise
    except OSError:  # the file system has no links, and each has its own way to say so
        shutil.copy2(file, copy)


def _put_in_place(directory: Path) -> None:
    for beside in _BESIDE:
        (directory / f"{DATABASE}{beside}").unlink(missing_ok=True)
    flush(directory)
    (directory / f"{DATABASE}.new").rename(directory / DATABASE)
    hand_over(directory / DATABASE)
    flush(directory)


class _Salvage:
    """Fills a new database from what an old one still tells."""

    def __init__(
        self, connection: sqlite3.Connection, aside: Path, mark: Mark, reason: str, got_on: Callable[[], object]
    ) -> None:
        self._connection = connection
        self._aside = aside
        self._mark = mark
        self._reason = reason
        self._got_on = got_on
        self._now = time.time()
        self._columns = {table: schema.columns(connection, table) for table in _CARRIED}
        self._insert = {
            table: f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608 our own names
            for table, names in self._columns.items()
        }

    def run(self) -> dict[str, int]:
        """What was carried over, and what was not."""
        unreadable = self._carry_over()
        told_before = self._count("loss")
        for statement in (_ACCEPTED, _SPENT, _UNKNOWN, _INTERRUPTED):
            self._connection.execute(statement)
        self._retell_orphans()
        checkpoints.drop_doubtful(self._connection)
        self._lose_bodiless()
        self._lose_missing()
        counts = {"items": self._count("item"), "receipts": self._count("ledger")}
        return {**counts, "losses": self._count("loss") - told_before, "unreadable": unreadable}

    def _carry_over(self) -> int:
        wal = self._aside / f"{DATABASE}-wal"
        with Pages(self._aside / DATABASE, wal, schema.PAGE_SIZE) as pages:
            for cell in pages.cells():
                self._got_on()
                self._carry(cell.rowid, cell.values)
            return pages.unreadable

    def _carry(self, rowid: int | None, values: Sequence[Any]) -> None:
        """A row goes into the table that takes it: its number of values, their types and its checks decide."""
        for table, names in self._columns.items():
            if len(names) == len(values) and (rowid is None) == (table == "checkpoint"):
                row = values if rowid is None else (rowid, *values[1:])
                with suppress(sqlite3.IntegrityError):
                    self._connection.execute(self._insert[table], row)

    def _retell_orphans(self) -> None:
        """A body whose item cannot be read says itself what it is."""
        for (item_id,) in self._connection.execute(_ORPHANS).fetchall():
            body = unpacked(self._connection.execute(_CONTENT, (item_id,)).fetchone()["content"])
            told = None if body is None else retold(item_id, body, now=self._now)
            if told is None:
                self._connection.execute("DELETE FROM body WHERE id = ?", (item_id,))
            else:
                self._connection.execute(self._insert["item"], [told[name] for name in self._columns["item"]])

    def _lose_bodiless(self) -> None:
        for row in self._connection.execute(_BODILESS).fetchall():
            lose_item(self._connection, row, self._reason, now=self._now)

    def _lose_missing(self) -> None:
        """Numbers that were given, and of which there is no row."""
        puts, forgotten = self._mark.read()
        last = max([highest(self._connection), *(put.last for put in puts)])
        for put in puts:
            lost = self._missing(max(put.first, forgotten + 1), put.last)
            lose_put(self._connection, put, lost, self._reason, now=self._now)
        lose_numbers(self._connection, self._missing(forgotten + 1, last), self._reason, now=self._now)

    def _missing(self, first: int, last: int) -> list[range]:
        """The numbers from one to another that neither an item, a receipt nor a loss has."""
        holes = []
        for begin, end in self._connection.execute(_KNOWN, {"first": first, "last": last}):
            if first < begin:
                holes.append(range(first, begin))
            first = max(first, end + 1)
        return [*holes, range(first, last + 1)] if first <= last else holes

    def _count(self, table: str) -> int:
        number: int = self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 our own names
        return number
