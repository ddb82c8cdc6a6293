"""The service, as a process, against a sandbox: schedule, signals, and what survives them."""

import os
import signal
import sqlite3
import threading
import time
from contextlib import closing, contextmanager

import pytest

from agent.exit import Exit
from agent.lock import lock
from agent.sandbox.options import Options
from agent.sandbox.server import running
from agent.store import DATABASE
from tests import loopback
from tests.command import ROOT, UNSET, eventually, exactly_once, make_agent


@pytest.fixture
def agent(tmp_path, sandbox):
    return make_agent(tmp_path, sandbox)


@pytest.fixture(scope="module", autouse=True)
def paused(tmp_path_factory):
    """A service of two collectors, each with a run a minute, that was stopped dead right after its start: the agent,
    its process, and when its next runs are due. The other tests take their time meanwhile.
    """
    with running(Options(rate=10_000)) as sandbox:
        agent = make_agent(tmp_path_factory.mktemp("paused"), sandbox)
        table = (
            '[collectors.{}]\nsource = "manual"\npath = "evidence"\nschedule = "* * * * *"\ntimezone = "Asia/Tokyo"\n'
        )
        agent.configure(table.format("one") + table.format("two"))
        while time.time() % 60 > 40:  # no run is to fall due before it is stopped
            time.sleep(1)
        assert agent.run("collect").code == Exit.WELL
        with agent.started("run") as daemon:
            daemon.saw("agent.started")
            time.sleep(0.5)
            daemon.signal(signal.SIGSTOP)
            yield agent, daemon, time.time() // 60 * 60 + 60


@contextmanager
def being_written(path):
    """Somebody writes to a file all the while: a run that comes upon it waits."""
    done = threading.Event()

    def write():
        while not done.wait(0.05):
            path.touch()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        done.set()
        writer.join()


def runs(agent):
    """Each run's collector and outcome, None where it was cut short, oldest first."""
    with closing(sqlite3.connect(agent.state / DATABASE)) as database:
        return database.execute("SELECT collector, outcome FROM run ORDER BY id").fetchall()


def test_a_run_that_never_was_is_made_up_at_the_start_and_only_once(agent, sandbox):
    """The first start collects and delivers at once; a second start has nothing to make up."""
    with agent.started("run") as daemon:
        daemon.saw("evidence.accepted", times=2)
        assert daemon.stop() == Exit.WELL
    with agent.started("run") as daemon:
        daemon.saw("agent.started")
        time.sleep(0.5)
        assert daemon.stop() == Exit.WELL
    assert runs(agent) == [("manual", "complete")]
    assert exactly_once(sandbox, agent.state) == 2


def test_a_run_missed_while_the_machine_was_off_is_made_up_once(agent):
    """A machine that was off over many starts makes up one run."""
    assert agent.run("collect").code == Exit.WELL
    with closing(sqlite3.connect(agent.state / DATABASE)) as database, database:
        database.execute("UPDATE run SET started_at = started_at - 864000, finished_at = finished_at - 864000")
    with agent.started("run") as daemon:
        daemon.saw("collector.finished")
        time.sleep(0.5)
        assert daemon.stop() == Exit.WELL
    assert len(runs(agent)) == 2


def test_two_agents_do_not_share_a_state_directory(agent):
    """The second one ends at once, and names the process that is at work."""
    with agent.started("run") as daemon:
        daemon.saw("agent.started")
        done = agent.run("run")
        assert done.code == Exit.UNDELIVERED
        assert f"process {daemon.popen.pid} is already at work on {agent.state} (deliver); wait" in done.told
        assert daemon.stop() == Exit.WELL


def test_a_collection_by_hand_waits_for_the_service_to_deliver(agent, sandbox):
    """While the service runs, `collect` queues, waits until the service has delivered, and shows the receipts."""
    with agent.started("run") as daemon:
        daemon.saw("evidence.accepted", times=2)
        agent.put("ctrl_vm_02/report.csv")
        done = agent.run("collect")
        assert done.code == Exit.WELL
        assert "1 item accepted." in done.out
        assert sandbox.evidence[-1].id in done.out
        assert agent.run("deliver").code == Exit.WELL
        assert daemon.stop() == Exit.WELL
    assert exactly_once(sandbox, agent.state) == 3


