"""An outage lasts longer than the API remembers Idempotency-Keys: what it took before is not sent as new."""

import random
import time

import pytest

from agent.exit import Exit
from agent.sandbox.options import Options
from agent.sandbox.server import running
from tests.faults.account import all_once
from tests.faults.homes import files, home

REMEMBERED, SAFE = 4.0, "2s"  # how long the API knows a key, and for how long the agent relies on it
FILES = 120
LOSING = ("drop-after:0.4@/v1/evidence", "slow:300ms@/v1/evidence")


@pytest.fixture
def sandbox():
    with running(Options(rate=10_000, idempotency_ttl=REMEMBERED)) as started:
        yield started


@pytest.fixture
def agent(tmp_path, sandbox):
    tables = f'[delivery]\nkeys_remembered = "{SAFE}"\n[collectors.manual]\npath = "evidence"\n'
    agent = home(tmp_path / "home", sandbox, tables)
    files(agent, FILES, random.Random(1))
    return agent


def break_off(process, sandbox):
    """Two answers in five are lost, and then the API is away: of some items nobody here knows that they arrived."""
    sandbox.faults = LOSING
    process.saw("evidence.accepted", times=8)
    sandbox.faults = ["503@/v1/evidence"]
    time.sleep(1)
    assert len(sandbox.evidence) > sum(told["event"] == "evidence.accepted" for told in process.events)


def test_keys_are_forgotten_while_nothing_is_delivered(agent, sandbox, tally):
    """Answers are lost, the agent is away for too long, and then looks before it sends again."""
    assert agent.run("collect", "--no-deliver").code == Exit.WELL
    with agent.started("deliver", "--wait", "1") as process:
        break_off(process, sandbox)
        assert process.ended(60) == Exit.UNDELIVERED
    time.sleep(REMEMBERED + 1)
    sandbox.faults = []
    assert agent.run("deliver").code == Exit.WELL
    all_once(agent, sandbox, tally, FILES)


def test_keys_are_forgotten_while_it_delivers(agent, sandbox, tally):
    """The same under a delivery that goes on trying all the while."""
    with agent.started("collect", "--wait", "60") as process:
        break_off(process, sandbox)
        time.sleep(REMEMBERED + tally.times(2, 8))
        sandbox.faults = []
        assert process.ended(60) == Exit.WELL, process.text
    all_once(agent, sandbox, tally, FILES)
