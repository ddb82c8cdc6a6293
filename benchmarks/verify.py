"""What it costs to prove that everything arrived: time and memory, by how much there is to compare.

    python -m benchmarks.verify

A ledger is filled by way of `Outbox`, and a sandbox with the same evidence in its audit log, among as many entries of
others. `chequr-agent verify` compares them at the API's limit of 100 requests a second. Memory is the most that its
process held; beside it stands what `chequr-agent status` holds, which is the floor.
"""

import argparse
import hashlib
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from agent.arrival import LISTED
from agent.evidence import stamp
from agent.items import Accept
from agent.outbox import Outbox
from agent.sandbox.audit import Actor, append
from agent.sandbox.clock import Clock
from agent.sandbox.workspace import Workspace
from agent.store import Store
from benchmarks.bodies import CONTROL, pieces
from benchmarks.command import COMMAND, Process, configure, started
from benchmarks.report import Report
from benchmarks.servers import first_line

_SPAN = 6 * 86400.0  # seconds over which the evidence came in
_GROUP = 2000  # items in one transaction
_MORE = 10e6  # bytes that ten times as much may take


def fill(home: Path, number: int) -> None:
    """As many entries of a ledger, and a sandbox whose audit log has them."""
    begun = time.time() - _SPAN - 3600
    with Store(home / "state") as store, closing(Workspace(str(home / "sandbox.db"), Clock())) as workspace:
        outbox, evidence = Outbox(store), pieces(0, number, 300)
        while group := list(islice(evidence, _GROUP)):
            outbox.put("aws", "123456789012", group, None, now=time.time())
            while claimed := outbox.claim(_GROUP, now=time.time()):
                taken = {each.item.id: begun + _SPAN * each.item.id / number for each in claimed}
                outbox.settle([receipt(*each) for each in taken.items()], now=time.time())
                log(workspace, taken)
        show(workspace, number)


def receipt(item_id: int, at: float) -> Accept:
    return Accept(item_id, name(item_id), datetime.fromtimestamp(int(at), UTC), f"req_{item_id:020}")


def name(item_id: int) -> str:
    """Spread like the API's own: an index of them has no end that grows."""
    return f"ev_{hashlib.sha256(str(item_id).encode()).hexdigest()[:20]}"


def log(workspace: Workspace, taken: dict[int, float]) -> None:
    with workspace.transaction():
        for item_id, at in taken.items():
            workspace.clock.offset = at - time.time()
            append(workspace, Actor("api_key", "key_live_ours"), "evidence.submitted", name(item_id))
            append(workspace, Actor("user", "usr_1", "Somebody"), "control.policy_updated", CONTROL)


def show(workspace: Workspace, number: int) -> None:
    """The control has the last ones, as many as it shows."""
    at = [stamp(each.collected_at) for each in pieces(number - LISTED, LISTED, 300)]
    columns = "id, control_id, source, collected_at, signal, created_at, key_id, body"
    for item_id, collected in enumerate(at, number - LISTED + 1):
        values = (name(item_id), CONTROL, "aws", collected, "pass", int(time.time()), "key_live_ours", b"{}")
        workspace.write(f"INSERT INTO evidence ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *values)


@contextmanager
def sandbox(home: Path) -> Iterator[str]:
    command: list[str | Path] = [COMMAND, "sandbox", "--port", "0", "--state", "sandbox.db"]
    with started(home, command) as process:
        yield first_line(process.popen.stdout).split()[-1]


def run(home: Path, *arguments: str) -> Process:
    with started(home, [COMMAND, *arguments, "--config", "config.toml"]) as process:
        process.watch()
        if process.popen.returncode:
            raise SystemExit(f"it ended with {process.popen.returncode}: {process.popen.stdout.read()}")
    return process


def measure(number: int) -> tuple[Process, Process]:
    """The verification, and the floor."""
    with tempfile.TemporaryDirectory(prefix="chequr-verify-") as place:
        home = Path(place)
        fill(home, number)
        with sandbox(home) as url:
            configure(home, url)
            return run(home, "verify"), run(home, "status")


def main() -> None:
    told = arguments()
    report = Report("Proof of arrival", "The sandbox at 100 requests a second, twice as many entries in its audit log")
    sizes = (told.number // 10, told.number)
    few, many = (measure(number) for number in sizes)
    rows = [
        (f"{number:,}", f"{ours.seconds:.1f}", f"{ours.cpu:.1f}", f"{number / ours.seconds:,.0f}",
         f"{ours.peak / 1e6:.0f}", f"{ours.peak / floor.peak:.2f}")
        for number, (ours, floor) in zip(sizes, (few, many), strict=True)
    ]  # fmt: skip
    report.table(("entries of the ledger", "s", "CPU s", "entries/s", "peak MB", "against status"), rows)
    more = many[0].peak - few[0].peak
    report.target("ten times as many: at most 10 MB more", f"{more / 1e6:.1f} MB", met=more <= _MORE)
    report.end()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=100_000, help="entries, and a tenth of them")
    return parser.parse_args()


if __name__ == "__main__":
    main()
