"""The service's further schedules: what test policies want more often than the collector's own schedule has it."""

import socket
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from agent import connect, schedule
from agent.cadence import length, more_often
from agent.config import Loaded
from agent.ledger import Ledger
from agent.outbox import Outbox
from agent.overlap import Kinds
from agent.runs import Runs
from agent.store import Store
from agent.token import Token

Begin = Callable[[str, Kinds], None]

_NAMED = "policy "  # how the names of these jobs begin


class Policies:
    """Jobs of a scheduler, one for each collector and cadence. `begin` runs a collector for some evidence types."""

    def __init__(
        self, scheduler: AsyncIOScheduler, loaded: Callable[[], Loaded], store: Store, token: Token, begin: Begin
    ) -> None:
        self._scheduler = scheduler
        self._loaded = loaded
        self._store = store
        self._token = token
        self._begin = begin

    async def follow_soon(self) -> None:
        """As `follow`, for a scheduler that would run it in a thread otherwise."""
        self.follow()

    def follow(self) -> None:
        """Schedules as the controls, as they were last read, want it now.

        What was not read for longer than that is read at once.
        """
        wanted = {(name, word): kinds for name, words in self._wanted().items() for word, kinds in words.items()}
        names = {f"{_NAMED}{name} {word}" for name, word in wanted}
        for job in self._scheduler.get_jobs():
            if job.id.startswith(_NAMED) and job.id not in names:
                job.remove()
        fresh = [each for each in wanted if not self._scheduler.get_job(f"{_NAMED}{each[0]} {each[1]}")]
        last = self._last_read() if fresh else {}
        for name, word in fresh:
            self._add(name, word)
            kinds = wanted[name, word]
            if _is_overdue(word, min(last.get((name, kind.id), 0.0) for kind in kinds)):
                self._begin(name, kinds)

    def _add(self, name: str, word: str) -> None:
        zone = self._loaded().collectors[name].common.timezone
        due = schedule.trigger(f"{name} {word}", word, zone, host=socket.gethostname())
        self._scheduler.add_job(
            self._run, due, [name, word], id=f"{_NAMED}{name} {word}", misfire_grace_time=None, coalesce=True
        )

    async def _run(self, name: str, word: str) -> None:
        """What is wanted so often by now."""
        if kinds := self._wanted().get(name, {}).get(word):
            self._begin(name, kinds)

    def _wanted(self) -> dict[str, Mapping[str, Kinds]]:
        """By collector, and by how often."""
        controls, _ = connect.control_map(self._loaded(), self._token, refresh=False)
        now = datetime.now(UTC)
        return {each.name: more_often(each.types, controls, each.due, now) for each in self._loaded().enabled}

    def _last_read(self) -> dict[tuple[str, str], float]:
        """When each collector read each of its types last, whether or not that was delivered yet."""
        accepted, queued = dict[tuple[str, str], float](), Outbox(self._store).last_queued()
        for each in Ledger(self._store).latest():
            place = (each.collector, each.evidence_type)
            accepted[place] = max(each.collected.timestamp(), accepted.get(place, 0.0))
        found = {}
        for collector in self._loaded().enabled:
            run = Runs(self._store).latest(collector.name, finished=True)
            for kind in collector.types:
                place = (collector.name, kind.id)
                own = (accepted.get(place, 0.0), queued.get(place, 0.0))
                found[place] = max(*own, run.started_at if run else 0.0)
        return found


def _is_overdue(word: str, last: float) -> bool:
    longest = length(word)
    return longest is not None and time.time() - last > longest.total_seconds()
