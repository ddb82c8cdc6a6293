"""The agent's durable state: one SQLite database in the state directory.

Every process of the agent on this machine may open it. Writers take turns through a file lock that also covers
SQLite's checkpoints, because SQLite before 3.51.3 can lose a commit when two connections meet at a WAL reset.
`synchronous=FULL` makes a commit survive a power cut. What is damaged is mended when it is found, and what was asked
for then is done again.
"""

import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog

from agent import database
from agent.database import DATABASE, Damaged, trouble
from agent.filesystem import shared_kind
from agent.group import Task, no_mark
from agent.mark import Mark, Put
from agent.private import make_private
from agent.room import Ballast, Room
from agent.salvage import finish, is_unfinished, salvage
from agent.turns import Turns

log = structlog.get_logger()

T = TypeVar("T")

_TRIES = 3  # of one thing that is asked for, with something mended in between
_VACUUMED = 2000  # pages given back at once
_WORTH_IT = 200  # unused pages from which on they are given back


class StateUnusable(Exception):
    """The state directory or its database cannot be used."""

    remedy = "let the agent's user write there, or set another state_dir"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be used: {reason}")
        self.path = path
        self.reason = reason


class StateBroken(StateUnusable):
    """The disk failed in the middle of a write. What it has of it only the next start can find out."""

    remedy = "start the agent again: it finds out what the disk has; if it stays, the disk is broken"


class StateNewer(StateUnusable):
    """A newer agent made the database; it is left as it is."""

    remedy = "upgrade this one"


class DiskFull(StateUnusable):
    """There is no room left for a write, not even where the ballast was."""

    remedy = "make room on its disk; nothing that was queued is lost"


