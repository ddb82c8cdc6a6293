"""More than one agent: two services on one directory, a collection beside a service, and a cloned machine."""

import random
import signal
import time
from contextlib import ExitStack

import pytest

from agent.exit import Exit
from tests.command import eventually, exactly_once
from tests.faults.account import all_once
from tests.faults.homes import copy, files

FILES = 80
LOSING = ("drop-after:0.05@/v1/evidence", "slow:50ms@/v1/evidence")


@pytest.fixture(autouse=True)
def _folder(agent):
    files(agent, FILES, random.Random(1))


def test_two_services(agent, sandbox, tally):
    """The second refuses with 75 and one sentence, and the first is not disturbed."""
    sandbox.faults = LOSING
    with agent.started("run") as first:
        first.saw("evidence.accepted")
        second = agent.run_afresh("run")
        assert second.code == Exit.UNDELIVERED, second.told
        eventually(lambda: len(sandbox.evidence) == FILES, "all taken")
        sandbox.faults = []
        eventually(lambda: not agent.run("outbox", "list", "--json").out, "nothing owed")
        assert first.stop() == Exit.WELL
    all_once(agent, sandbox, tally, FILES)


def test_collect_beside_a_service(agent, sandbox, tally):
    """Both put into one outbox, one delivers, and `collect` ends once all of its own is there."""
    with agent.started("run") as service:
        service.saw("agent.started")
        for number in range(tally.times(2, 10)):
            sandbox.faults = LOSING
            files(agent, FILES // 4, random.Random(number), label=f"{number:02}-")
            # It refuses with 75 as long as the service itself is collecting.
            eventually(lambda: agent.run("collect").code == Exit.WELL, "collected and delivered", 30)
        sandbox.faults = []
        eventually(lambda: not agent.run("outbox", "list", "--json").out, "nothing owed")
        assert service.stop() == Exit.WELL
    all_once(agent, sandbox, tally, FILES + FILES // 4 * (number + 1), repetitions=number + 1)


def killed(agent, lots):
    """A delivery that was killed in the middle."""
    with agent.started("deliver") as process:
        process.saw("evidence.accepted", times=5)
        time.sleep(lots.uniform(0, 0.3))
        process.signal(signal.SIGKILL)
        process.ended()


def delivered_at_once(*agents):
    with ExitStack() as stack:
        processes = [stack.enter_context(agent.started("deliver")) for agent in agents]
        for process in processes:
            assert process.ended(60) == Exit.WELL, process.text


def test_cloned_machine(agent, sandbox, tmp_path, tally):
    """`cp -r` of a killed agent's directory, both delivered at once: each item is taken once, and both know it."""
    lots, times = random.Random(3), tally.times(1, 10)
    for number in range(times):
        files(agent, FILES, lots, label=f"{number:02}-")
        assert agent.run("collect", "--no-deliver").code == Exit.WELL
        sandbox.faults = LOSING
        killed(agent, lots)
        clone = copy(agent, tmp_path / f"clone{number}", sandbox, with_files=True)
        delivered_at_once(agent, clone)
        sandbox.faults = []
        assert exactly_once(sandbox, clone.state) == FILES * (number + 2)
    all_once(agent, sandbox, tally, FILES * (times + 1), repetitions=times)
