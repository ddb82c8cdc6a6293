"""What the service tells systemd, in datagrams to a socket such as systemd listens on."""

import asyncio
import os
import signal
import socket
import time

import pytest

from agent.exit import Exit
from agent.sandbox.options import Options
from agent.sandbox.server import running
from agent.systemd import ServiceManager
from agent.vitals import Vitals
from tests.command import eventually, make_agent


class Manager:
    """As much of systemd as listens. `told` are the datagrams, each by its facts, in the order in which they came."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(0)
        self._told = []

    @property
    def told(self):
        while True:
            try:
                datagram = self._socket.recv(4096).decode()
            except BlockingIOError:
                return self._told
            self._told.append(dict(line.split("=", 1) for line in datagram.split("\n")))

    def heard(self, fact, since=0):
        return [facts for facts in self.told[since:] if fact in facts]

    def hears(self, fact, times=1, since=0):
        eventually(lambda: len(self.heard(fact, since)) >= times, f"{fact} in {self.told}")
        return self.heard(fact, since)[-1]

    def close(self):
        self._socket.close()


@pytest.fixture
def manager(tmp_path):
    listening = Manager(tmp_path / "notify")
    yield listening
    listening.close()


@pytest.fixture
def agent(tmp_path):
    with running(Options(rate=10_000)) as sandbox:
        made = make_agent(tmp_path, sandbox)
        made.environment.update(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="3000000")
        yield made


def test_ready_alive_and_stopping(agent, manager):
    """Ready once it is at work, alive three times in the watchdog's time, stopping at the end, in words for people."""
    with agent.started("run") as daemon:
        assert manager.hears("READY")["STATUS"] == "Started."
        eventually(lambda: manager.hears("WATCHDOG")["STATUS"] == "Nothing is owed.", str(manager.told))
        manager.hears("WATCHDOG", times=3)
        assert daemon.stop() == Exit.WELL
    assert manager.heard("READY")[0] == manager.told[0]


def test_a_state_that_cannot_be_read_is_no_reason_to_be_killed(manager, store, tmp_path, monkeypatch):
    """A service whose parts turn goes on to say that it lives, and tells what it cannot read."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "300000")
    store.close()

    async def main():
        telling = asyncio.create_task(Vitals(store, ServiceManager(), time.monotonic).tell(asyncio.Event(), []))
        await asyncio.to_thread(manager.hears, "WATCHDOG", 1)
        telling.cancel()

    asyncio.run(main())
    assert "cannot be used: it was closed." in manager.heard("WATCHDOG")[0]["STATUS"]


def test_a_stop_that_takes_its_time_says_so(agent, manager):
    """While an answer is waited for after SIGTERM more time is asked for, and no sign of life is given any more."""
    with running(Options(rate=10_000, faults=("slow:4s@/v1/evidence",))) as sandbox:
        agent.url = sandbox.url
        agent.configure()
        agent.environment["CHEQUR_TOKEN"] = sandbox.write
        with agent.started("run") as daemon:
            manager.hears("WATCHDOG", times=2)
            daemon.signal(signal.SIGTERM)
            assert int(manager.hears("STOPPING", times=2)["EXTEND_TIMEOUT_USEC"]) > 1_000_000
            assert daemon.ended() == Exit.WELL


def test_reloads(agent, manager):
    """A reload is told in one datagram with its time, then how it ended; a bad configuration leaves the old one."""
    with agent.started("run") as daemon:
        manager.hears("WATCHDOG")
        for text, words in ((agent.config.read_text(), "read again"), ("[nonsense]\n", "stays in force")):
            agent.config.write_text(text)
            before = len(manager.told)
            daemon.signal(signal.SIGHUP)
            assert words in manager.hears("READY", since=before)["STATUS"]
            reloading = manager.heard("RELOADING", since=before)[0]
            assert abs(int(reloading["MONOTONIC_USEC"]) / 1e6 - time.monotonic()) < 30
        manager.hears("WATCHDOG", since=len(manager.told))
        assert daemon.stop() == Exit.WELL


def test_a_hold_is_in_the_status(agent, manager):
    """What keeps evidence from being delivered is said where `systemctl status` shows it."""
    agent.environment["CHEQUR_TOKEN"] = "wrong"
    with agent.started("run"):
        eventually(lambda: manager.hears("WATCHDOG")["STATUS"].startswith("Held: "), str(manager.told))


def test_another_process_has_the_watchdog(agent, manager):
    """A watchdog that is meant for another process is not answered more often than people want to read a status."""
    agent.environment["WATCHDOG_PID"] = str(os.getpid())
    with agent.started("run"):
        manager.hears("READY")
        time.sleep(1)
        assert len(manager.heard("WATCHDOG")) <= 1
