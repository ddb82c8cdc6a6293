"""What delivering costs this machine: CPU and memory of the agent's process, beside those of the barest uploader.

    python -m benchmarks.footprint

`chequr-agent deliver` drains a filled outbox over TLS into `benchmarks.receiver`, once as fast as it can and once at
100 requests a second. The floor is `benchmarks.sender`: the same bodies from a file, by http.client from eight threads
over TLS, with nothing kept of it. All three are processes of their own. CPU and time are of the whole process, its
start and its end included; memory is the most that it held at once.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agent.evidence import Evidence
from benchmarks.bodies import pieces
from benchmarks.command import Process, configure, deliver, fill, started
from benchmarks.report import Report
from benchmarks.servers import Server, receiver

_UNPACED = 100_000.0  # a limit that nobody reaches
_TARGET = 0.25  # of one core, at 100 requests a second


@dataclass(frozen=True)
class Load:
    name: str
    items: int
    size: int
    rate: float | None

    def evidence(self) -> Iterable[Evidence]:
        return pieces(0, self.items, self.size)


def measure(load: Load, home: Path) -> tuple[Process, Process]:
    """The agent's process and the floor's, both ended."""
    with receiver(home, limit=load.rate or _UNPACED, tls=True) as server:
        return agent(load, server, home), floor(load, server, home)


def agent(load: Load, server: Server, home: Path) -> Process:
    fill(home, load.evidence())
    configure(home, server.url, ca_file=server.ca_file)
    before = int(server.get("/state")["posts"])
    with started(home, deliver()) as process:
        process.watch()
    check(load, server, before)
    return process


def floor(load: Load, server: Server, home: Path) -> Process:
    with (home / "bodies").open("wb") as stream:
        stream.writelines(each.body + b"\n" for each in load.evidence())
    command = [sys.executable, "-m", "benchmarks.sender", server.url, "bodies", "--ca-file", str(server.ca_file)]
    before = int(server.get("/state")["posts"])
    with started(home, [*command, *(["--rate", str(load.rate)] if load.rate else [])]) as process:
        process.watch()
    check(load, server, before)
    return process


def check(load: Load, server: Server, before: int) -> None:
    sent = int(server.get("/state")["posts"]) - before
    if sent != load.items:
        raise SystemExit(f"{sent} of {load.items} items came in: there is nothing to compare")


def compare(report: Report, load: Load) -> tuple[Process, Process]:
    with tempfile.TemporaryDirectory(prefix="chequr-footprint-") as place:
        ours, bare = measure(load, Path(place))
    rows = [row(name, load, each, bare) for name, each in (("chequr-agent deliver", ours), ("http.client", bare))]
    report.table((load.name, "CPU s", "CPU ms/item", "of one core", "items/s", "peak MB", "CPU against floor"), rows)
    return ours, bare


def row(name: str, load: Load, process: Process, beside: Process) -> tuple[str, ...]:
    return (
        name,
        f"{process.cpu:.2f}",
        f"{process.cpu / load.items * 1000:.2f}",
        f"{process.cpu / process.seconds:.1%}",
        f"{load.items / process.seconds:,.0f}",
        f"{process.peak / 1e6:.0f}",
        f"{process.cpu / beside.cpu:.1f}",
    )


def main() -> None:
    told = arguments()
    report = Report("CPU and memory of a delivery", "Over TLS on loopback, whole processes")
    compare(report, Load(f"{told.small:,} of 5 KB", told.small, 5000, None))
    compare(report, Load(f"{told.large:,} of 900 KB", told.large, 900_000, None))
    paced, _ = compare(report, Load(f"{told.paced:,} of 5 KB at 100/s", told.paced, 5000, 100.0))
    share = paced.cpu / paced.seconds
    report.target("100/s of 5 KB: at most 25 % of one core", f"{share:.1%}", met=share <= _TARGET)
    report.end()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=10_000, help="items of 5 KB, as fast as it goes")
    parser.add_argument("--large", type=int, default=1000, help="items of 900 KB, as fast as it goes")
    parser.add_argument("--paced", type=int, default=6000, help="items of 5 KB, at 100 a second")
    return parser.parse_args()


if __name__ == "__main__":
    main()
