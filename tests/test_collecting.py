"""The service's collections: what is put off is made up for."""

import asyncio
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from structlog.testing import capture_logs

from agent.collecting import Collecting
from agent.config import Collector, Common, Config, Loaded
from agent.lock import lock
from agent.outbox import Outbox
from agent.runs import Runs
from agent.store import StateNewer, StateUnusable, Store
from agent.token import Token
from collectors import registry

FILES = registry.evidence_types("manual")
OVER = EVENT_JOB_EXECUTED | EVENT_JOB_ERROR
AGAIN = "collector manual again"


class Service:
    """Collections of one collector of files, as the service has them, but for the time that they wait."""

    def __init__(self, store: Store, home: Path) -> None:
        (home / "evidence").mkdir(exist_ok=True)
        self.store = store
        self.home = home
        self.cancelled = threading.Event()
        self.reports = []
        self.configure()

    def configure(self, **common) -> None:
        settings = registry.source("manual").settings(path=self.home / "evidence")
        collector = Collector("manual", Common(**common), settings, FILES)
        config = Config(state_dir=self.store.directory, controls={"discover": False})
        self.loaded = Loaded(config, {"manual": collector}, None)

    def run(self, act) -> list[dict]:
        """Has `act(collecting, service)` done on an event loop: what was logged meanwhile."""

        async def main() -> None:
            self.scheduler = AsyncIOScheduler(timezone=UTC)
            collecting = Collecting(
                lambda: self.loaded, self.store, Token(None), scheduler=self.scheduler, cancelled=self.cancelled,
                observe=lambda report, _: self.reports.append(report), broken=pytest.fail,
            )  # fmt: skip
            self.scheduler.start()
            await act(collecting, self)
            self.scheduler.shutdown(wait=False)

        with capture_logs() as told:
            asyncio.run(main())
        return told

    async def a_minute_later(self, collecting: Collecting) -> None:
        """What was put off has had its turn."""
        over = asyncio.get_running_loop().create_future()
        self.scheduler.add_listener(lambda event: over.done() or over.set_result(event.exception), OVER)
        self.scheduler.get_job(AGAIN).modify(next_run_time=datetime.now(UTC))
        assert await over is None
        await collecting.ended()


def _events(told: list[dict], *names: str) -> list[str]:
    return [each["event"] for each in told if each["event"] in names]


@pytest.mark.parametrize("types", [None, FILES])
def test_a_run_that_is_put_off(store, tmp_path, types):
    """A run that finds its collector taken is tried a minute later, be it of some types only, and is told of."""

    async def act(collecting, service):
        with lock(store.directory, "collector-manual"):
            collecting.begin("manual", types)
            await collecting.ended()
        assert service.reports == []
        await service.a_minute_later(collecting)

    service = Service(store, tmp_path)
    told = service.run(act)
    assert _events(told, "collector.postponed", "collector.failed") == ["collector.postponed"]
    assert len(service.reports) == 1


def test_a_run_that_is_put_off_survives_a_reload(store, tmp_path):
    """Where all schedules are made anew, what waits still has its turn."""

    async def act(collecting, service):
        collecting.begin("manual")
        await collecting.ended()
        with lock(store.directory, "collector-manual"):
            collecting.begin("manual", FILES)
            await collecting.ended()
        service.scheduler.remove_all_jobs()
        collecting.schedule()
        await service.a_minute_later(collecting)

    service = Service(store, tmp_path)
    service.run(act)
    assert len(service.reports) == 2


def test_a_run_that_another_process_made_up_for(store, tmp_path):
    """What was read meanwhile is not read again."""

    async def act(collecting, service):
        with lock(store.directory, "collector-manual"):
            collecting.begin("manual")
            await collecting.ended()
        run = Runs(store).start("manual", now=datetime.now(UTC).timestamp())
        Runs(store).finish(
            run, "complete", now=datetime.now(UTC).timestamp(), snapshots=0, records=0, gaps=0, items=0, message=None
        )
        await service.a_minute_later(collecting)

    service = Service(store, tmp_path)
    service.run(act)
    assert service.reports == []


