"""What reading AWS costs: calls, time, CPU and memory of a whole run, beside a plain boto3 loop that reads the same.

    python -m benchmarks.aws [--fleet small] [--fleet large] [--fleet accounts] [--fleet throttled]

AWS is moto, behind `benchmarks.far`, which answers after 50 ms and from memory. `chequr-agent collect --no-deliver`
reads all evidence types into an empty outbox; `benchmarks.aws_floor` asks for what they rest on, with 32 threads and
with one, and keeps nothing. Prowler and Cloud Custodian (`--peer`) look at the same account in their own way, as far as
`prowler` and `custodian` are on the PATH. Each reads once beforehand, so that all answers are at hand.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

from benchmarks.command import COMMAND, Process, started
from benchmarks.fleet import FIRST, role
from benchmarks.peers import PEERS
from benchmarks.report import Report
from benchmarks.servers import Server, first_line
from collectors.registry import evidence_types
from tests.fakes.aws import ENVIRONMENT, REGIONS

_CALLS, _WALL, _MEMORY, _PROWLER = 1.05, 1.25, 150e6, 25.0
_DELAY = 0.05


@dataclass(frozen=True)
class Fleet:
    buckets: int
    users: int
    groups: int
    instances: int
    accounts: int = 1
    limit: float | None = None

    def arguments(self) -> list[str]:
        names = ("accounts", "buckets", "users", "groups", "instances")
        return [part for name in names for part in (f"--{name}", str(getattr(self, name)))]

    @property
    def roles(self) -> list[str]:
        """Those of the further accounts."""
        return [role(FIRST + number) for number in range(1, self.accounts)]


FLEETS = {
    "small": Fleet(buckets=50, users=100, groups=20, instances=20),
    "large": Fleet(buckets=1000, users=2000, groups=500, instances=500),
    "accounts": Fleet(buckets=5, users=10, groups=10, instances=10, accounts=10),
    "organization": Fleet(buckets=5, users=10, groups=10, instances=10, accounts=100),
    "throttled": Fleet(buckets=150, users=10, groups=10, instances=10, limit=50.0),
}


@dataclass(frozen=True)
class Reading:
    """One subject's whole run, and what it asked for."""

    name: str
    process: Process
    asked: dict[str, Any]

    @property
    def calls(self) -> int:
        return int(self.asked["calls"])


@contextmanager
def fleet(home: Path, size: Fleet) -> Iterator[str]:
    """The endpoint of a moto server with all of it."""
    with started(home, [sys.executable, "-m", "benchmarks.fleet", *size.arguments()]) as process:
        yield first_line(process.popen.stdout)


@contextmanager
def far(home: Path, upstream: str, *, limit: float | None = None) -> Iterator[Server]:
    command = [sys.executable, "-m", "benchmarks.far", upstream, "--delay", str(_DELAY)]
    with started(home, [*command, *(["--limit", str(limit)] if limit else [])]) as process:
        yield Server(first_line(process.popen.stdout))


def configure(home: Path, endpoint: str, size: Fleet) -> None:
    accounts = ", ".join(["{}", *(f'{{ role_arn = "{each}" }}' for each in size.roles)])
    lines = [
        'state_dir = "state"',
        "[controls]",
        "discover = false",
        "[controls.map]",
        *(f'{kind.id} = ["ctrl_ac_02"]' for kind in evidence_types("aws")),
        "[collectors.aws]",
        f"accounts = [{accounts}]",
        f"regions = {json.dumps(REGIONS)}",
        f'endpoint_url = "{endpoint}"',
    ]
    (home / "config.toml").write_text("\n".join(lines), encoding="utf-8")


def agent(home: Path, server: Server, size: Fleet) -> Reading:
    with tempfile.TemporaryDirectory(dir=home) as place:
        configure(Path(place), server.url, size)
        command: list[str | Path] = [COMMAND, "collect", "--config", "config.toml", "--no-deliver"]
        return read(Path(place), server, "chequr-agent collect", command)


def floor(home: Path, server: Server, size: Fleet, threads: int) -> Reading:
    command = [sys.executable, "-m", "benchmarks.aws_floor", server.url, "--threads", str(threads)]
    for each in size.roles:
        command += ["--role", each]
    return read(home, server, f"boto3, {threads} thread{'s' * (threads > 1)}", command)


def peer(home: Path, server: Server, name: str) -> Reading:
    with tempfile.TemporaryDirectory(dir=home) as place:
        return read(Path(place), server, name, PEERS[name](Path(place)))


def read(home: Path, server: Server, name: str, command: Sequence[str | Path]) -> Reading:
    server.get("/_far/state")
    environment = ENVIRONMENT | {"AWS_ENDPOINT_URL": server.url, "AWS_DEFAULT_REGION": REGIONS[0]}
    with started(home, command, environment, stdout=DEVNULL) as process:
        process.watch()
    return Reading(name, process, server.get("/_far/state"))


