"""fsync fails: nothing is acknowledged that the disk may not have, the process ends, and its next start is well."""

import random
import re

import pytest

from agent.exit import Exit
from tests.faults.account import acknowledged, all_once
from tests.faults.homes import files

FILES = 80
COMMANDS = {  # and what it logs while it is at work
    "collect": (["collect", "--no-deliver"], "evidence.collected"),
    "deliver": (["deliver"], "evidence.accepted"),
    "run": (["run"], "evidence.accepted"),
}


def ended_badly(process):
    """It ended by itself, and says in words what happened."""
    assert process.ended() == Exit.FAILURE, process.text
    assert "Traceback" not in process.text, process.text
    words = " ".join(line for line in process.text.splitlines() if not line.startswith("{"))
    assert re.search("I/O|input/output|disk|fsync", words, re.IGNORECASE), process.text


def broken_while(agent, preload, arguments, event, times):
    """Starts a command, and fails its fsyncs once it has logged `event` so often; which snapshots it acknowledged."""
    with agent.started(*arguments, **preload.environment) as process:
        process.saw(event, times=times)
        preload.fail_fsync(fails=True)
        ended_badly(process)
        preload.fail_fsync(fails=False)
        return acknowledged(process.events)


@pytest.mark.parametrize("command", COMMANDS)
def test_failing_fsync(command, agent, sandbox, preload, tally):
    """It ends with exit code 1 and a sentence; all that was acknowledged is delivered once after the next start."""
    lots, safe, times = random.Random(command), set(), tally.times(1, 10)
    for number in range(times):
        files(agent, FILES, lots, label=f"{number:03}-")
        if command != "collect":  # the service has nothing to make up once a collection was whole
            safe |= acknowledged(agent.run("collect", "--no-deliver").events)
        sandbox.faults = ["slow:100ms@/v1/evidence"]
        safe |= broken_while(agent, preload, *COMMANDS[command], lots.randrange(1, 15))
        sandbox.faults = []
        assert agent.run("collect", **preload.environment).code == Exit.WELL
    all_once(agent, sandbox, tally, FILES * times, repetitions=times)
    assert safe <= {each.payload["collection"]["snapshot_id"] for each in sandbox.evidence}
