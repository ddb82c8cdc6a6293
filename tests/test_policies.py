"""What test policies want in between a collector's runs: nothing is lost for it, and nothing is doubled."""

import signal
import sqlite3
import time
from contextlib import closing

from agent.controls import Discovery, KnownControl
from agent.exit import Exit
from agent.store import DATABASE
from tests.command import ROOT, Agent, eventually

LOCKS, HINGES, WAITS = "acme_door_locks", "acme_door_hinges", "acme_door_waits"


def changed(agent, *statements):
    with closing(sqlite3.connect(agent.state / DATABASE)) as database, database:
        for statement in statements:
            database.execute(statement)


def asked(agent, statement):
    with closing(sqlite3.connect(agent.state / DATABASE)) as database:
        return database.execute(statement).fetchall()


def collected(home, sandbox, types, **wants):
    """An agent after its first run, two hours ago, of a schedule that is weekly."""
    path = f"{ROOT}:{ROOT}/tests/third_party"
    agent = Agent(home, sandbox.url, {"CHEQUR_TOKEN": sandbox.write, "PYTHONPATH": path})
    trouble = f"trouble = {{waits = '{home}/closed'}}"
    agent.configure(f'[collectors.acme]\nschedule = "weekly"\ntypes = {list(types)}\n{trouble}\n')
    known = tuple(
        KnownControl(
            id=id_, name="n", framework="soc2", code="CC1", evaluator=evaluator, cadence=cadence, status="passing"
        )
        for id_, (evaluator, cadence) in wants.items()
    )
    agent.state.mkdir()
    Discovery(base_url=sandbox.url, fetched_at=time.time(), controls=known).save(agent.state)
    assert agent.run_afresh("collect").code == Exit.WELL
    changed(
        agent,
        "UPDATE latest SET collected_at = strftime('%Y-%m-%dT%H:%M:%fZ', collected_at, '-2 hours')",
        "UPDATE run SET started_at = started_at - 7200",
    )
    return agent


def test_what_waits_to_be_delivered_is_not_read_again(tmp_path, sandbox):
    """While the API is away, what is overdue is read once, however often the service starts."""
    wants = {"ctrl_ac_02": (LOCKS, "hourly"), "ctrl_bc_03": (HINGES, "weekly")}
    doors = collected(tmp_path, sandbox, [LOCKS, HINGES], **wants)
    sandbox.faults = ["503@/v1/evidence"]
    for _ in range(3):
        with doors.started("run") as daemon:
            daemon.saw("agent.started")
            eventually(lambda: asked(doors, "SELECT evidence_type FROM item"), "what is overdue is queued")
            time.sleep(0.5)
            assert daemon.stop() == Exit.WELL
    assert asked(doors, "SELECT evidence_type FROM item") == [(LOCKS,)]


def test_a_run_in_between_does_not_take_the_place_of_the_collectors_own(tmp_path, sandbox):
    """A run of all types that falls due while some of them are read begins as soon as that is over."""
    agent = collected(tmp_path, sandbox, [WAITS, HINGES], ctrl_ac_02=(WAITS, "hourly"), ctrl_bc_03=(HINGES, "weekly"))
    closed = tmp_path / "closed"
    closed.touch()
    with agent.started("run") as daemon:
        eventually((agent.state / "locks" / "collector-acme.lock").exists, "some types are being read")
        daemon.saw("agent.started")
        changed(agent, "UPDATE run SET started_at = started_at - 864000")
        daemon.signal(signal.SIGHUP)
        daemon.saw("configuration.reloaded")
        closed.unlink()
        eventually(lambda: len(asked(agent, "SELECT id FROM run")) == 2, "the collector's own run")
        daemon.saw("collector.finished", times=2)
        assert daemon.stop() == Exit.WELL
    assert asked(agent, "SELECT outcome FROM run") == [("complete",), ("complete",)]
