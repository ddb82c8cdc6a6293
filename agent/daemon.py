"""The service: collects on schedule, delivers all the time, ends in order.

SIGTERM, SIGINT   no new work; what is being sent gets its answer, what is being read is made up at the next start
SIGHUP            the configuration and the token are read again; a bad configuration changes nothing

systemd hears that it is ready, reloading or stopping, how it stands, and that it lives: as long as both the scheduler
and the deliverer turn. One that is stuck is killed by its watchdog, which costs nothing that was queued.
"""

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from agent import connect, schedule
from agent.config import Collector, ConfigurationInvalid, Loaded
from agent.controls import ControlMap
from agent.deliver import Deliverer
from agent.errors import ChequrError
from agent.event_loop import in_own_thread
from agent.events import Events
from agent.inspection import Inspection
from agent.items import Item, Settlement
from agent.load import load
from agent.lock import Locked, lock
from agent.overlap import Kinds, rest, together
from agent.policies import Policies
from agent.reactions import Reactions
from agent.run import run_collector
from agent.runs import Runs
from agent.store import DiskFull, StateBroken, StateUnusable, Store
from agent.systemd import ServiceManager
from agent.upkeep import upkeep
from agent.vitals import Vitals
from agent.webhook_secret import secrets
from collectors.contract import Cancelled, EvidenceType

if TYPE_CHECKING:
    from agent.metrics import Metrics

log = structlog.get_logger()

_AGAIN = 5.0  # seconds before a deliverer that broke, say on a full disk, is started again
_POSTPONED = 60.0  # seconds before a collector whose controls could not be read looks again
_AT_START = ("state_dir", "chequr", "outbox", "delivery", "http", "webhooks", "log")  # what is looked at then only
_SOON = timedelta(minutes=1)  # after the start: one that is started anew each day keeps up, too


