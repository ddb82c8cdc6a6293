"""The network fails in every way that a proxy of ours can make it fail, then is well."""

import random
import time

import pytest

from agent.exit import Exit
from agent.sandbox.options import Options
from agent.sandbox.server import running
from tests.command import eventually
from tests.faults.account import all_once
from tests.faults.homes import files
from tests.faults.proxy import KINDS, proxying

RATE = 15  # requests a second, so that there is something left to send through each kind of bad day
GOOD, BAD = 0.2, 0.5  # seconds


@pytest.fixture
def sandbox():
    with running(Options(rate=RATE)) as started:
        yield started


@pytest.fixture
def proxy(sandbox):
    with proxying(sandbox.url) as started:
        yield started


def befall(proxy, kind):
    """A good day, then a bad one that lasts until it was felt."""
    proxy.kind = None
    time.sleep(GOOD)
    before = proxy.struck[kind]
    proxy.kind = kind
    eventually(lambda: proxy.struck[kind] > before, f"{kind} strikes")
    time.sleep(BAD)


def test_bad_network(agent, sandbox, proxy, tally):
    """Resets, trickles, black holes, captive portals and refusals, each for a while: each item is taken once."""
    rounds = tally.times(1, 8)
    number = 130 * rounds
    files(agent, number, random.Random(1))
    assert agent.run("collect", "--no-deliver").code == Exit.WELL
    agent.url = proxy.url
    agent.configure('timeout = "2s"\n[collectors.manual]\npath = "evidence"\n')
    with agent.started("deliver", "--wait", "60") as process:
        for kind in KINDS * rounds:
            befall(proxy, kind)
        proxy.kind = None
        sandbox.rate = 10_000
        assert process.ended(60) == Exit.WELL, process.text
    assert "Traceback" not in process.text, process.text
    assert set(proxy.struck) == set(KINDS)
    all_once(agent, sandbox, tally, number, repetitions=rounds * len(KINDS))
