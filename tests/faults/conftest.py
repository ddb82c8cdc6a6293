"""What the fault tests share: short or long, a tally each, and the table at the end.

`make faults` sets FAULTS=long, which repeats each fault often enough for rare losses to show.
"""

import shutil
import subprocess
from dataclasses import asdict

import pytest

from tests.faults.disk import Unmountable, blank, mounted
from tests.faults.homes import home
from tests.faults.preload import Preload, build
from tests.faults.tally import LONG, Tally, lines

_TALLY = pytest.StashKey[Tally]()
TALLY = "tally of a fault"


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
    item.stash[_TALLY] = Tally(item.name.removeprefix("test_").replace("_", " "))


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
    if report.when == "teardown":
        report.user_properties.append((TALLY, asdict(tally)))  # the way from a worker's process to the table
    return report


def pytest_terminal_summary(terminalreporter):
    told = {
        report.nodeid: Tally(**value)
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == TALLY
    }
    if told:
        terminalreporter.section("faults, long" if LONG else "faults, short: `make faults` repeats them")
        for line in lines(tally for _, tally in sorted(told.items())):
            terminalreporter.line(line)
