"""The power is cut: what was acknowledged is there when the file system comes back.

The writer is stopped at a random instant and the device copied as it is; mounting the copy replays its journal. The
simulation knows no torn sectors and no writes out of order: a control shows that it does lose what was not flushed.
"""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager

import pytest

from agent.exit import Exit
from agent.sandbox.options import Options
from agent.sandbox.server import running
from tests.command import ROOT, eventually
from tests.faults.account import account, queued
from tests.faults.disk import blank, cut, mounted
from tests.faults.homes import home
from tests.faults.tally import LONG

pytestmark = pytest.mark.usefixtures("loop_mounts")
MEGABYTES = 48


@contextmanager
def writing(kind, directory, acknowledged):
    command = [sys.executable, "-m", "tests.faults.writer", kind, str(directory)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (
        acknowledged.open("wb") as out,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def cut_while_writing(kind, directory, lots):
    """The device as the cut left it, and the numbers that were acknowledged before."""
    image, out = blank(directory / "image", MEGABYTES), directory / "acknowledged"
    with mounted(image, directory / "disk") as disk:
        (disk / "state").mkdir(mode=0o700)
        with writing(kind, disk / "state", out) as process:
            eventually(lambda: out.stat().st_size > 0, "a first acknowledgement")
            time.sleep(lots.uniform(0.05, 1.0))
            process.send_signal(signal.SIGSTOP)
            numbers = [int(line) for line in out.read_text().splitlines()]
            copy = cut(image, directory / "copy")
    image.unlink()
    return copy, numbers


def test_power_cut(tmp_path, tally):
    """Each item whose put returned is there after the cut, and is delivered once."""
    lots = random.Random(7)
    for number in range(tally.times(2, 20)):
        directory = tmp_path / str(number)
        directory.mkdir()
        copy, numbers = cut_while_writing("outbox", directory, lots)
        with mounted(copy, directory / "disk") as disk, running(Options(rate=10_000)) as sandbox:
            agent = home(directory / "home", sandbox)
            agent.environment["CHEQUR_AGENT__STATE_DIR"] = str(disk / "state")
            assert agent.run("deliver").code == Exit.WELL
            told = account(agent, sandbox, queued(disk / "state"))
            tally.count(**told.counts)
            assert not told.problems
            taken = [each.payload["n"] for each in sandbox.evidence]
        copy.unlink()
        assert set(numbers) <= set(taken)
        assert len(set(taken)) == len(taken)


def test_power_cut_of_a_careless_writer(tmp_path, tally):
    """The control: where nothing is flushed the same cut loses what was acknowledged."""
    if not LONG:
        pytest.skip("a control of the simulation, which only `make faults` runs")
    copy, numbers = cut_while_writing("careless", tmp_path, random.Random(8))
    with mounted(copy, tmp_path / "disk") as disk:
        found = rows(disk / "state" / "careless.db")
    tally.count(items=len(numbers), accepted=len(found))
    assert set(numbers) - found


def rows(file):
    if not file.exists():
        return set()
    with closing(sqlite3.connect(file)) as database:
        try:
            return {row[0] for row in database.execute("SELECT id FROM item")}
        except sqlite3.Error:
            return set()
