"""The wall clock is set a day forward and back: nothing is lost or sent twice, and nothing waits for a day."""

import random
import time
from datetime import datetime

import pytest

from agent.exit import Exit
from tests.command import eventually
from tests.faults.account import all_once
from tests.faults.homes import files

DAY = 86_400
FAULTS = ("drop-after:0.05@/v1/evidence", "503:0.1@/v1/evidence", "429:retry-after=date:x2@/v1/evidence")
FILES = 24  # a jump


def days(process):
    """By how much the clock was off when the process logged, to the day."""
    off = (datetime.fromisoformat(told["timestamp"]).timestamp() - time.time() for told in process.events)
    return {round(seconds / DAY) * DAY for seconds in off}


@pytest.mark.parametrize("first", [DAY, -DAY])
def test_clock_jumps_while_it_delivers(first, agent, sandbox, preload, tally):
    """`deliver` goes on over a jump there and the jump back, with answers that are late, lost and dated."""
    jumps = [first, 0, -first, 0] * tally.times(1, 5)
    agent.config.write_text(f"{agent.config.read_text()}\n[delivery]\nconcurrency = 4\n")  # not all at once
    files(agent, FILES * len(jumps), random.Random(1))
    assert agent.run("collect", "--no-deliver").code == Exit.WELL
    sandbox.faults = [*FAULTS, "slow:100ms@/v1/evidence"]
    with agent.started("deliver", **preload.environment) as process:
        for number, shift in enumerate(jumps, 1):
            process.saw("evidence.accepted", times=number * FILES // 2)
            preload.set_clock(shift)
            eventually(lambda shift=shift: shift in days(process), f"a line of the log a day off by {shift} s")
        assert process.ended(60) == Exit.WELL, process.text
    assert days(process) == {0, first, -first}
    all_once(agent, sandbox, tally, FILES * len(jumps), repetitions=len(jumps))


def test_clock_jumps_under_the_service(agent, sandbox, preload, tally):
    """What comes in between jumps of the service's clock is sent within seconds, however far off it is."""
    jumps = [DAY, -DAY, 0] * tally.times(1, 8)
    watching = agent.home / "service.toml"
    settings = agent.config.read_text().replace("[collectors.manual]", '[collectors.other]\nsource = "manual"')
    watching.write_text(settings.replace('path = "evidence"', 'path = "nothing"'))  # its runs never stand in ours
    (agent.home / "nothing").mkdir()
    sandbox.faults = FAULTS
    with agent.started("run", "--config", str(watching), **preload.environment) as process:
        process.saw("agent.started")
        for number, shift in enumerate(jumps, 1):
            for half in ("before", "after"):
                files(agent, FILES // 2, random.Random(number), label=f"{number:02}-{half}-")
                assert agent.run("collect", "--no-deliver").code == Exit.WELL
                preload.set_clock(shift)
            eventually(lambda wanted=number * FILES: len(sandbox.evidence) >= wanted, "all taken", 30)
        time.sleep(1)  # the last answers may have been lost
        sandbox.faults = []
        eventually(lambda: not agent.run("outbox", "list", "--json").out, "nothing owed", 30)
        assert process.stop() == Exit.WELL
    assert days(process) == {0, DAY, -DAY}
    all_once(agent, sandbox, tally, FILES * len(jumps), repetitions=len(jumps))
