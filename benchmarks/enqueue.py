"""How fast evidence becomes durable: the outbox, beside two other queues on SQLite and a plain file.

    python -m benchmarks.enqueue

Each store takes the same bodies in the same directory, in turn, round after round; a figure is the median of the
rounds. Bodies are made before the clock runs; what `Outbox.put` does to them (key, digest, zstd) is in its time. What
one store left to be written is flushed before the next one's turn. Grouped means many in one transaction, which
SQLiteAckQueue cannot: it commits each. Four threads are what a collection puts from. LiteQueue does not flush at a
commit (synchronous=NORMAL), so that a power cut loses what it took last. The file is the floor: the bodies appended as
they are, and fdatasync.
"""

import argparse
import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from agent.evidence import Evidence
from agent.outbox import Outbox
from agent.store import Store
from benchmarks.bodies import pieces
from benchmarks.report import Report

Put = Callable[[Sequence[Evidence]], object]
OURS, PEER = "chequr-agent outbox", "SQLiteAckQueue"


@dataclass(frozen=True)
class Cell:
    """`items` of about `size` bytes a round, `group` of them at once, from so many `threads`."""

    name: str
    size: int
    items: int
    group: int
    threads: int = 1


@contextmanager
def outbox(directory: Path) -> Iterator[Put]:
    with Store(directory / "outbox") as store:
        queue = Outbox(store)
        yield lambda group: queue.put("aws", "123456789012", group, None, now=time.time())


@contextmanager
def ack_queue(directory: Path) -> Iterator[Put]:
    from persistqueue import SQLiteAckQueue

    with closing(SQLiteAckQueue(str(directory / "ack"), multithreading=True)) as queue:
        yield lambda group: [queue.put(each.body) for each in group]


@contextmanager
def lite_queue(directory: Path) -> Iterator[Put]:
    from litequeue import LiteQueue

    queue = LiteQueue(directory / "lite.db")

    def put(group: Sequence[Evidence]) -> None:
        with queue.transaction():
            for each in group:
                queue.put(each.body.decode())

    with closing(queue.conn):
        yield put


@contextmanager
def file(directory: Path) -> Iterator[Put]:
    with (directory / "file").open("ab", buffering=0) as stream:

        def put(group: Sequence[Evidence]) -> None:
            stream.write(b"".join(each.body for each in group))
            os.fdatasync(stream.fileno())

        yield put


STORES = {OURS: outbox, PEER: ack_queue, "append + fdatasync": file}
FOR_ONE_THREAD = {"LiteQueue (not durable)": lite_queue}


def measure(cell: Cell, rounds: int, directory: Path) -> dict[str, tuple[float, float]]:
    """For each store the medians: items a second, and milliseconds of CPU an item."""
    stores = STORES if cell.threads > 1 else STORES | FOR_ONE_THREAD
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in stores}
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(cell.threads))
        puts = {name: stack.enter_context(store(directory)) for name, store in stores.items()}
        for number in range(rounds):
            turn = number % len(puts)  # each store is the first of a round as often as any other
            for name, put in [*puts.items()][turn:] + [*puts.items()][:turn]:
                made = list(pieces(number * cell.items, cell.items, cell.size))
                os.sync()
                groups = [made[at : at + cell.group] for at in range(0, cell.items, cell.group)]
                taken[name].append(timed(put, groups, pool if cell.threads > 1 else None))
    spent = {name: [median(column) / cell.items for column in zip(*took, strict=True)] for name, took in taken.items()}
    return {name: (1 / wall, cpu * 1000) for name, (wall, cpu) in spent.items()}


def timed(put: Put, groups: Sequence[Sequence[Evidence]], pool: Executor | None) -> tuple[float, float]:
    """Seconds on the clock, and of CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    deque((map if pool is None else pool.map)(put, groups), maxlen=0)
    return time.perf_counter() - wall, time.process_time() - cpu


def file_system(path: Path) -> str:
    """The kind of the file system that a directory is on."""
    mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    return max((len(point), kind) for point, kind in mounts if path.resolve().is_relative_to(point))[1]


def main() -> None:
    told = arguments()
    kind = file_system(told.directory)
    if kind == "tmpfs":
        raise SystemExit(f"{told.directory} is in memory, where nothing is durable: name a --directory on a disk")
    report = Report("Durable enqueue", f"Medians of {told.rounds} interleaved rounds, on {kind}")
    for cell in (
        Cell("10 KB, one at a time", 10_000, told.small, 1),
        Cell("10 KB, one at a time from four threads", 10_000, told.small, 1, threads=4),
        Cell("10 KB, 50 at once", 10_000, told.small, 50),
        Cell("500 KB, one at a time", 500_000, told.large, 1),
        Cell("500 KB, 10 at once", 500_000, told.large, 10),
    ):
        compare(report, cell, told.rounds, told.directory)
    report.end()


def compare(report: Report, cell: Cell, rounds: int, directory: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="chequr-enqueue-", dir=directory) as place:
        figures = measure(cell, rounds, Path(place))
    peer = figures[PEER][0]
    rows = [(name, f"{rate:,.0f}", f"{cpu:.3f}", f"{rate / peer:.2f}") for name, (rate, cpu) in figures.items()]
    report.table((cell.name, "items/s", "CPU ms/item", f"against {PEER}"), rows)
    ratio = figures[OURS][0] / peer
    report.target(f"{cell.name}: ahead of {PEER}", f"{ratio:.2f} times as fast", met=ratio > 1)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, default=Path.cwd(), help="on the disk to measure")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--small", type=int, default=400, help="items of 10 KB a round")
    parser.add_argument("--large", type=int, default=40, help="items of 500 KB a round")
    return parser.parse_args()


if __name__ == "__main__":
    main()