def test_a_drift_is_not_made_up_for(store, tmp_path):
    """Who waits for what becomes of a run is told, and asks again."""

    async def act(collecting, service):
        with lock(store.directory, "collector-manual"):
            assert await collecting.collect("manual", FILES) == "put off"
        assert service.scheduler.get_job(AGAIN) is None
        assert await collecting.collect("manual", FILES) == "over"

    Service(store, tmp_path).run(act)


@pytest.mark.parametrize("is_removed", [True, False])
@pytest.mark.parametrize("types", [None, FILES])
def test_a_collector_that_is_disabled_or_removed_at_work(store, tmp_path, is_removed, types):
    """After a reload without it, no run of a collector begins any more: put off, behind another, or for a drift."""

    def reload(service):
        service.configure(enabled=False)
        if is_removed:
            service.loaded = Loaded(service.loaded.config, {}, None)

    async def postponed_before(collecting, service):
        with lock(store.directory, "collector-manual"):
            collecting.begin("manual", types)
            await collecting.ended()
        reload(service)
        await service.a_minute_later(collecting)

    async def postponed_after(collecting, service):
        with lock(store.directory, "collector-manual"):
            collecting.begin("manual", types)
            reload(service)
            await collecting.ended()
        assert service.scheduler.get_jobs() == []

    async def drifted(collecting, service):
        reload(service)
        assert await collecting.collect("manual", FILES) == "put off"

    for act in (postponed_before, postponed_after, drifted):
        service = Service(store, tmp_path)
        service.run(act)
        assert service.reports == []


def test_what_waits_behind_a_run_of_a_collector_that_is_disabled(store, tmp_path):
    """It does not begin any more."""

    async def act(collecting, service):
        collecting.begin("manual", FILES)
        collecting.begin("manual")
        service.configure(enabled=False)
        await collecting.ended()
        await asyncio.sleep(0.1)
        assert list(collecting.under_way) == []

    service = Service(store, tmp_path)
    service.run(act)
    assert len(service.reports) == 1


class Unusable(Store):
    """A state directory that cannot be used as long as there is an error."""

    error: StateUnusable | None = None

    def read(self, work):
        if self.error:
            raise self.error
        return super().read(work)

    def write(self, *work, **how):
        if self.error:
            raise self.error
        return super().write(*work, **how)


def test_a_database_that_is_busy(tmp_path):
    """While another program keeps the database locked a run is put off, as often as need be."""

    async def act(collecting, service):
        store.error = StateUnusable(store.directory, "another program keeps it locked")
        collecting.begin("manual")
        await collecting.ended()
        await service.a_minute_later(collecting)
        store.error = None
        await service.a_minute_later(collecting)

    with Unusable(tmp_path / "state") as store:
        service = Service(store, tmp_path)
        told = service.run(act)
        assert _events(told, "collector.postponed", "collector.failed") == ["collector.postponed"] * 2
        assert [each["again_in"] for each in told if each["event"] == "collector.postponed"] == [60.0] * 2
        assert len(service.reports) == 1
        assert Runs(store).latest("manual").outcome == "complete"


def test_schedules_are_made_while_the_database_is_busy(tmp_path):
    """A reload that meets a locked database loses no schedule; what may be missed is looked at again."""

    async def act(collecting, service):
        store.error = StateUnusable(store.directory, "another program keeps it locked")
        collecting.schedule()
        assert service.scheduler.get_job("collector manual")
        store.error = None
        await service.a_minute_later(collecting)

    with Unusable(tmp_path / "state") as store:
        service = Service(store, tmp_path)
        told = service.run(act)
        assert _events(told, "collector.postponed", "collector.failed") == ["collector.postponed"]
        assert len(service.reports) == 1


def test_a_database_of_a_newer_agent(tmp_path):
    """What waiting does not mend is no reason to try again."""

    async def act(collecting, service):
        store.error = StateNewer(store.directory, "a newer agent made it")
        collecting.begin("manual")
        await collecting.ended()
        assert service.scheduler.get_job(AGAIN) is None

    with Unusable(tmp_path / "state") as store:
        told = Service(store, tmp_path).run(act)
        assert _events(told, "collector.postponed", "collector.failed") == ["collector.failed"]
        store.error = None
        assert list(Outbox(store).items()) == []
