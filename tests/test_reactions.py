"""What is done about events while it cannot be done: it waits, and nobody is told again and again."""

import asyncio
import json
import threading
import time
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from agent.config import Collector, Common, Config, ConfigurationInvalid, Loaded
from agent.controls import ControlMap
from agent.events import Events
from agent.reactions import Reactions
from agent.webhook import read
from collectors import registry
from tests.command import eventually

arrived = []


def event(number, type_="control.drifted", **data):
    told = {"id": f"evt_{number}", "type": type_, "created_at": datetime.now(UTC).isoformat()}
    return read(json.dumps({**told, "data": data or {"control_id": "ctrl_ac_02"}}).encode())


def collector(name):
    """One that has evidence for any control."""
    return Collector(name, Common(), None, registry.evidence_types("manual"))


def reacting(store, controls, until, *, collectors=(), collect=None):
    """Acts upon events until something holds."""

    async def main():
        stopping = asyncio.Event()
        loaded = Loaded(Config(), {each.name: each for each in collectors}, None)
        reactions = Reactions(lambda: loaded, Events(store), controls, collect)
        arrived.append(reactions.arrived)
        task = asyncio.create_task(reactions.run(stopping))
        await asyncio.to_thread(until)
        stopping.set()
        await task

    asyncio.run(main())


def test_a_state_that_cannot_be_used_is_told_once_a_minute(store):
    """A store that refuses is tried again after a minute, and not over and over."""
    Events(store).receive(event(1), now=time.time())
    store.close()
    with capture_logs() as logs:
        reacting(store, lambda: ControlMap({}, None), lambda: time.sleep(1))
    assert [line["event"] for line in logs] == ["webhook.postponed"]


def test_a_drift_waits_for_the_controls(store):
    """While it is not known which evidence is for which control, nothing is decided about a drift."""
    asked = []
    Events(store).receive(event(1), now=time.time())
    reacting(store, lambda: asked.append(1), lambda: eventually(lambda: asked, "the controls are asked for"))
    assert Events(store).waiting() == 1


def test_verdicts_do_not_wait_for_a_run_that_a_drift_asked_for(store):
    """While collectors are at work for a drift, all of them at once, what Chequr tells is written down."""
    events, begun, over = Events(store), [], threading.Event()
    events.receive(event(1), now=time.time())

    async def collect(name, _kinds):
        begun.append(name)
        await asyncio.to_thread(over.wait)
        return "over"

    def until():
        eventually(lambda: len(begun) == 2, "both collectors are at work")
        events.receive(event(2, "evidence.collected", evidence_id="ev_1", status="pass"), now=time.time())
        arrived[-1]()
        eventually(lambda: events.signal("ev_1") == "pass", "the verdict is written down")
        assert events.waiting() == 1
        over.set()
        eventually(lambda: not events.waiting(), "the drift is answered")

    reacting(store, lambda: ControlMap({}, None), until, collectors=map(collector, ("one", "two")), collect=collect)


@pytest.mark.parametrize("error", [OSError("disk full"), ConfigurationInvalid(["no such proxy"]), ZeroDivisionError()])
def test_what_fails_for_a_drift_ends_nothing_else(store, error):
    """Whatever keeps a drift from being answered is told, and what comes afterwards is acted upon."""
    events = Events(store)
    events.receive(event(1), now=time.time())

    def controls():
        raise error

    def until():
        eventually(lambda: logs, "it is told")
        events.receive(event(2, "evidence.collected", evidence_id="ev_1", status="pass"), now=time.time())
        arrived[-1]()
        eventually(lambda: events.signal("ev_1") == "pass", "the verdict is written down")

    with capture_logs() as logs:
        reacting(store, controls, until)
    assert [line["event"] for line in logs] == ["webhook.postponed"]
    assert events.waiting() == 1


@pytest.mark.parametrize(
    ("endings", "told"),
    [
        ({"one": "over", "two": "over"}, "collected anew by one, two"),
        ({"one": "failed", "two": "over"}, "collected anew by two; the log says what broke in the run of one"),
        ({"one": "over", "two": "put off"}, "waits"),
    ],
)
def test_a_drift_is_answered_by_what_was_done(store, endings, told):
    """Nothing is called collected that was not: a run that broke says so, and one that is put off leaves it waiting."""
    events, ended = Events(store), []
    events.receive(event(1), now=time.time())

    async def collect(name, _kinds):
        ended.append(name)
        return endings[name]

    def answer():
        (kept,) = events.recent(1)
        return kept.outcome or "waits"

    def until():
        eventually(lambda: len(ended) == len(endings), "both runs have ended")
        eventually(lambda: answer() == told, "the drift is answered")

    reacting(store, lambda: ControlMap({}, None), until, collectors=map(collector, endings), collect=collect)
    assert answer() == told
