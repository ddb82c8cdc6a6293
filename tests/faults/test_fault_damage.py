"""The database, its WAL and its header are flipped, cut and zeroed: the agent goes on, and what is lost is told."""

import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass

import pytest

from agent.exit import Exit
from agent.sandbox.options import Options
from agent.sandbox.server import running
from agent.store import DATABASE
from tests.command import Agent
from tests.faults.account import Queued, account, queued
from tests.faults.damage import HARMS, PLACES
from tests.faults.homes import copy, files, home
from tests.faults.tally import LONG

OLD, NEW = (140, 60) if LONG else (40, 20)  # items that were queued in peace, and items that only the WAL has


@dataclass(frozen=True)
class Owing:
    """One full outbox twice: of an agent that was killed, and of one that stopped in order; and what it owes."""

    killed: Agent
    stopped: Agent
    items: list[Queued]

    def copy(self, directory, sandbox, place, number):
        """Turn and turn about, with the same files and with an emptied folder. A WAL is left by the killed one only."""
        whole = self.stopped if number % 2 == 0 and place.file == DATABASE else self.killed
        return copy(whole, directory, sandbox, with_files=number // 2 % 2 == 1)


@pytest.fixture(scope="module")
def owing(tmp_path_factory):
    lots, directory = random.Random(5), tmp_path_factory.mktemp("owing")
    with running(Options(rate=10_000)) as sandbox:
        agent = home(directory / "home", sandbox)
        files(agent, OLD, lots, label="old-")
        assert agent.run("collect", "--no-deliver").code == Exit.WELL
        files(agent, NEW, lots, label="new-")
        killed = copy_killed(agent, NEW, directory / "killed", sandbox)
        assert agent.run("status").code == Exit.WELL  # the last one out empties the WAL
        stopped = copy(agent, directory / "stopped", sandbox, with_files=True)
    items = queued(agent.state)
    assert len(items) == OLD + NEW
    return Owing(killed, stopped, items)


def copy_killed(agent, number, directory, sandbox):
    """The agent's directory as a kill of its collection leaves it: what came last is in the WAL alone."""
    with closing(sqlite3.connect(agent.state / DATABASE, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM item").fetchone()  # while this is read, nothing moves out of the WAL
        with agent.started("collect", CHEQUR_TOKEN="no-longer-valid") as process:
            process.saw("evidence.collected", times=number, state="queued")
            process.popen.kill()
            process.ended()
        whole = copy(agent, directory, sandbox, with_files=True)
    assert (whole.state / f"{DATABASE}-wal").stat().st_size > 0
    return whole


def go_on(agent, sandbox, items, problems):
    """The commands that an operator's timers run, and the account; what is wrong goes into `problems`."""
    before = (agent.state / DATABASE).stat().st_ino
    try:
        problems += commands(agent)
        problems += set_aside(agent, before)
        told = account(agent, sandbox, items)
    except AssertionError as error:
        problems.append(str(error)[-600:])
        return {}
    problems += told.problems
    return told.counts


def commands(agent):
    """What went wrong with the commands that an operator's timers run."""
    for command in ("deliver --wait 10", "collect --wait 10", "deliver --wait 10", "status --json"):
        done = agent.run(*command.split())
        if done.code not in {Exit.WELL, Exit.GAPS, Exit.UNDELIVERED}:
            yield f"{command} ended with {done.code}: {done.told}"


def set_aside(agent, before):
    """A database that was rebuilt is kept, whole, where a person can look at it."""
    rebuilt = (agent.state / DATABASE).stat().st_ino != before
    if rebuilt and not any(agent.state.glob(f"damaged/*/{DATABASE}")):
        yield "the database was rebuilt, and damaged/ does not have the old one"


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("place", PLACES)
def test_damaged(owing, harm, place, tmp_path, tally):
    """No item is silently gone, none is stuck, none is taken twice; and nobody has to do anything about it."""
    broken = {}
    for number in range(tally.times(1, 40)):
        directory, problems = tmp_path / str(number), []
        with running(Options(rate=10_000)) as sandbox:
            agent = owing.copy(directory, sandbox, PLACES[place], number)
            what = HARMS[harm](agent.state, PLACES[place], random.Random(f"{place} {harm} {number}"))
            tally.count(**go_on(agent, sandbox, owing.items, problems))
        if problems:
            broken[number] = [what, *problems]
        else:
            shutil.rmtree(directory)
    assert not broken, f"{len(broken)} of {tally.repetitions} broken, kept in {tmp_path}: {broken}"
