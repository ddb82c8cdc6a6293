"""The service's collections: when each is due, one at a time of each collector, and what is made up for."""

import asyncio
import threading
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from agent import connect, schedule
from agent.config import Collector, ConfigurationInvalid, Loaded
from agent.controls import ControlMap
from agent.errors import ChequrError, TokenRefused
from agent.event_loop import in_own_thread
from agent.lock import Locked
from agent.overlap import Ending, Kinds, rest, together
from agent.report import Report
from agent.run import run_collector
from agent.runs import Runs
from agent.store import StateBroken, StateNewer, StateUnusable, Store
from agent.token import Token
from collectors.contract import Cancelled

log = structlog.get_logger()

_POSTPONED = 60.0  # seconds before a collector that could not run as yet tries again


class Collecting:
    """Runs of collectors, in threads, until they are `cancelled`; all else here runs on the event loop.

    `observe` is told of each report and how many seconds it took, `broken` of a disk that failed.
    """

    def __init__(
        self,
        loaded: Callable[[], Loaded],
        store: Store,
        token: Token,
        *,
        scheduler: AsyncIOScheduler,
        cancelled: threading.Event,
        observe: Callable[[Report, float], None],
        broken: Callable[[StateBroken], None],
    ) -> None:
        self._loaded = loaded
        self._store = store
        self._token = token
        self._scheduler = scheduler
        self._cancelled = cancelled
        self._observe = observe
        self._broken = broken
        self._tasks: dict[str, asyncio.Task[Ending]] = {}
        self._kinds: dict[str, Kinds | None] = {}
        self._afterwards: dict[str, Kinds | None] = {}
        self._postponed: dict[str, Kinds | None] = {}

    @property
    def under_way(self) -> Collection[str]:
        """The collectors that are at work now."""
        return self._tasks.keys()

    async def ended(self) -> None:
        """Returns once what is under way is over."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def schedule(self) -> None:
        """Schedules all collectors. A run that was missed while nobody was here, or never was, is made up once, now."""
        self._afterwards.clear()
        for collector in self._loaded().enabled:
            self._make_up(collector)
            self._scheduler.add_job(
                self._start, collector.due, [collector.name], id=f"collector {collector.name}", misfire_grace_time=None,
                coalesce=True,
            )  # fmt: skip
        for name in self._postponed:  # the scheduler has lost its job with the others
            self._start_soon(name)

    def _make_up(self, collector: Collector) -> None:
        try:
            if self._is_missed(collector):
                self.begin(collector.name)
        except StateBroken as error:
            self._broken(error)
        except StateUnusable as error:  # the schedules of the others are not to suffer
            self._start_later(collector.name, None, str(error))

    def _is_missed(self, collector: Collector) -> bool:
        last = Runs(self._store).latest(collector.name, finished=True)
        started = datetime.fromtimestamp(last.started_at, UTC) if last else None
        return schedule.is_missed(collector.due, started, datetime.now(UTC))

    async def _start(self, name: str) -> None:
        """A job that ends at once: the scheduler would cancel what it waits for, where it is shut down."""
        self.begin(name)

    async def _start_again(self, name: str) -> None:
        """What was put off. A run of all types only where another process has not made up for it."""
        collector = self._enabled(name)
        try:
            is_some = self._postponed.get(name, ()) is not None
            wanted = is_some or (collector is not None and await asyncio.to_thread(self._is_missed, collector))
        except StateBroken as error:
            self._broken(error)
            return
        except StateUnusable as error:
            self._start_later(name, None, str(error))
            return
        types = self._postponed.pop(name, ())
        collector = self._enabled(name)  # a reload may have come meanwhile
        if collector is None or not wanted or self._cancelled.is_set():
            return
        left = types if types is None else [kind for kind in types if kind in collector.types]
        if left is None or left:
            self.begin(name, left)

    def _enabled(self, name: str) -> Collector | None:
        """None where a reload has disabled or removed it."""
        return next((collector for collector in self._loaded().enabled if collector.name == name), None)

    async def collect(self, name: str, types: Kinds) -> Ending:
        """Collects some evidence types, once what the collector is at is over."""
        while under_way := self._tasks.get(name):
            await asyncio.wait({under_way})
        if self._cancelled.is_set() or self._enabled(name) is None:
            return "put off"
        self._begin(name, types, makes_up=False)
        return await self._tasks[name]

    def begin(self, name: str, types: Kinds | None = None) -> None:
        """Where the collector is at work, what that run leaves is begun behind it. What is put off is made up for."""
        self._begin(name, types, makes_up=True)

    def _begin(self, name: str, types: Kinds | None, *, makes_up: bool) -> None:
        if name in self._tasks:
            left = rest(types, self._kinds[name])
            self._afterwards[name] = together(self._afterwards.get(name, ()), left)
            then = "it begins when that is over" if left is None or left else "that one reads the same"
            log.info("collector.busy", collector=name, reason=f"its last run is still under way; {then}")
            return
        run = self._run_once(self._loaded().collectors[name], types, makes_up=makes_up)
        task = asyncio.get_running_loop().create_task(run)
        self._tasks[name], self._kinds[name] = task, types
        task.add_done_callback(lambda _: self._ended(name))

    def _ended(self, name: str) -> None:
        del self._tasks[name], self._kinds[name]
        types = self._afterwards.pop(name, ())
        if (types is None or types) and self._enabled(name) and not self._cancelled.is_set():
            self.begin(name, types)

    async def _run_once(self, collector: Collector, types: Kinds | None, *, makes_up: bool) -> Ending:
        try:
            await in_own_thread(self._run, collector, types)
        except Cancelled:
            log.info("collector.cancelled", collector=collector.name, remedy="it is made up at the next start")
            return "put off"
        except StateBroken as error:
            self._broken(error)
            return "put off"
        except StateNewer as error:
            log.error("collector.failed", collector=collector.name, reason=str(error), remedy=error.remedy)
        except (_NothingMapped, Locked, StateUnusable) as error:
            if makes_up:
                self._start_later(collector.name, types, str(error))
            return "put off"
        except ConfigurationInvalid as error:
            log.error("collector.unusable", collector=collector.name, problems=error.problems)
        except Exception:  # around this job: one broken collector must not end the agent
            log.exception("collector.failed", collector=collector.name)
        else:
            return "over"
        return "failed"

    def _start_later(self, name: str, types: Kinds | None, reason: str) -> None:
        if self._enabled(name) is None:
            return
        log.warning("collector.postponed", collector=name, again_in=_POSTPONED, reason=reason)
        self._postponed[name] = together(self._postponed.get(name, ()), types)
        self._start_soon(name)

    def _start_soon(self, name: str) -> None:
        again = datetime.now(UTC) + timedelta(seconds=_POSTPONED)
        self._scheduler.add_job(
            self._start_again, "date", [name], run_date=again, id=f"collector {name} again", replace_existing=True,
            misfire_grace_time=None,
        )  # fmt: skip

    def controls(self) -> ControlMap | None:
        """The mapping; None while it is not known."""
        controls, away = connect.control_map(self._loaded(), self._token)
        return None if away and controls.discovery is None else controls

    def _run(self, collector: Collector, types: Kinds | None) -> None:
        controls, away = connect.control_map(self._loaded(), self._token)
        if away and controls.discovery is None and _is_better_put_off(collector, controls, away):
            raise _NothingMapped(f"the controls were never read yet: {away}")
        begun = time.monotonic()
        report = run_collector(self._loaded(), self._store, collector, controls, cancelled=self._cancelled, types=types)
        self._observe(report, time.monotonic() - begun)


class _NothingMapped(Exception):
    """It is not known yet where evidence belongs: a run now would find nothing to do, and count as one."""


def _is_better_put_off(collector: Collector, controls: ControlMap, away: ChequrError) -> bool:
    """An API that is away comes back. One that refuses may do so for good: then what is mapped is collected."""
    mapped = [controls.has_place_for(kind) for kind in collector.types]
    refuses = isinstance(away, TokenRefused)
    return not all(mapped) and not (refuses and any(mapped))