def test_what_a_run_waited_for_is_told_at_its_end(agent):
    """Why a run took long is in the line that ends it: here, that a file was just written."""
    ahead = time.time() + 1.9  # a clock that far ahead still tells of a writer: so a slow start is in time, too
    os.utime(agent.put("ctrl_vm_02/fresh.csv"), (ahead, ahead))
    with agent.started("run") as daemon:
        daemon.saw("collector.finished", waits={"ctrl_vm_02/fresh.csv was written a moment ago": 1})
        assert daemon.stop() == Exit.WELL


def test_a_collector_runs_once_at_a_time(agent):
    """Who finds a collector at work is told by whom."""
    with being_written(agent.put("ctrl_vm_02/fresh.csv")), agent.started("run") as daemon:
        eventually((agent.state / "locks" / "collector-manual.lock").exists, "the run has begun")
        time.sleep(0.2)
        done = agent.run("collect")
        assert done.code == Exit.UNDELIVERED
        assert f"process {daemon.popen.pid} is already at work on {agent.state} (collector-manual)" in done.told
        daemon.saw("collector.finished")


def test_runs_that_take_long_keep_nothing_from_being_delivered(agent):
    """However many collectors are at work for however long, what is owed is sent meanwhile."""
    agent.environment["PYTHONPATH"] = f"{ROOT}:{ROOT}/tests/third_party"
    closed = agent.home / "closed"
    closed.touch()
    table = '[collectors.{}]\nsource = "acme"\ntypes = ["acme_door_waits"]\ntrouble = {{waits = "{}"}}\n'
    slow = "".join(table.format(f"slow{number}", closed) for number in range(os.cpu_count() + 6))
    agent.configure(f'{slow}[collectors.manual]\npath = "evidence"\n[controls.map]\nacme_door_waits = ["ctrl_ac_02"]\n')
    with agent.started("run") as daemon:
        daemon.saw("evidence.accepted", times=2)
        assert daemon.stop() == Exit.WELL


@pytest.mark.parametrize("name", ["beat", "policies", "upkeep"])
def test_a_collector_may_have_any_name(agent, name):
    """The service's own work has other names."""
    agent.configure(f'[collectors.{name}]\nsource = "manual"\npath = "evidence"\n')
    with agent.started("run") as daemon:
        daemon.saw("evidence.accepted", times=2)
        assert daemon.stop() == Exit.WELL


def test_a_run_that_finds_its_collector_taken_is_put_off(agent):
    """Where somebody collects by hand, be it some types only, the service's own run is tried again."""
    agent.state.mkdir()
    with lock(agent.state, "collector-manual"), agent.started("run") as daemon:
        daemon.saw("collector.postponed", collector="manual", again_in=60.0)
        assert daemon.stop() == Exit.WELL


def test_a_stop_in_the_middle_of_a_collection_is_made_up(agent, sandbox):
    """SIGTERM while files are read: exit 0 at once, nothing half-done is kept, and the next start makes it up."""
    with being_written(agent.put("ctrl_vm_02/fresh.csv")), agent.started("run") as daemon:
        eventually((agent.state / "locks" / "collector-manual.lock").exists, "the run has begun")
        time.sleep(0.2)
        began = time.monotonic()
        assert daemon.stop() == Exit.WELL
        assert time.monotonic() - began < 1.5
        daemon.saw("collector.cancelled")
        daemon.saw("agent.stopped")
    assert runs(agent) == [("manual", None)]
    with agent.started("run") as daemon:
        daemon.saw("collector.finished")
        eventually(lambda: len(sandbox.evidence) == 3, "all three files are delivered")
        assert daemon.stop() == Exit.WELL
    assert runs(agent) == [("manual", None), ("manual", "complete")]
    assert exactly_once(sandbox, agent.state) == 3