class Daemon:
    """One agent at work on one state directory. Everything here runs on the event loop; collections in threads."""

    def __init__(self, loaded: Loaded, store: Store) -> None:
        self._loaded = loaded
        self._store = store
        self._token = connect.token(loaded)
        self._cancelled = threading.Event()
        self._stopping = asyncio.Event()
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._collections: dict[str, asyncio.Task[bool]] = {}
        self._under_way: dict[str, Kinds] = {}
        self._afterwards: dict[str, Kinds] = {}
        self._deliverer: Deliverer | None = None
        self._broken: StateBroken | None = None
        self._manager = ServiceManager()
        self._vitals = Vitals(store, self._manager, self._turned_at)
        self._metrics: Metrics | None = None
        self._inspection = Inspection(lambda: self._loaded, store, self._token, self._cancelled)
        self._policies = Policies(self._scheduler, lambda: self._loaded, store, self._token, self._begin)
        self._events = Events(store)
        self._reactions = Reactions(lambda: self._loaded, self._events, self._controls, self._collect_now)

    async def run(self) -> None:
        """Until SIGTERM or SIGINT. Raises Locked where another agent delivers from this state directory.

        Also raises what delivering itself raises: an agent that cannot deliver does not look as if it did. That is
        StateBroken where the disk failed.
        """
        with lock(self._store.directory, "deliver"), self._listening(), self._receiving():
            loop = asyncio.get_running_loop()
            for number, react in self._signals().items():
                loop.add_signal_handler(number, react)
            self._scheduler.start()
            self._schedule()
            log.info("agent.started", collectors=[collector.name for collector in self._loaded.enabled])
            delivering = asyncio.create_task(self._deliver())
            stopping = asyncio.create_task(self._stopping.wait())
            self._manager.ready("Started.")
            telling = asyncio.create_task(self._vitals.tell(self._stopping, self._collections.keys()))
            inspecting = asyncio.create_task(self._inspection.run(self._stopping))
            reacting = asyncio.create_task(self._reactions.run(self._stopping))
            await asyncio.wait({delivering, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await self._end(delivering, inspecting, reacting)
            telling.cancel()

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Answers those who ask, where it is told to. Raises ConfigurationInvalid."""
        address = self._loaded.config.http.listen
        if address is None:
            yield
            return
        from agent.listen import listening
        from agent.metrics import Metrics
        from agent.page import Page

        self._metrics = Metrics(lambda: self._loaded, self._store, self._rate)
        vitals = self._vitals
        page = Page(lambda: self._loaded, self._store, vitals.stuck, self._rate)
        with listening(
            address, stuck=vitals.stuck, unready=vitals.unready, metrics=self._metrics.text, page=page.html
        ) as url:
            log.info("http.listening", url=url)
            yield

    @contextmanager
    def _receiving(self) -> Iterator[None]:
        """Takes webhooks, where it is told to. Raises ConfigurationInvalid."""
        webhooks = self._loaded.config.webhooks
        if webhooks.listen is None:
            yield
            return
        from agent.receiver import Receiver, receiving

        receiver = Receiver(self._events, lambda: secrets(webhooks.secret_file), self._reactions.arrived)
        with receiving(webhooks.listen, webhooks.url_path, receiver) as url:
            log.info("webhooks.listening", url=url)
            yield

    def _rate(self) -> float | None:
        return self._deliverer.rate if self._deliverer else None

    def _turned_at(self) -> float:
        return self._deliverer.turned_at if self._deliverer else 0.0

    def _signals(self) -> dict[signal.Signals, Callable[[], None]]:
        return {signal.SIGTERM: self.stop, signal.SIGINT: self.stop, signal.SIGHUP: self.reload}

    def stop(self) -> None:
        log.info("agent.stopping")
        self._cancelled.set()
        self._stopping.set()
        self._vitals.ending()
        if self._deliverer:
            self._deliverer.stop()

    def _break(self, error: StateBroken) -> None:
        """Ends: what the disk has of the state only the next start can find out."""
        self._broken = error
        self.stop()

    async def _end(self, delivering: asyncio.Task[None], *beside: asyncio.Task[None]) -> None:
        self._cancelled.set()
        self._stopping.set()
        self._scheduler.shutdown(wait=False)
        await asyncio.gather(delivering, *beside, *self._collections.values(), return_exceptions=True)
        if not self._broken:
            await asyncio.to_thread(self._keep_up)
        log.info("agent.stopped")
        if self._broken:
            raise self._broken
        delivering.result()

    def reload(self) -> None:
        self._manager.reloading()
        self._manager.ready(self._reload())

    def _reload(self) -> str:
        """What came of it."""
        try:
            self._token.renew()
        except ChequrError as error:
            log.error("token.unusable", reason=str(error))
        if self._deliverer:
            self._deliverer.probe()
        if self._loaded.path is None:
            return "The token was read again."
        try:
            fresh = load(self._loaded.path)
        except ConfigurationInvalid as error:
            log.error("configuration.refused", problems=error.problems, remedy="the old one stays in force")
            return "The new configuration was refused; the old one stays in force."
        changed = [key for key in _AT_START if getattr(fresh.config, key) != getattr(self._loaded.config, key)]
        if changed:
            log.warning("configuration.needs_restart", keys=changed, remedy="start the agent again")
        self._loaded = fresh
        self._schedule()
        log.info("configuration.reloaded", collectors=[collector.name for collector in fresh.enabled])
        return "The configuration was read again."

    # ── collecting ──

    def _schedule(self) -> None:
        """Replaces all schedules. A run that was missed while nobody was here, or never was, is made up once, now."""
        self._scheduler.remove_all_jobs()
        self._afterwards.clear()
        soon = datetime.now(UTC) + _SOON
        self._scheduler.add_job(
            self._keep_up, "interval", hours=24, next_run_time=soon, id="upkeep", misfire_grace_time=None
        )
        self._scheduler.add_job(
            self._vitals.beat, "interval", seconds=self._vitals.pulse, id="beat", misfire_grace_time=None, coalesce=True
        )
        runs, now = Runs(self._store), datetime.now(UTC)
        for collector in self._loaded.enabled:
            due = collector.due
            last = runs.latest(collector.name, finished=True)
            started = datetime.fromtimestamp(last.started_at, UTC) if last else None
            if schedule.is_missed(due, started, now):
                self._begin(collector.name)
            self._scheduler.add_job(
                self._start, due, [collector.name], id=f"collector {collector.name}", misfire_grace_time=None,
                coalesce=True,
            )  # fmt: skip
        self._policies.follow()
        self._scheduler.add_job(self._policies.follow_soon, "interval", minutes=10, id="policies")

    async def _start(self, name: str) -> None:
        """A job that ends at once: the scheduler would cancel what it waits for, where it is shut down."""
        self._begin(name)

    async def _collect_now(self, name: str, types: Sequence[EvidenceType[Any]]) -> bool:
        """Collects some evidence types, once what the collector is at is over; whether it came to its end."""
        while under_way := self._collections.get(name):
            await asyncio.wait({under_way})
        if self._stopping.is_set() or name not in self._loaded.collectors:
            return False
        self._begin(name, types)
        return await self._collections[name]

    def _begin(self, name: str, types: Kinds = None) -> None:
        """Where the collector is at work, what that run leaves is begun behind it."""
        if name in self._collections:
            left = rest(types, self._under_way[name])
            self._afterwards[name] = together(self._afterwards.get(name, ()), left)
            then = "it begins when that is over" if left is None or left else "that one reads the same"
            log.info("collector.busy", collector=name, reason=f"its last run is still under way; {then}")
            return
        task = asyncio.get_running_loop().create_task(self._collect(self._loaded.collectors[name], types))
        self._collections[name], self._under_way[name] = task, types
        task.add_done_callback(lambda _: self._ended(name))

    def _ended(self, name: str) -> None:
        del self._collections[name], self._under_way[name]
        types = self._afterwards.pop(name, ())
        if (types is None or types) and name in self._loaded.collectors and not self._stopping.is_set():
            self._begin(name, types)

    async def _collect(self, collector: Collector, types: Kinds) -> bool:
        """Whether the run came to its end, whatever that was. One of all types that did not is made up for."""
        try:
            await in_own_thread(self._run, collector, types)
        except (_NothingMapped, DiskFull) as error:
            if types is None:
                self._start_later(collector.name, str(error))
            return False
        except ConfigurationInvalid as error:
            log.error("collector.unusable", collector=collector.name, problems=error.problems)
        except Locked as error:
            log.warning("collector.busy", collector=collector.name, reason=str(error))
            return False
        except Cancelled:
            log.info("collector.cancelled", collector=collector.name, remedy="it is made up at the next start")
            return False
        except StateBroken as error:
            self._break(error)
            return False
        except Exception:  # around this job: one broken collector must not end the agent
            log.exception("collector.failed", collector=collector.name)
        return True

    def _start_later(self, name: str, reason: str) -> None:
        log.warning("collector.postponed", collector=name, again_in=_POSTPONED, reason=reason)
        again = datetime.now(UTC) + timedelta(seconds=_POSTPONED)
        self._scheduler.add_job(
            self._start, "date", [name], run_date=again, id=f"collector {name} again", replace_existing=True,
            misfire_grace_time=None,
        )  # fmt: skip

    def _controls(self) -> ControlMap | None:
        """The mapping; None while it is not known."""
        controls, away = connect.control_map(self._loaded, self._token)
        return None if away and controls.discovery is None else controls

    def _run(self, collector: Collector, types: Kinds) -> None:
        controls, away = connect.control_map(self._loaded, self._token)
        if away and controls.discovery is None and not all(map(controls.has_place_for, collector.types)):
            raise _NothingMapped(f"the controls were never read yet: {away}")
        begun = time.monotonic()
        report = run_collector(self._loaded, self._store, collector, controls, cancelled=self._cancelled, types=types)
        if self._metrics:
            self._metrics.collected(report, time.monotonic() - begun)

    # ── delivering ──

    async def _deliver(self) -> None:
        while not self._stopping.is_set():
            self._vitals.restarted()
            self._deliverer, client = connect.deliverer(self._loaded, self._store, self._token, self._settled)
            async with client:
                try:
                    await self._deliverer.run()
                except StateBroken:
                    raise
                except StateUnusable as error:
                    log.error("deliverer.failed", again_in=_AGAIN, reason=str(error), remedy=error.remedy)
                except Exception:  # around this job: what is owed stays owed
                    log.exception("deliverer.failed", again_in=_AGAIN)
            if not self._stopping.is_set():
                await asyncio.sleep(_AGAIN)

    def _settled(self, item: Item, settlement: Settlement) -> None:
        self._inspection.settled(item, settlement)
        if self._metrics:
            self._metrics.settled(item, settlement)

    def _keep_up(self) -> None:
        try:
            upkeep(self._loaded, self._store, now=time.time())
        except (OSError, StateUnusable) as error:
            log.error("upkeep.failed", reason=str(error), remedy="none needed if it passes: it is done again tomorrow")


class _NothingMapped(Exception):
    """It is not known yet where evidence belongs: a run now would find nothing to do, and count as one."""


def run(loaded: Loaded) -> None:
    """Runs the service in the foreground. Raises Locked and StateUnusable."""

    async def main(store: Store) -> None:
        await Daemon(loaded, store).run()

    with Store(loaded.config.state_dir, loaded.config.outbox.room) as store:
        asyncio.run(main(store))
