"""How much of the API's rate limit a backlog is delivered at, and how many requests are refused for being too many.

    python -m benchmarks.goodput

`chequr-agent deliver` drains a filled outbox into `chequr-agent sandbox`, which answers after 200 ms, as over a long
way. Goodput is what was accepted, as a share of what the limit allows in the time from the first request to the last
acceptance; the second figure counts from the start of the process. Both instants are those at which the sandbox's
console first tells of them, so that they are late by a look (20 ms) at most. The sandbox's bucket begins full; an
agent that emptied it would come to more than 100 %.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bodies import pieces
from benchmarks.command import configure, deliver, fill, started
from benchmarks.report import Report
from benchmarks.servers import Sandbox, sandbox

_LOOK = 0.02


@dataclass(frozen=True)
class Drain:
    rate: float
    items: int
    sending: float
    """Seconds from the first request to the last acceptance."""
    whole: float
    """Seconds from the start of the process to the last acceptance."""
    refused: float
    """The share of all requests that was answered 429."""

    def goodput(self, seconds: float) -> float:
        return self.items / (seconds * self.rate)


def drain(rate: float, items: int, size: int, latency: str) -> Drain:
    with tempfile.TemporaryDirectory(prefix="chequr-goodput-") as place:
        home = Path(place)
        fill(home, pieces(0, items, size))
        with sandbox(home, rate=rate, faults=[f"slow:{latency}@/v1/evidence"]) as server:
            configure(home, server.url)
            with started(home, deliver()) as process:
                first = when(lambda: requests(server) > 0, process.popen.poll)
                last = when(lambda: server.accepted() >= items, process.popen.poll)
            statuses = server.statuses()
    return Drain(rate, items, last - first, last - process.started, statuses[429] / statuses.total())


def requests(server: Sandbox) -> int:
    """That came in, answered or not: the latency strikes each."""
    return int(server.get("/_sandbox/state")["struck"].get("slow", 0))


def when(holds: Callable[[], bool], ended: Callable[[], int | None]) -> float:
    """The instant at which something is first seen to hold."""
    while not holds():
        if ended() is not None and not holds():
            raise SystemExit(f"the agent ended with {ended()} before all was accepted")
        time.sleep(_LOOK)
    return time.monotonic()


def main() -> None:
    told = arguments()
    report = Report("Goodput of one agent", f"Bodies of {told.size:,} bytes, answers after {told.latency}")
    for rate, items in ((100, told.items), (10, told.items_slow)):
        judge(report, drain(rate, items, told.size, told.latency))
    report.end()


def judge(report: Report, drained: Drain) -> None:
    goodput, name = drained.goodput(drained.sending), f"{drained.rate:g}/s"
    row = (
        f"{drained.items:,}",
        f"{drained.sending:.1f}",
        f"{goodput:.1%}",
        f"{drained.goodput(drained.whole):.1%}",
        f"{drained.refused:.2%}",
    )
    report.table((name, "items", "seconds", "goodput", "from the process's start", "429"), [("", *row)])
    report.target(f"{name}: goodput at least 98 %", f"{goodput:.1%}", met=goodput >= 0.98)
    report.target(f"{name}: 429 at most 0.5 %", f"{drained.refused:.2%}", met=drained.refused <= 0.005)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=2000, help="delivered at 100 a second")
    parser.add_argument("--items-slow", type=int, default=2000, help="delivered at 10 a second: 2,000 take 200 s")
    parser.add_argument("--size", type=int, default=5000, help="bytes of a body")
    parser.add_argument("--latency", default="200ms")
    return parser.parse_args()


if __name__ == "__main__":
    main()
