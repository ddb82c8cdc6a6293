"""What all tests share: the doors by which each source's written answers are played."""

import os
import signal
from importlib import import_module
from importlib.metadata import entry_points

import pytest
from agent_fixtures import Delivery

from agent.sandbox.options import Options
from agent.sandbox.server import running
from agent.store import Store

CONFORMANCE = "collectors.conformance"

# Installed, the plugin comes by its entry point; pytest refuses the same module under a second name.
_installed = any(point.value == CONFORMANCE for point in entry_points(group="pytest11"))
pytest_plugins = [] if _installed else [CONFORMANCE]


def pytest_chequr_replay(source, answers, settings, run):
    if source not in {"aws", "github", "manual", "okta"}:
        return None
    return import_module(f"replay_{source}").replay(answers, settings, run)


@pytest.fixture(scope="session", autouse=True)
def _interruptible():
    """A shell starts what it puts into the background with Ctrl-C ignored, and so would be all that tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _runtime_directory(tmp_path_factory):
    """What agents of one host share is not shared with those outside the tests."""
    os.environ["RUNTIME_DIRECTORY"] = str(tmp_path_factory.mktemp("run"))


@pytest.fixture
def sandbox():
    """A Chequr API whose limit no test reaches."""
    with running(Options(rate=10_000)) as started:
        yield started


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "state") as store:
        yield store


@pytest.fixture
def delivery(store, sandbox, tmp_path):
    return Delivery(store, sandbox.url, sandbox.write, tmp_path)
