"""The agent is killed again and again, at any instant, and the API has each item exactly once."""

import random
import signal
import time
from collections import Counter

import pytest

from agent.exit import Exit
from tests.command import eventually, exactly_once, make_agent

KILLS = 6
FILES = 120


@pytest.fixture
def agent(tmp_path, sandbox):
    """An agent with a large folder; some files are too large for one request."""
    agent = make_agent(tmp_path, sandbox)
    lots = random.Random(4)
    for number in range(FILES):
        agent.put(f"ctrl_vm_02/{number:03}.bin", lots.randbytes(2_500_000 if number % 50 == 7 else 30_000))
    return agent


def kill(agent, *arguments, between):
    """Starts a command, kills it at an instant within `between` seconds, and says whether it was still at work."""
    with agent.started(*arguments) as process:
        time.sleep(random.uniform(*between))
        at_work = process.popen.poll() is None
        process.popen.kill()
        process.ended()
    return at_work


def kill_sending(agent, sandbox):
    """Starts a delivery, and kills it soon after its first request came in."""
    before = sandbox.struck.total()
    with agent.started("deliver") as process:
        eventually(lambda: sandbox.struck.total() > before, "a request")
        time.sleep(random.uniform(0, 0.5))
        process.popen.kill()
        process.ended()


def each_file_once(sandbox):
    """That each part of each file was taken once, and all of them."""
    parts = Counter()
    wanted = {}
    for taken in sandbox.evidence:
        target, collection = taken.payload["target"], taken.payload["collection"]
        parts[target["file"], collection["part"]] += 1
        wanted[target["file"]] = collection["parts"]
    assert len(wanted) == FILES + 2
    assert parts == Counter({(file, part + 1): 1 for file, number in wanted.items() for part in range(number)})


def test_a_collection_that_is_killed_at_any_instant_is_taken_once(agent, sandbox):
    """kill -9 while files are read, queued and sent: run again, each file is at the API once, and nothing is owed."""
    sandbox.faults = ["slow:250ms@/v1/evidence"]
    killed = sum(kill(agent, "collect", between=(0.3, 1.1)) for _ in range(KILLS))
    sandbox.faults = []
    assert killed >= KILLS - 1
    assert agent.run("collect").code == Exit.WELL
    each_file_once(sandbox)
    assert exactly_once(sandbox, agent.state) > FILES


def test_a_delivery_that_is_killed_at_any_instant_is_taken_once(agent, sandbox):
    """kill -9 while requests are under way, some of them without an answer: each item is at the API once."""
    assert agent.run("collect", "--no-deliver").code == Exit.WELL
    sandbox.faults = ["slow:200ms@/v1/evidence", "drop-after:x3@/v1/evidence", "500-after:x3@/v1/evidence"]
    for _ in range(KILLS):
        kill_sending(agent, sandbox)
    assert {"slow", "drop-after", "500-after"} <= set(sandbox.struck)
    sandbox.faults = []
    assert agent.run("deliver").code == Exit.WELL
    each_file_once(sandbox)
    assert exactly_once(sandbox, agent.state) > FILES


def test_a_service_that_is_killed_at_any_instant_is_taken_once(agent, sandbox):
    """kill -9 of the service: its next start makes up the run, and each file is at the API once."""
    sandbox.faults = ["drop-after:0.1@/v1/evidence", "slow:20ms@/v1/evidence"]
    for _ in range(3):
        kill(agent, "run", between=(0.6, 1.6))
    sandbox.faults = []
    with agent.started("run") as daemon:
        daemon.saw("agent.started")
    assert agent.run("collect").code == Exit.WELL
    each_file_once(sandbox)
    assert exactly_once(sandbox, agent.state) > FILES


@pytest.mark.parametrize("arguments", [["collect"], ["collect", "--dry-run"]])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_collection_that_is_interrupted_says_what_is_kept(agent, arguments, number):
    """Ctrl-C and SIGTERM end a collection by hand at once, with one line and the shell's own exit code."""
    agent.put("ctrl_vm_02/000.bin").touch()  # written just now: the run waits until it has settled
    with agent.started(*arguments) as process:
        process.catches(signal.SIGTERM)  # as it is caught by no one but the collection
        process.signal(number)
        assert process.ended(30) == 130
    told = "chequr-agent: stopped; what was being read is not kept, what was queued is safe in the outbox"
    assert told in process.text.splitlines()
    assert "Traceback" not in process.text


def test_a_delivery_that_is_interrupted_gets_its_answers(agent, sandbox):
    """Ctrl-C while requests are under way: they get their answers, and the exit code says that more is owed."""
    assert agent.run("collect", "--no-deliver").code == Exit.WELL
    sandbox.faults = ["slow:300ms@/v1/evidence"]
    with agent.started("deliver") as process:
        process.saw("evidence.accepted", times=3)
        process.signal(signal.SIGINT)
        assert process.ended(5) == Exit.UNDELIVERED
    assert "still owed and safe in the outbox" in process.text
    sandbox.faults = []
    assert agent.run("deliver").code == Exit.WELL
    each_file_once(sandbox)
