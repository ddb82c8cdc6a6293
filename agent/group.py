"""What several threads want written at the same time, each for itself, and all of it in one transaction."""

from collections.abc import Callable
from sqlite3 import Connection
from typing import Any, Generic, TypeVar

from agent.database import trouble
from agent.mark import Put

T = TypeVar("T")


class Task(Generic[T]):
    """One piece of work, and what it came to."""

    def __init__(self, work: Callable[[Connection], T], mark: Callable[[T], Put | None], *, delivers: bool) -> None:
        self._work = work
        self._mark = mark
        self.delivers = delivers
        self._result: T
        self._error: Exception | None = None
        self.is_done = False

    def run(self, connection: Connection) -> None:
        """Inside a transaction, which what this raises is to end."""
        self._error = None
        self._result = self._work(connection)

    def run_apart(self, connection: Connection) -> None:
        """Inside a transaction. Where it fails nothing of it is left; raises what concerns the others, too."""
        self._error = None
        connection.execute("SAVEPOINT task")
        try:
            self._result = self._work(connection)
        except Exception as error:  # around this job: the others' are not to suffer
            if trouble(error):
                raise
            self._error = error
            connection.execute("ROLLBACK TO task")
        connection.execute("RELEASE task")

    def fail(self, error: Exception) -> None:
        self._error, self.is_done = error, True

    def outcome(self) -> T:
        """What the work came to; raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._result

    def marks(self) -> list[Put]:
        """What the mark is to tell of it."""
        put = None if self._error else self._mark(self._result)
        return [] if put is None else [put]


def no_mark(_result: Any) -> None:
    """Most work puts nothing."""
