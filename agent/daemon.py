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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from agent import connect
from agent.collecting import Collecting
from agent.config import ConfigurationInvalid, Loaded
from agent.deliver import Deliverer
from agent.errors import ChequrError
from agent.events import Events
from agent.inspection import Inspection
from agent.items import Item, Settlement
from agent.load import load
from agent.lock import lock
from agent.policies import Policies
from agent.reactions import Reactions
from agent.store import StateBroken, StateUnusable, Store
from agent.systemd import ServiceManager
from agent.upkeep import upkeep
from agent.vitals import Vitals
from agent.webhook_secret import secrets

if TYPE_CHECKING:
    from agent.metrics import Metrics
    from agent.report import Report

log = structlog.get_logger()

_AGAIN = 5.0  # seconds before a deliverer that broke, say on a full disk, is started again
_AT_START = ("state_dir", "chequr", "outbox", "delivery", "http", "webhooks", "log")  # kept as they are until then
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
        self._deliverer: Deliverer | None = None
        self._broken: StateBroken | None = None
        self._manager = ServiceManager()
        self._vitals = Vitals(store, self._manager, self._turned_at)
        self._metrics: Metrics | None = None
        self._inspection = Inspection(lambda: self._loaded, store, self._token, self._cancelled)
        self._collecting = Collecting(
            lambda: self._loaded, store, self._token, scheduler=self._scheduler, cancelled=self._cancelled,
            observe=self._collected, broken=self._break,
        )  # fmt: skip
        self._policies = Policies(self._scheduler, lambda: self._loaded, store, self._token, self._collecting.begin)
        self._events = Events(store)
        self._reactions = Reactions(
            lambda: self._loaded, self._events, self._collecting.controls, self._collecting.collect
        )

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
            telling = asyncio.create_task(self._vitals.tell(self._stopping, self._collecting.under_way))
            inspecting = asyncio.create_task(self._inspection.run(self._stopping))
            reacting = asyncio.create_task(self._reactions.run(self._stopping))
            await asyncio.wait({delivering, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await self._end(delivering, inspecting, reacting)
            telling.cancel()

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Answers those who ask, where it is told to. Raises ConfigurationInvalid and OSError."""
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
        """Takes webhooks, where it is told to. Raises ConfigurationInvalid and OSError."""
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
        await asyncio.gather(delivering, *beside, self._collecting.ended(), return_exceptions=True)
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
        running = {key: getattr(self._loaded.config, key) for key in _AT_START}
        changed = [key for key, value in running.items() if getattr(fresh.config, key) != value]
        if changed:
            log.warning("configuration.needs_restart", keys=changed, remedy="start the agent again")
        self._loaded = Loaded(fresh.config.model_copy(update=running), fresh.collectors, fresh.path)
        self._schedule()
        log.info("configuration.reloaded", collectors=[collector.name for collector in fresh.enabled])
        return "The configuration was read again."

    def _schedule(self) -> None:
        """Replaces all schedules."""
        self._scheduler.remove_all_jobs()
        soon = datetime.now(UTC) + _SOON
        self._scheduler.add_job(
            self._keep_up, "interval", hours=24, next_run_time=soon, id="upkeep", misfire_grace_time=None
        )
        self._scheduler.add_job(
            self._vitals.beat, "interval", seconds=self._vitals.pulse, id="beat", misfire_grace_time=None, coalesce=True
        )
        self._collecting.schedule()
        self._policies.follow()
        self._scheduler.add_job(self._policies.follow_soon, "interval", minutes=10, id="policies")

    def _collected(self, report: "Report", seconds: float) -> None:
        if self._metrics:
            self._metrics.collected(report, seconds)

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


def run(loaded: Loaded) -> None:
    """Runs the service in the foreground. Raises Locked and StateUnusable."""

    async def main(store: Store) -> None:
        await Daemon(loaded, store).run()

    with Store(loaded.config.state_dir, loaded.config.outbox.room) as store:
        asyncio.run(main(store))
