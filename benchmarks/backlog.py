"""What a very large backlog costs: the start, the memory, and the disk.

    python -m benchmarks.backlog --cache ~/.cache/chequr-backlog

A million small items are made owed through `Outbox.put`, once: --cache names a directory to keep them in. Each start
has a fresh copy of them, none of it in the page cache. The time runs from before the fork of `chequr-agent deliver`,
or `run`, to the first request that `benchmarks.receiver` sees; beside it the same start with one item owed, which is
the floor. A figure is the median of several starts, after one that does not count, which compiles Python's bytecode.
Memory is the most that the process held in its first 30 seconds. Disk is what the file system gave to the database of
100,000 items of 5 KB once it is closed, against the plain size of their bodies.
"""

import argparse
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.bodies import pieces
from benchmarks.command import COMMAND, configure, deliver, fill, started
from benchmarks.report import Report
from benchmarks.servers import receiver

_COMMANDS: dict[str, list[str | Path]] = {"deliver": deliver(), "run": [COMMAND, "run", "--config", "config.toml"]}
_STORED = 5000


@dataclass(frozen=True)
class Start:
    first: float
    """Seconds until the first request."""
    peak: int
    """Bytes of memory."""


def filled(cache: Path, items: int, size: int) -> Path:
    """A home with so many items owed, made now if it is not there; a fill that was cut short does not count."""
    home = cache / f"{items}-of-{size}"
    if not home.is_dir():
        unfinished = Path(tempfile.mkdtemp(dir=cache))
        fill(unfinished, pieces(0, items, size))
        unfinished.rename(home)
    return home


@contextmanager
def fresh(home: Path) -> Iterator[Path]:
    """A copy of a home on the same file system, that is on the disk only."""
    with tempfile.TemporaryDirectory(dir=home.parent) as place:
        copy = Path(place) / "home"
        shutil.copytree(home, copy)
        os.sync()
        for file in copy.rglob("state.*"):
            with file.open("rb") as stream:
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        yield copy


def start(original: Path, command: str, seconds: float, environment: dict[str, str]) -> Start:
    with fresh(original) as home, receiver(home, limit=100, tls=False) as server:
        configure(home, server.url)
        with started(home, _COMMANDS[command], environment) as process:
            process.watch(seconds)
            first = server.get("/state")["first"]
            if first is None:
                raise SystemExit(f"no request within {seconds:g} seconds: {process.log.read_text(encoding='utf-8')}")
            return Start(first - process.started, process.peak)


def starts(home: Path, command: str, number: int, seconds: float, environment: dict[str, str]) -> Start:
    """The medians. The first start is not one of them; only the last one is watched for its memory."""
    quick = [start(home, command, 5, environment) for _ in range(number)][1:]
    last = start(home, command, seconds, environment)
    return Start(median(each.first for each in [*quick, last]), last.peak)


def on_disk(home: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in (home / "state").glob("state.db*"))


def main() -> None:
    told = arguments()
    report = Report(
        "A large backlog", f"{told.items:,} items of {told.size:,} bytes; {told.starts} starts of each, from the disk"
    )
    with tempfile.TemporaryDirectory(prefix="chequr-backlog-", dir=Path.cwd()) as place:
        cache = told.cache or Path(place)
        cache.mkdir(parents=True, exist_ok=True)
        for command in _COMMANDS:
            begin(report, command, cache, told)
        store(report, filled(cache, told.stored, _STORED), told.stored)
    report.end()


def begin(report: Report, command: str, cache: Path, told: argparse.Namespace) -> None:
    environment = {"CHEQUR_AGENT__OUTBOX__MAX_BYTES": str(told.max_bytes)} if told.max_bytes else {}
    full, one = (
        starts(filled(cache, items, told.size), command, told.starts, told.seconds, environment)
        for items in (told.items, 1)
    )
    rows = [
        (f"{items:,} owed", f"{each.first:.2f}", f"{each.peak / 1e6:.0f}", f"{each.first / one.first:.2f}")
        for items, each in ((told.items, full), (1, one))
    ]
    report.table((command, "s to first request", "peak MB", "time against 1 owed"), rows)
    report.target(f"{command}: first request in less than 1 s", f"{full.first:.2f} s", met=full.first < 1)
    report.target(f"{command}: less than 80 MB", f"{full.peak / 1e6:.0f} MB", met=full.peak < 80e6)


def store(report: Report, home: Path, items: int) -> None:
    plain = sum(len(each.body) for each in pieces(0, items, _STORED))
    used = on_disk(home)
    row = (f"{items:,} of 5 KB", f"{plain / 1e6:.0f}", f"{used / 1e6:.0f}", f"{used / plain:.2f}")
    report.table(("disk", "plain MB", "on disk MB", "against plain"), [row])
    report.target("on disk: less than half of the plain size", f"{used / plain:.2f}", met=used < plain / 2)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=300, help="bytes of a body")
    parser.add_argument("--stored", type=int, default=100_000, help="items of 5 KB whose size on disk is looked at")
    parser.add_argument("--starts", type=int, default=5, help="of each command")
    parser.add_argument("--seconds", type=float, default=30.0, help="that memory is watched for")
    parser.add_argument("--cache", type=Path, help="a directory in which the filled databases are kept")
    parser.add_argument(
        "--max-bytes", type=int, default=8 << 30, help="of the database; 0 for an agent that does not know that key"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
