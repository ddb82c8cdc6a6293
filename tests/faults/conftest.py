"""What the fault tests share: short or long, a tally each, and the table at the end.

`make faults` sets FAULTS=long, which repeats each fault often enough for rare losses to show.
"""

import shutil
import subprocess

import pytest

from tests.faults.disk import Unmountable, blank, mounted
from tests.faults.homes import home
from tests.faults.preload import Preload, build
from tests.faults.tally import LONG, Tally, lines

_TALLY = pytest.StashKey[Tally]()
_TALLIES = pytest.StashKey[list[Tally]]()


@pytest.fixture
def tally(request):
    """What the test counts, and how often it repeats itself."""
    return request.node.stash[_TALLY]


@pytest.fixture
def agent(tmp_path, sandbox):
    return home(tmp_path / "home", sandbox)


@pytest.fixture(scope="session")
def loop_mounts(tmp_path_factory):
    """Skips where this machine cannot mount a file system from a file."""
    directory = tmp_path_factory.mktemp("loop")
    try:
        with mounted(blank(directory / "image", 8), directory / "disk"):
            pass
    except Unmountable as error:
        pytest.skip(f"no ext4 loop mounts here: {error}")


@pytest.fixture(scope="session")
def preload_library(tmp_path_factory):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler `cc` here, so fsync cannot fail and the clock cannot jump")
    try:
        return build(compiler, tmp_path_factory.mktemp("preload"))
    except subprocess.CalledProcessError as error:
        pytest.skip(f"cc cannot build tests/faults/preload.c: {error.stderr.strip().splitlines()[-1]}")


@pytest.fixture
def preload(preload_library, tmp_path):
    with Preload(preload_library, tmp_path / "preload.control") as control:
        yield control


def pytest_runtest_setup(item):
    tally = item.stash[_TALLY] = Tally(item.name.removeprefix("test_").replace("_", " "))
    item.config.stash.setdefault(_TALLIES, []).append(tally)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    tally = item.stash.get(_TALLY, None)
    if tally is None:
        return report
    if report.skipped:
        tally.verdict = f"SKIPPED: {call.excinfo.value}"
    elif report.failed:
        tally.verdict = "BROKEN"
    elif report.when == "call":
        tally.verdict = "kept"
    return report


def pytest_terminal_summary(terminalreporter, config):
    tallies = config.stash.get(_TALLIES, [])
    if tallies:
        terminalreporter.section("faults, long" if LONG else "faults, short: `make faults` repeats them")
        for line in lines(tallies):
            terminalreporter.line(line)