def test_a_stop_in_the_middle_of_a_delivery_loses_nothing(agent, sandbox):
    """SIGTERM while requests are under way: they get their answers, and the rest goes out at the next start."""
    for number in range(60):
        agent.put(f"ctrl_vm_02/{number}.csv")
    agent.config.write_text(f"{agent.config.read_text()}\n[delivery]\nconcurrency = 2\n")  # ten seconds for all
    sandbox.faults = ["slow:300ms@/v1/evidence"]
    with agent.started("run") as daemon:
        daemon.saw("evidence.accepted", times=3)
        assert daemon.stop() == Exit.WELL
        answered = sum(told["event"] == "evidence.accepted" for told in daemon.events)
    assert answered == len(sandbox.evidence) < 62
    sandbox.faults = []
    with agent.started("run") as daemon:
        eventually(lambda: len(sandbox.evidence) == 62, "everything is delivered")
        assert daemon.stop() == Exit.WELL
    assert exactly_once(sandbox, agent.state) == 62


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_both_signals_end_the_service_in_order(agent, number):
    """SIGTERM and Ctrl-C do the same; a second one changes nothing."""
    with agent.started("run") as daemon:
        daemon.saw("agent.started")
        daemon.signal(number)
        daemon.signal(number)
        assert daemon.ended() == Exit.WELL
        daemon.saw("agent.stopped")


def test_a_new_configuration_is_taken_on_sighup_and_a_bad_one_is_not(agent, sandbox):
    """SIGHUP takes a good configuration, and collects what is new in it; a bad one leaves all as it was."""
    with agent.started("run") as daemon:
        daemon.saw("evidence.accepted", times=2)
        good = agent.config.read_text()
        agent.config.write_text(good + "oops")
        daemon.signal(signal.SIGHUP)
        daemon.saw("configuration.refused", remedy="the old one stays in force")
        agent.put("../more/ctrl_vm_02/report.csv")
        agent.config.write_text(good + '[collectors.more]\nsource = "manual"\npath = "more"\n')
        daemon.signal(signal.SIGHUP)
        daemon.saw("configuration.reloaded", collectors=["manual", "more"])
        daemon.saw("collector.finished", collector="more")
        daemon.saw("evidence.accepted", times=3)
        agent.config.write_text(good.replace("[chequr]", "[chequr]\nrate = 5"))
        daemon.signal(signal.SIGHUP)
        daemon.saw("configuration.needs_restart", keys=["chequr"])
        agent.config.write_text(good + '[http]\nlisten = "0"\n')
        daemon.signal(signal.SIGHUP)
        daemon.saw("configuration.needs_restart", keys=["http"])
        assert daemon.stop() == Exit.WELL
    assert runs(agent) == [("manual", "complete"), ("more", "complete")]


def test_what_waits_for_a_restart_is_as_it_was_until_then(agent, sandbox):
    """Another address, state directory and shape change nothing on SIGHUP: no request, and no token, goes there."""
    with loopback.serving(loopback.Answer(200)) as elsewhere, agent.started("run") as daemon:
        daemon.saw("evidence.accepted", times=2)
        agent.put("../more/ctrl_vm_02/report.csv")
        other = agent.config.read_text().replace(sandbox.url, elsewhere.url).replace('"state"', '"other"')
        more = '[delivery]\npayload_shape = "record"\n[collectors.more]\nsource = "manual"\npath = "more"\n'
        agent.config.write_text(other + more)
        daemon.signal(signal.SIGHUP)
        daemon.saw("configuration.needs_restart", keys=["state_dir", "chequr", "delivery"])
        daemon.saw("collector.finished", collector="more")
        daemon.saw("evidence.accepted", times=3)
        assert daemon.stop() == Exit.WELL
        assert elsewhere.requests == []
    assert "records" in sandbox.evidence[-1].payload
    assert not (agent.home / "other").exists()
    assert exactly_once(sandbox, agent.state) == 3


