"""The token is rotated and revoked while evidence is sent: nothing is lost, rejected, or sent with nobody's key."""

import random
import time
from contextlib import contextmanager

import pytest

from agent.exit import Exit
from agent.sandbox.options import Options
from agent.sandbox.server import running
from tests.command import eventually
from tests.faults.account import all_once
from tests.faults.homes import files, home

FILES = 120
SOON = 20  # seconds in which a new token must be found, without a signal or a restart


@pytest.fixture
def sandbox():
    with running(Options(rate=10_000)) as started:
        started.faults = ["slow:100ms@/v1/evidence", "drop-after:0.03@/v1/evidence"]
        yield started


class Key:
    """The agent's own API key, in its token file."""

    def __init__(self, sandbox, file):
        self._sandbox, self.file = sandbox, file
        self.renew()

    def renew(self):
        """As an operator does after a revocation."""
        self._created = self._sandbox.issue("write")
        self._place(self._created)

    def rotate(self):
        self._place(self._sandbox.rotate(self._created))

    def revoke(self):
        self._sandbox.revoke(self._created)

    def _place(self, token):
        fresh = self.file.with_suffix(".new")
        fresh.write_text(token)
        fresh.replace(self.file)


@pytest.fixture
def agent(tmp_path, sandbox):
    tables = 'token_file = "token"\n[delivery]\nconcurrency = 4\n[collectors.manual]\npath = "evidence"\n'
    agent = home(tmp_path / "home", sandbox, tables)  # not all at once
    agent.environment.clear()
    return agent


@pytest.fixture
def key(agent, sandbox):
    return Key(sandbox, agent.home / "token")


def owing(agent, number=FILES, label=""):
    files(agent, number, random.Random(label), label=label)
    # The service may still be at its own first run, which holds the collector's lock.
    eventually(lambda: agent.run("collect", "--no-deliver").code == Exit.WELL, "collected")


def test_token_is_rotated_while_it_delivers(agent, key, sandbox, tally):
    """The old token works for its day of grace: a rotation in mid-drain is not even noticed."""
    owing(agent)
    with agent.started("deliver") as process:
        process.saw("evidence.accepted", times=20)
        key.rotate()
        process.saw("evidence.accepted", times=60)
        key.rotate()
        assert process.ended(60) == Exit.WELL, process.text
    assert "outbox.held" not in process.text
    all_once(agent, sandbox, tally, FILES)


def test_token_is_revoked_while_it_delivers(agent, key, sandbox, tally):
    """A revocation in mid-drain ends it, and the next try says 77; with a new token the rest is delivered."""
    owing(agent)
    with agent.started("deliver") as process:
        process.saw("evidence.accepted", times=20)
        key.revoke()
        assert process.ended(30) in {Exit.UNDELIVERED, Exit.REFUSED}, process.text
    assert agent.run("deliver").code == Exit.REFUSED
    key.renew()
    assert agent.run("deliver").code == Exit.WELL
    all_once(agent, sandbox, tally, FILES)


def test_token_changes_under_the_service(agent, key, sandbox, tally):
    """A service finds a rotated token before the old one ends, and a renewed one soon after a revocation."""
    rounds = tally.times(1, 4)
    with agent.started("run") as process:
        process.saw("agent.started")
        for number in range(rounds):
            with arriving(agent, sandbox, f"{number}-rotated-"):
                key.rotate()
            with arriving(agent, sandbox, f"{number}-revoked-"):
                key.revoke()
                process.saw("outbox.held", times=number + 1)
                key.renew()
        sandbox.faults = []
        eventually(lambda: not agent.run("outbox", "list", "--json").out, "nothing owed", SOON)
        assert process.stop() == Exit.WELL
    all_once(agent, sandbox, tally, rounds * FILES)


@contextmanager
def arriving(agent, sandbox, label):
    """Evidence is queued, something happens while it is sent, and all of it has arrived soon."""
    before = len(sandbox.evidence)
    owing(agent, FILES // 2, label)
    time.sleep(0.3)
    yield
    eventually(lambda: len(sandbox.evidence) == before + FILES // 2, f"{label} has arrived", SOON)
