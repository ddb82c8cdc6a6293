"""kill -9 at any instant, while a tenth of the answers is lost, cut off, or failing."""

import random
import signal
import time

from agent.exit import Exit
from tests.faults.account import all_once
from tests.faults.homes import files

CONCURRENCY = 32
LOSING = ("drop-after:0.03@/v1/evidence", "cut-off:0.03@/v1/evidence", "500-after:0.04@/v1/evidence")
FEW = 20  # files that come in before each kill


def kill(agent, lots, *arguments, sandbox):
    """Starts a command, and kills it at an instant of its start, or of its sending."""
    before, wait = sandbox.struck.total(), lots.uniform(0, 0.5)
    with agent.started(*arguments) as process:
        end = time.monotonic() + (lots.uniform(0.1, 1.0) if lots.random() < 0.3 else 10)
        while sandbox.struck.total() == before and time.monotonic() < end and process.popen.poll() is None:
            time.sleep(0.01)
        time.sleep(wait)
        process.signal(signal.SIGKILL)
        process.ended()
    assert "Traceback" not in process.text, process.text


def test_kill_9_at_any_instant(agent, sandbox, tally):
    """Whatever was queued is accepted exactly once, and sent again no more often than kills and faults explain."""
    lots, kills = random.Random(11), tally.times(8, 200)
    for number in range(kills):
        files(agent, FEW, lots, label=f"{number:03}-")
        sandbox.faults = ()
        if number % 4 != 3:
            assert agent.run("collect", "--no-deliver").code == Exit.WELL
        sandbox.faults = (*LOSING, "slow:100ms@/v1/evidence")
        command = ("collect", "run")[number // 4 % 2] if number % 4 == 3 else "deliver"
        kill(agent, lots, command, sandbox=sandbox)
    faults = sandbox.struck.total() - sandbox.struck["slow"]
    sandbox.faults = ()
    # An item that was killed many times and then failed waits for minutes.
    done = agent.run("collect", "--wait", "600")
    assert done.code == Exit.WELL, done.err + agent.run("outbox", "list", "--json").out
    all_once(agent, sandbox, tally, kills * FEW, repetitions=kills)
    assert tally.replays <= kills * CONCURRENCY + faults