def compare(
    report: Report, title: str, size: Fleet, threads: Sequence[int], peers: Sequence[str]
) -> tuple[Reading, Reading, dict[str, Reading]]:
    """The agent's reading, that of the floor with the most threads, and those of the peers."""
    with tempfile.TemporaryDirectory(prefix="chequr-aws-") as place, fleet(Path(place), size) as upstream:
        home = Path(place)
        with far(home, upstream, limit=None) as server:
            agent(home, server, size)
            floor(home, server, size, max(threads))
            for name in peers:
                peer(home, server, name)
            ours = agent(home, server, size)
            floors = [floor(home, server, size, number) for number in threads]
            others = {name: peer(home, server, name) for name in peers}
    report.table(
        (title, "calls", "distinct", "wall s", "CPU s", "peak MB", "calls against floor", "wall against floor"),
        [row(each, floors[0]) for each in (ours, *floors, *others.values())],
    )
    return ours, floors[0], others


def row(reading: Reading, beside: Reading) -> tuple[str, ...]:
    return (
        reading.name,
        f"{reading.calls:,}",
        f"{reading.asked['distinct']:,}",
        f"{reading.process.seconds:.1f}",
        f"{reading.process.cpu:.1f}",
        f"{reading.process.peak / 1e6:.0f}",
        f"{reading.calls / beside.calls:.3f}",
        f"{reading.process.seconds / beside.process.seconds:.2f}",
    )


def judge(report: Report, name: str, ours: Reading, bare: Reading) -> None:
    calls, wall = ours.calls / bare.calls, ours.process.seconds / bare.process.seconds
    report.target(f"{name}: calls at most {_CALLS} of the loop's", f"{calls:.3f}", met=calls <= _CALLS)
    report.target(f"{name}: time at most {_WALL} of the loop's with 32 threads", f"{wall:.2f}", met=wall <= _WALL)
    if repeated := ours.asked["repeated"]:
        report.target(f"{name}: nothing asked twice", str(repeated), met=False)
    memory = ours.process.peak
    report.target(f"{name}: less than 150 MB", f"{memory / 1e6:.0f} MB", met=memory < _MEMORY)


def throttled(report: Report, size: Fleet) -> None:
    """A service that takes 50 reads a second of an account in a region; moto lists one region's buckets first."""
    with tempfile.TemporaryDirectory(prefix="chequr-aws-") as place, fleet(Path(place), size) as upstream:
        with far(Path(place), upstream) as server:
            free = agent(Path(place), server, size)
        with far(Path(place), upstream, limit=size.limit) as server:
            agent(Path(place), server, size)
            ours = agent(Path(place), server, size)
    reads = [times for name, times in free.asked["operations"].items() if name.startswith("s3:")]
    ideal = sum(reads) / (size.limit or 1)
    refused = ours.asked["throttled"] / ours.calls
    slower = ours.process.seconds / ideal
    heads = ("S3 at 50 reads a second", "reads", "ideal s", "wall s", "of the ideal", "throttled")
    row = ("chequr-agent collect", str(sum(reads)), f"{ideal:.1f}", f"{ours.process.seconds:.1f}", f"{slower:.2f}")
    report.table(heads, [(*row, f"{refused:.1%}")])
    report.target("throttled: at most 1.5 of the ideal time", f"{slower:.2f}", met=slower <= 1.5)
    report.target("throttled: at most 3 % refused", f"{refused:.1%}", met=refused <= 0.03)
    code = ours.process.popen.returncode
    report.target(
        "throttled: nothing lost, so the same exit code", str(code), met=code == free.process.popen.returncode
    )


def main() -> None:
    told = arguments()
    report = Report("Reading AWS", f"moto behind {_DELAY * 1000:.0f} ms a call, all evidence types, two regions")
    peaks: dict[str, int] = {}
    for name in told.fleet or FLEETS:
        size = FLEETS[name]
        if size.limit:
            throttled(report, size)
            continue
        threads = (32,) if told.fast or size.accounts > 1 else (32, 1)
        title = f"{name}: {size.accounts * size.buckets:,} buckets"
        ours, bare, others = compare(report, title, size, threads, told.peer or ())
        judge(report, name, ours, bare)
        peaks[name] = ours.process.peak
        if name == "large" and "prowler" in others:
            faster = others["prowler"].process.seconds / ours.process.seconds
            report.target("large: 25 times faster than Prowler", f"{faster:.0f}", met=faster >= _PROWLER)
    if {"accounts", "organization"} <= peaks.keys():
        growth = (peaks["organization"] - peaks["accounts"]) / 1e6
        report.target("from 10 to 100 accounts: memory grows by less than 10 MB", f"{growth:.0f} MB", met=growth < 10)
    report.end()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fleet", action="append", choices=FLEETS, help="only this one; may be repeated")
    parser.add_argument("--peer", action="append", choices=PEERS, help="look with it, too; may be repeated")
    parser.add_argument("--fast", action="store_true", help="leave the loop of one thread out")
    return parser.parse_args()


if __name__ == "__main__":
    main()