class Store:
    """An open state directory. Safe over threads; one connection, used by one thread at a time.

    Work that is given to `read` or `write` is run again where the database had to be mended or room to be made
    meanwhile. What it raises itself goes to its caller; what keeps it from being done raises StateUnusable.
    """

    def __init__(self, directory: Path, room: Room | None = None) -> None:
        """Opens the database, and creates, mends or migrates it. Raises StateUnusable."""
        self.directory = directory
        self.room = room or Room()
        self._path = directory / DATABASE
        self._turn = threading.RLock()
        self._waiting: deque[Task[Any]] = deque()
        self._broken: StateBroken | None = None
        self._is_closed = False
        self.mending_at = 0.0
        """When it last got on with mending the database, in monotonic seconds; 0 while there is nothing to mend."""
        self._mark = Mark(directory)
        self._ballast = Ballast(directory)
        try:
            make_private(directory)
            self._turns = Turns(directory)
            try:
                self._open()
            except BaseException:
                self._turns.close()
                raise
        except OSError as error:
            raise StateUnusable(Path(error.filename or self._path), error.strerror or str(error)) from error
        except sqlite3.Error as error:
            raise StateUnusable(self._path, str(error)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Once more does nothing."""
        with self._turn:
            if self._is_closed:
                return
            with self._turns.exclusively():  # the last connection to close writes a checkpoint
                with suppress(OSError):
                    self._mark.sync()
                self._connection.close()
            self._is_closed = True
            self._mark.close()
            self._turns.close()

    # ── reading and writing ──

    def write(
        self,
        work: Callable[[sqlite3.Connection], T],
        mark: Callable[[T], Put | None] = no_mark,
        *,
        delivers: bool = False,
    ) -> T:
        """What `work` comes to: all of it is durable then, or none of it happened.

        What several threads write at the same time is committed together. `mark` makes of it what the mark tells.
        What `delivers` makes room in the end, so on a full disk it may use what is kept back for that.
        """
        task = Task(work, mark, delivers=delivers)
        self._waiting.append(task)
        with self._turn:
            if not task.is_done:
                self._write_waiting()
        return task.outcome()

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` comes to, with one consistent state before it."""
        with self._turn:
            return self._insisting(lambda: self._read(work))

    def tidy(self) -> bool:
        """Gives back some of what the disk can have again; whether there is more. For idle moments."""
        with self._turn:
            is_more = self._vacuum_what_fits()
            if not is_more:
                self._empty_log()  # what was settled long ago does not depend on the log
                with suppress(OSError):
                    self._mark.sync()
                self._ballast.restore()
            return is_more

    def forget(self, up_to: int) -> None:
        """Nobody will miss the items up to this number."""
        with self._turn, self._turns.exclusively(), suppress(OSError):
            self._mark.forget(up_to)

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._turns.exclusively() if self.shared_kind else nullcontext():
            self._follow()
            self._connection.execute("BEGIN")
            try:
                return work(self._connection)
            finally:
                self._connection.rollback()

    def _write_waiting(self) -> None:
        tasks: list[Task[Any]] = []
        while self._waiting:
            tasks.append(self._waiting.popleft())
        self._write_each(tasks)

    def _write_each(self, tasks: Sequence[Task[Any]]) -> None:
        """All of them at once; or, where that does not fit on the disk, those first that deliver."""
        try:
            self._insisting(lambda: self._commit(tasks), delivers=all(task.delivers for task in tasks))
        except DiskFull as error:
            if len(tasks) > 1:
                for task in sorted(tasks, key=lambda task: not task.delivers):
                    self._write_each([task])
            else:
                tasks[0].fail(error)
        except Exception as error:  # around these jobs: whoever waits for one gets to know
            for task in tasks:
                task.fail(error)
        except BaseException:
            self._waiting.extend(tasks)  # only this thread was interrupted
            raise

    def _commit(self, tasks: Sequence[Task[Any]]) -> None:
        try:
            self._commit_all(tasks, Task.run)
        except Exception as error:  # around these jobs: where one of several fails, the others' are done without it
            if len(tasks) == 1 or trouble(error):
                raise
            self._commit_all(tasks, Task.run_apart)
        for task in tasks:
            task.is_done = True

    def _commit_all(self, tasks: Sequence[Task[Any]], run: Callable[[Task[Any], sqlite3.Connection], None]) -> None:
        with self._turns.exclusively():
            self._catch_up()
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for task in tasks:
                    run(task, self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.rollback()
                raise
            self._mark.append([put for task in tasks for put in task.marks()])

    def _vacuum_what_fits(self) -> bool:
        for pages in (_VACUUMED, _WORTH_IT):
            with suppress(DiskFull):
                return self._insisting(partial(self._vacuum, pages))
        return False  # it can wait: what is unused is used again

    def _vacuum(self, pages: int) -> bool:
        with self._turns.exclusively():
            self._catch_up()
            unused: int = self._connection.execute("PRAGMA freelist_count").fetchone()[0]
            if unused >= _WORTH_IT:
                # As a script: Python's `execute` would stop after the first page.
                self._connection.executescript(f"PRAGMA incremental_vacuum({pages})")
            return unused - pages >= _WORTH_IT

    # ── trouble ──

    def _insisting(self, run: Callable[[], T], *, delivers: bool = False) -> T:
        """What `run` comes to, once all that keeps it from being done is mended that can be."""
        if self._is_closed:
            raise StateUnusable(self._path, "it was closed")
        if self._broken:
            raise self._broken
        tried = 0
        while True:
            tried += 1
            try:
                return run()
            except (sqlite3.Error, Damaged) as error:
                self._mend(error, may_try=tried < _TRIES, delivers=delivers)

    def _mend(self, error: Exception, *, may_try: bool, delivers: bool) -> None:
        """Makes another try worth it, or raises."""
        match trouble(error):
            case "full" if self._make_room(delivers=delivers, may_try=may_try):
                pass
            case "full":
                raise DiskFull(self._path, "the disk is full") from error
            case "broken":
                self._broken = StateBroken(self._path, f"the disk failed while it was in use ({error})")
                raise self._broken from error
            case "busy":
                raise StateUnusable(self._path, "another program keeps it locked") from error
            case "damaged" if may_try:
                self._renew(str(error).partition(" with text ")[0])  # which would show what is in the row
            case "damaged":
                raise StateUnusable(self._path, f"it is damaged ({error}), and mending it did not help") from error
            case None:
                raise error

    def _make_room(self, *, delivers: bool, may_try: bool) -> bool:
        """Whether there was any to make: in the log, which may only be full of what is settled, and in the ballast."""
        if may_try and self._empty_log():
            return True
        if not self._ballast.give_up(delivers=delivers):
            return False
        log.warning("disk.full", remedy="make room: what is kept back for delivering is being used up")
        self._empty_log()  # which may ask for more of the database, too
        return True

    def _empty_log(self) -> bool:
        """Whether there was anything in it that could be moved into the database."""
        before = database.wal_size(self._path)
        with self._turns.exclusively(), suppress(sqlite3.Error):
            database.checkpoint(self._connection)
        return database.wal_size(self._path) < before

    def _renew(self, reason: str) -> None:
        """Mends the database, unless another process has."""
        with self._turns.exclusively():
            if not self._catch_up():
                self._ballast.give_up(delivers=True)
                try:
                    salvage(self.directory, f"the database was damaged: {reason}", self._get_on)
                except (OSError, sqlite3.Error) as error:
                    raise StateUnusable(self._path, f"it is damaged, and not mended: {error}") from error
                finally:
                    self.mending_at = 0.0
                self._ballast.restore()
            self._follow()

    def _get_on(self) -> None:
        self.mending_at = time.monotonic()

    def _is_replaced(self) -> bool:
        try:
            return os.stat(self._path).st_ino != self._inode  # noqa: PTH116 - half as dear as Path.stat, at each write
        except FileNotFoundError:
            return True

    def _catch_up(self) -> bool:
        """Whether it took up another database: the one that counts, also where whoever made it did not come to put it
        in its place.

        Whoever calls is alone at the database. What was written to the old one from then on would be lost.
        """
        try:
            if is_unfinished(self.directory):
                finish(self.directory)
        except OSError as error:
            raise StateUnusable(self._path, f"it was mended, and cannot be put in its place: {error}") from error
        return self._follow()

    def _follow(self) -> bool:
        """Whether it took up a database that another process has put in place. SQLite leaves its files alone."""
        is_replaced = self._is_replaced()
        if is_replaced:
            with self._turns.exclusively():  # a reader does not hold it yet
                self._connection.close()
                self._connect()
                database.configure(self._connection, shared=bool(self.shared_kind))
        return is_replaced

    # ── opening ──

    def _open(self) -> None:
        self.shared_kind = shared_kind(self.directory)
        if self.shared_kind:
            remedy = "none needed; a disk of this machine is faster, and keeps what a server may not"
            log.warning("store.shared", directory=str(self.directory), kind=self.shared_kind, remedy=remedy)
        with self._turns.exclusively():
            self._is_unseen = self._turns.arrive()
            if self._is_unseen:
                finish(self.directory)
                self._ballast.restore()
            self._connect()
            try:
                self._insisting(self._prepare)
            except BaseException:
                self._connection.close()
                raise

    def _connect(self) -> None:
        self._connection = database.connect(self._path)
        self._inode = self._path.stat().st_ino

    def _prepare(self) -> None:
        """Whoever comes first looks whether all is well."""
        is_first, self._is_unseen = self._is_unseen, False
        if is_first:
            database.examine_file(self._path)
        database.configure(self._connection, shared=bool(self.shared_kind))
        if database.is_newer(self._connection):
            raise StateNewer(self._path, "a newer agent made it")
        if is_first:
            database.examine(self._connection, self._path)
        database.prepare(self._connection)
        if is_first:
            self._look_back()

    def _look_back(self) -> None:
        """Finds out what an end that was not in order has left."""
        if self._mark.last() > database.highest(self._connection):
            raise Damaged("what was put last is missing")
        if database.wal_size(self._path):
            # The log may be in memory only, if it could not be flushed: it is written once more, and flushed.
            database.checkpoint(self._connection)
