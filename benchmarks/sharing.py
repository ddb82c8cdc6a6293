"""What several agents on one key make of its rate limit together, and how evenly.

    python -m benchmarks.sharing

Each agent is a `chequr-agent deliver` with a state directory of its own; all send to one `chequr-agent sandbox` with
one token, and each has more to send than there is time. Counted is what the sandbox saw in the seconds from its first
request on, the agents' finding of their shares included. Its bucket begins full, with two seconds' worth, so that
goodput may come to more than 100 %; the second figure counts that burst as allowed, too. Once the agents share their
rate through a file of the host (`delivery.share_rate`), and once not, as agents on several hosts cannot. `--bucket
unset` leaves that key out, for an agent that does not know it.
"""

import argparse
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from benchmarks.bodies import pieces
from benchmarks.command import Process, configure, deliver, fill, started
from benchmarks.report import Report
from benchmarks.servers import Sandbox, sandbox

_LOOK = 0.02
_BURST = 2.0  # seconds' worth of requests that the sandbox's bucket holds at first
_SETTINGS = {"with": "true", "without": "false"}
_SLOW = 10  # requests a second up to which agents that cannot see each other have a target
_REFUSED = {(True, 3): 0.01, (True, 10): 0.01, (False, 3): 0.10, (False, 10): 0.35}  # by whether they can, and how many


@dataclass(frozen=True)
class Case:
    agents: int
    rate: float
    bucket: str

    @property
    def name(self) -> str:
        return f"{self.agents} agents, {self.rate:g}/s, share_rate {_SETTINGS.get(self.bucket, 'unset')}"


@dataclass(frozen=True)
class Outcome:
    goodput: float
    """Of what the limit allows in the time."""
    bounded: float
    """Of what the limit and the bucket that was full allow: never above 1."""
    refused: float
    least: float
    """Of the agents' shares in what was accepted; an even share is 1."""
    most: float


def measure(case: Case, seconds: float, size: int, latency: str) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="chequr-sharing-") as place, ExitStack() as stack:
        environment = {"RUNTIME_DIRECTORY": place}
        if case.bucket in _SETTINGS:
            environment["CHEQUR_AGENT__DELIVERY__SHARE_RATE"] = _SETTINGS[case.bucket]
        server = stack.enter_context(sandbox(Path(place), rate=case.rate, faults=[f"slow:{latency}@/v1/evidence"]))
        homes = [Path(place) / f"agent-{number}" for number in range(case.agents)]
        for home in homes:
            prepare(home, owed(case, seconds), size, server.url)
        agents = [stack.enter_context(started(home, deliver(), environment)) for home in homes]
        statuses, sources = seen(server, agents, seconds)
    even = sources.total() / case.agents
    parts = [sources[home.name] / even for home in homes]
    goodput, bounded = (sources.total() / (case.rate * allowed) for allowed in (seconds, seconds + _BURST))
    return Outcome(goodput, bounded, statuses[429] / statuses.total(), min(parts), max(parts))


def owed(case: Case, seconds: float) -> int:
    """More than one agent can send: three times an even share, or all that there is time for, with the burst."""
    return int(min(3 / case.agents, 1) * case.rate * seconds + 2 * case.rate)


def prepare(home: Path, items: int, size: int, url: str) -> None:
    """An agent's home; the source of its evidence is its name, by which the sandbox tells it from the others."""
    home.mkdir()
    fill(home, pieces(0, items, size, source=home.name))
    configure(home, url)


def seen(server: Sandbox, agents: list[Process], seconds: float) -> tuple[Counter[int], Counter[str]]:
    """What the sandbox tells so many seconds after its first request. An agent that ends before is no measurement."""
    while not server.get("/_sandbox/state")["struck"]:
        check(agents)
        time.sleep(_LOOK)
    time.sleep(seconds)
    told = server.statuses(), server.sources()
    check(agents)
    return told


def check(agents: list[Process]) -> None:
    for agent in agents:
        if agent.popen.poll() is not None:
            raise SystemExit(f"an agent has ended: {agent.log.read_text(encoding='utf-8')[-2000:]}")


def main() -> None:
    told = arguments()
    report = Report(
        "Several agents on one key", f"{told.seconds:g} seconds each, bodies of {told.size:,} bytes, {told.latency}"
    )
    for bucket, rate, agents in product(told.bucket, told.rates, told.agents):
        case = Case(agents, rate, bucket)
        judge(report, case, measure(case, told.seconds, told.size, told.latency))
    report.end()


def judge(report: Report, case: Case, outcome: Outcome) -> None:
    row = (
        f"{outcome.goodput:.1%}",
        f"{outcome.bounded:.1%}",
        f"{outcome.refused:.1%}",
        f"{outcome.least:.2f}",
        f"{outcome.most:.2f}",
    )
    report.table((case.name, "goodput", "burst counted", "429", "least of an even share", "most"), [("", *row)])
    report.target(f"{case.name}: goodput at least 97 %", f"{outcome.goodput:.1%}", met=outcome.goodput >= 0.97)
    most = _REFUSED.get((case.bucket == "with", case.agents))
    if most is not None and (case.bucket == "with" or case.rate <= _SLOW):
        report.target(f"{case.name}: 429 at most {most:.0%}", f"{outcome.refused:.1%}", met=outcome.refused <= most)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="that each case lasts")
    parser.add_argument("--agents", type=int, nargs="+", default=[3, 10])
    parser.add_argument("--rates", type=float, nargs="+", default=[10, 100], help="the key's limit, requests a second")
    parser.add_argument("--bucket", choices=(*_SETTINGS, "unset"), nargs="+", default=list(_SETTINGS))
    parser.add_argument("--size", type=int, default=1000, help="bytes of a body")
    parser.add_argument("--latency", default="80ms")
    return parser.parse_args()


if __name__ == "__main__":
    main()
