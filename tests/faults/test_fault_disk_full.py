"""The disk is full: collecting says so, delivering goes on, and nobody has to make room for it."""

import random

import pytest

from agent.exit import Exit
from tests.faults.account import account, acknowledged, queued
from tests.faults.disk import blank, fill, mounted
from tests.faults.homes import files

pytestmark = pytest.mark.usefixtures("loop_mounts")
MEGABYTES, FILES, SIZE = 24, 12, 150_000
REFUSED_BY = 30  # collections: more than twice what the disk holds


@pytest.fixture
def disk(tmp_path):
    with mounted(blank(tmp_path / "image", MEGABYTES), tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def agent(agent, disk):
    agent.environment["CHEQUR_AGENT__STATE_DIR"] = str(disk / "state")
    return agent


def collect_until_refused(agent, lots):
    """The snapshots that were acknowledged until a collection had gaps."""
    safe = set()
    for number in range(REFUSED_BY):
        files(agent, FILES, lots, size=SIZE, label=f"{number:03}-")
        done = agent.run("collect", "--no-deliver")
        safe |= acknowledged(done.events)
        if done.code != Exit.WELL:
            assert done.code == Exit.GAPS, done.told
            return safe
    raise AssertionError("the disk never became full")


def drain(agent, sandbox, state, safe, tally):
    """Delivers, and finds that all that was acknowledged arrived."""
    done = agent.run("deliver")
    assert done.code == Exit.WELL, done.told
    told = account(agent, sandbox, queued(state))
    tally.count(**told.counts)
    assert not told.problems
    assert not told.named
    assert not told.numbered
    assert safe <= {each.payload["collection"]["snapshot_id"] for each in sandbox.evidence}


def works_again(agent, sandbox):
    """What had no room is collected and delivered now; nothing is left out."""
    done = agent.run("collect")
    assert done.code == Exit.WELL, done.told
    wanted = {file.name for file in (agent.home / "evidence").rglob("*.bin")}
    taken = {str(each.payload["target"]["file"]).rpartition("/")[2] for each in sandbox.evidence}
    assert wanted <= taken


def test_outbox_fills_the_disk(agent, sandbox, disk, tally):
    """Collecting fills the disk until it is refused; then the outbox drains, and collecting works again."""
    safe = collect_until_refused(agent, random.Random(1))
    drain(agent, sandbox, disk / "state", safe, tally)
    works_again(agent, sandbox)


def test_foreign_file_fills_the_disk(agent, sandbox, disk, tally):
    """Another's file takes the last byte: collecting is refused, and the outbox drains while the disk is still full."""
    lots = random.Random(2)
    files(agent, FILES, lots, size=SIZE, label="first-")
    safe = acknowledged(agent.run("collect", "--no-deliver").events)
    assert len(safe) == FILES
    foreign = disk / "foreign"
    assert fill(foreign) > 0
    safe |= collect_until_refused(agent, lots)
    fill(disk / "foreign-too")
    drain(agent, sandbox, disk / "state", safe, tally)
    (disk / "foreign-too").unlink()
    foreign.unlink()
    works_again(agent, sandbox)


def test_disk_fills_while_it_delivers(agent, sandbox, disk, tally):
    """The disk becomes full in the middle of a delivery: what is owed is delivered, in this run or the next."""
    files(agent, 4 * FILES, random.Random(3), size=SIZE)
    safe = acknowledged(agent.run("collect", "--no-deliver").events)
    sandbox.faults = ["slow:100ms@/v1/evidence"]
    with agent.started("deliver") as process:
        process.saw("evidence.accepted", times=5)
        assert fill(disk / "foreign") > 0
        process.ended()
        assert "Traceback" not in process.text, process.text
    sandbox.faults = []
    drain(agent, sandbox, disk / "state", safe, tally)