def test_a_sighup_before_the_service_is_up_does_not_end_it(agent):
    """A reload that comes too early is passed over."""
    with agent.started("run") as daemon:
        time.sleep(0.15)
        while not daemon.events:
            if daemon.popen.poll() is None and agent.state.exists():
                daemon.signal(signal.SIGHUP)
            time.sleep(0.02)
        daemon.saw("agent.started")
        assert daemon.stop() == Exit.WELL


def test_a_rotated_token_is_taken_without_a_restart(agent, sandbox):
    """A revoked token holds the outbox; the new one in the token file delivers it, by SIGHUP at once."""
    token = agent.home / "token"
    token.write_text(sandbox.issue("write", "first-token"))
    agent.configure('token_file = "token"\n[collectors.manual]\npath = "evidence"')
    agent.environment["CHEQUR_TOKEN"] = UNSET
    with agent.started("run") as daemon:
        daemon.saw("evidence.accepted", times=2)
        sandbox.revoke("first-token")
        agent.put("ctrl_vm_02/report.csv")
        assert agent.run("collect", "--no-deliver").code == Exit.WELL
        daemon.saw("outbox.held", status=401)
        assert "HELD since" in agent.run("status").out
        token.write_text(sandbox.issue("write", "second-token"))
        daemon.signal(signal.SIGHUP)
        daemon.saw("evidence.accepted", times=3)
        assert daemon.stop() == Exit.WELL
    assert "first-token" not in daemon.text
    assert "second-token" not in daemon.text
    assert exactly_once(sandbox, agent.state) == 3


def test_a_first_run_waits_for_the_controls(agent, sandbox):
    """While the controls were never read, a collector that needs them is postponed: it has not had its run."""
    mapped = '[controls.map]\nokta_user_mfa = ["ctrl_ac_02"]\n'
    agent.configure(f'[collectors.okta]\norg_url = "http://127.0.0.1:9"\n{mapped}')
    sandbox.faults = ["503@/v1/controls"]
    with agent.started("run") as daemon:
        daemon.saw("collector.postponed", collector="okta")
        assert daemon.stop() == Exit.WELL
    assert runs(agent) == []


@pytest.mark.parametrize(("mapped", "event"), [(True, "collector.finished"), (False, "collector.postponed")])
def test_controls_that_the_api_refuses(agent, sandbox, mapped, event):
    """Where the token may not read the controls, what the configuration maps is collected, though it is not all."""
    agent.environment["PYTHONPATH"] = f"{ROOT}:{ROOT}/tests/third_party"
    agent.environment["CHEQUR_TOKEN"] = "revoked"
    table = '[collectors.acme]\ntypes = ["acme_door_locks", "acme_door_hinges"]\n'
    agent.configure(table + ('[controls.map]\nacme_door_locks = ["ctrl_ac_02"]\n' if mapped else ""))
    with agent.started("run") as daemon:
        daemon.saw(event, collector="acme")
        assert daemon.stop() == Exit.WELL
    assert runs(agent) == ([("acme", "complete")] if mapped else [])


def test_an_api_that_is_away_does_not_end_the_service(agent, sandbox):
    """What cannot be sent is deferred, and goes out once the API is back."""
    sandbox.faults = ["drop-before:x30"]
    with agent.started("run") as daemon:
        daemon.saw("evidence.deferred")
        sandbox.faults = []
        eventually(lambda: len(sandbox.evidence) == 2, "everything is delivered", 30)
        assert daemon.stop() == Exit.WELL
    assert exactly_once(sandbox, agent.state) == 2


def test_a_start_that_comes_late_is_not_skipped(paused):
    """Two collectors whose time came while the process stood still for seconds each have one run once it goes on."""
    agent, daemon, due = paused
    before = len(runs(agent))
    time.sleep(max(0, due + 2.5 - time.time()))
    earlier = daemon.count("collector.finished", collector="one")
    daemon.signal(signal.SIGCONT)
    daemon.saw("collector.finished", times=earlier + 1, collector="one")
    daemon.saw("collector.finished", times=earlier + 1, collector="two")
    assert len(runs(agent)) - before in {2, 4}  # four where the next minute begins meanwhile
    assert daemon.stop() == Exit.WELL
