"""What is done about events while it cannot be done: it waits, and nobody is told again and again."""

import asyncio
import json
import time
from datetime import UTC, datetime

from structlog.testing import capture_logs

from agent.config import Config, Loaded
from agent.controls import ControlMap
from agent.events import Events
from agent.reactions import Reactions
from agent.webhook import read
from tests.command import eventually


def drift(number):
    told = {"id": f"evt_{number}", "type": "control.drifted", "created_at": datetime.now(UTC).isoformat()}
    return read(json.dumps({**told, "data": {"control_id": "ctrl_ac_02"}}).encode())


def reacting(store, controls, until):
    """Acts upon events until something holds."""

    async def main():
        stopping = asyncio.Event()
        reactions = Reactions(lambda: Loaded(Config(), {}, None), Events(store), controls, None)
        task = asyncio.create_task(reactions.run(stopping))
        await asyncio.to_thread(until)
        stopping.set()
        await task

    asyncio.run(main())


def test_a_state_that_cannot_be_used_is_told_once_a_minute(store):
    """A store that refuses is tried again after a minute, and not over and over."""
    Events(store).receive(drift(1), now=time.time())
    store.close()
    with capture_logs() as logs:
        reacting(store, lambda: ControlMap({}, None), lambda: time.sleep(1))
    assert [line["event"] for line in logs] == ["webhook.postponed"]


def test_a_drift_waits_for_the_controls(store):
    """While it is not known which evidence is for which control, nothing is decided about a drift."""
    asked = []
    Events(store).receive(drift(1), now=time.time())
    reacting(store, lambda: asked.append(1), lambda: eventually(lambda: asked, "the controls are asked for"))
    assert Events(store).waiting() == 1
