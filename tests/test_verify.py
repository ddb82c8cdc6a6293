"""Whether what was accepted is at the API: found out, told, and mended."""

import json
import random
import signal
import sqlite3
import time
from contextlib import closing

import pytest

from agent.exit import Exit
from agent.sandbox import audit
from agent.sandbox.audit import Actor
from agent.store import DATABASE
from agent.verified import FILE
from tests.command import eventually, exactly_once, make_agent
from tests.sandbox_client import Client

KEPT = '[collectors.manual]\npath = "evidence"\n[delivery]\nkeep_bodies = "9d"\n'


@pytest.fixture
def agent(tmp_path, sandbox):
    """An agent whose two files are at the API."""
    agent = make_agent(tmp_path, sandbox)
    agent.configure(KEPT)
    assert agent.run("collect").code == Exit.WELL
    return agent


def lose(sandbox, evidence_id, *, log=True, control=True, key=True):
    """As an API that has lost evidence: from the audit log, from its control, and the answer that it gave."""
    workspace = sandbox.workspace
    with workspace.transaction():
        if log:
            mend = workspace.row("SELECT sql FROM sqlite_schema WHERE name = 'audit_kept'")["sql"]
            workspace.write("DROP TRIGGER audit_kept")
            workspace.write("DELETE FROM audit WHERE target = ?", evidence_id)
            workspace.write(mend)
        if control:
            workspace.write("DELETE FROM evidence WHERE id = ?", evidence_id)
        if key:
            workspace.write("DELETE FROM answer WHERE json_extract(body, '$.id') = ?", evidence_id)


def log(sandbox, actor_id, target, *, action="evidence.submitted"):
    audit.append(sandbox.workspace, Actor("api_key", actor_id), action, target)


def verified(agent, *options):
    """The exit code, and what `--json` tells."""
    done = agent.run("verify", "--json", *options)
    return done.code, done.json


def kinds(agent, *options):
    """The exit code, and what was found how often."""
    code, told = verified(agent, *options)
    return code, told["kinds"]


def ledger(agent):
    with closing(sqlite3.connect(agent.state / DATABASE)) as database:
        return database.execute("SELECT evidence_id, key FROM ledger ORDER BY seq").fetchall()


def later(agent, sandbox, name="ctrl_vm_02/later.csv", seconds=3):
    """One more file is accepted, when that much time has gone by at the API."""
    sandbox.set_time(sandbox.workspace.clock.offset + seconds)
    agent.put(name, f"name\n{name}\n")
    assert agent.run("collect").code == Exit.WELL


def test_all_is_there(agent, sandbox):
    """Where both sides agree, it is said in a sentence; and the last verification is part of the status."""
    assert "Never verified" in agent.run("status").out
    done = agent.run("verify")
    assert (done.code, done.err) == (Exit.WELL, "")
    assert "Of 2 pieces of evidence since 20" in done.out
    assert "2 are at the API." in done.out
    assert "0 differences, 0 notes." in done.out
    told = verified(agent)[1]
    assert (told["compared"], told["there"], told["findings"]) == (2, 2, [])
    assert "all 2 since 20" in agent.run("status").out
    assert agent.run("status", "--json").json["verified"]["there"] == 2
    assert sorted(path.name for path in agent.state.glob("verif*")) == [FILE]


def test_nothing_to_compare(tmp_path, sandbox):
    """An agent that delivered nothing in that time says so, and asks the API nothing."""
    agent = make_agent(tmp_path, sandbox)
    done = agent.run("verify", "--since", "1h")
    assert done.code == Exit.WELL
    assert "there is nothing to compare" in done.out
    assert "Never verified" in agent.run("status").out
    assert not sandbox.calls


@pytest.mark.parametrize("since", ["yesterday", "-1d", "2026-13-01"])
def test_a_time_that_is_none(agent, since):
    """What is neither a duration nor an instant is refused, and named."""
    done = agent.run("verify", f"--since={since}")
    assert done.code == Exit.USAGE
    assert since in done.told


def test_the_log_is_read_page_by_page(agent, sandbox):
    """However many pages the audit log has, all of it is compared."""
    for number in range(600):
        log(sandbox, "key_of_others", f"ev_of_others_{number}")
    later(agent, sandbox)
    sandbox.calls.clear()
    code, told = verified(agent)
    assert (code, told["there"], told["findings"]) == (Exit.WELL, 3, [])
    assert sandbox.calls["GET /v1/audit-log"] == 3


def test_what_is_missing_is_named(agent, sandbox):
    """Evidence that is neither in the log nor at its control is a difference, with its control, time and request."""
    lost = sandbox.evidence[0]
    lose(sandbox, lost.id)
    done = agent.run("verify")
    assert done.code == Exit.DIFFERENCE
    assert f"{lost.id} for {lost.control_id}, 20" in done.out
    assert "neither in the audit log nor at its control" in done.out
    assert "Tell Chequr of the request req_" in done.out
    assert ", 1 are at the API." in done.out
    assert "1 DIFFERENCE" in agent.run("status").out


def test_missing_sent_again_under_its_key(agent, sandbox):
    """--repair queues it once, however often; the API has it under its key, and the older entry is none any more."""
    lost = sandbox.evidence[0]
    lose(sandbox, lost.id)
    code, told = verified(agent, "--repair")
    assert code == Exit.DIFFERENCE
    assert "in the outbox again as item 3" in told["findings"][0]["remedy"]
    code, told = verified(agent, "--repair")
    assert (code, told["findings"][0]["remedy"][:29]) == (Exit.DIFFERENCE, "It is in the outbox again: `c")
    assert agent.run("deliver").code == Exit.WELL
    again = sandbox.evidence[-1]
    assert (again.body, again.idempotency_key) == (lost.body, lost.idempotency_key)
    assert again.id != lost.id
    code, told = verified(agent)
    assert (code, told["compared"], told["there"], told["resent"]) == (Exit.WELL, 2, 2, 1)
    assert [key for _, key in ledger(agent)].count(lost.idempotency_key) == 2


def test_missing_that_was_given_up_is_not_said_to_be_sent(agent, sandbox):
    """What was sent again and then discarded is in no outbox, so it is missing like any other."""
    lose(sandbox, sandbox.evidence[0].id)
    assert "as item 3" in verified(agent, "--repair")[1]["findings"][0]["remedy"]
    assert agent.run("outbox", "discard", "3", "--yes").code == Exit.WELL
    code, told = verified(agent)
    assert (code, "verify --repair" in told["findings"][0]["remedy"]) == (Exit.DIFFERENCE, True)
    assert "Its body is not kept" in verified(agent, "--repair")[1]["findings"][0]["remedy"]


def test_missing_of_a_key_that_is_known_still(agent, sandbox):
    """Sent again while the API knows its key, it gets the lost receipt: that is told, and it is not sent in vain."""
    lost = sandbox.evidence[0]
    lose(sandbox, lost.id, key=False)
    assert agent.run("verify", "--repair").code == Exit.DIFFERENCE
    assert agent.run("deliver").code == Exit.WELL
    code, told = verified(agent, "--repair")
    (finding,) = told["findings"]
    assert (code, finding["kind"]) == (Exit.DIFFERENCE, "missing")
    assert "it got the same receipt" in finding["message"]
    assert "the API still knows its key" in finding["remedy"]
    assert agent.run("deliver").out == "0 items accepted.\n"
    lose(sandbox, lost.id)
    agent.configure(KEPT + "keys_remembered = 0.1\n")
    assert "as item 4" in verified(agent, "--repair")[1]["findings"][0]["remedy"]
    assert agent.run("deliver").code == Exit.WELL
    assert kinds(agent) == (Exit.WELL, {})


def test_missing_whose_body_is_gone_is_read_again(tmp_path, sandbox):
    """Without a body the file's checkpoint goes, so that the next run sends what is there."""
    agent = make_agent(tmp_path, sandbox)
    assert agent.run("collect").code == Exit.WELL
    lost = sandbox.evidence[0]
    lose(sandbox, lost.id)
    assert agent.run("collect").code == Exit.WELL
    assert len(sandbox.evidence) == 1
    done = agent.run("verify", "--repair")
    assert done.code == Exit.DIFFERENCE
    assert "Its body is not kept (delivery.keep_bodies): its next run reads it again." in done.out
    assert agent.run("collect").code == Exit.WELL
    again = sandbox.evidence[-1]
    assert again.payload["records"] == lost.payload["records"]
    assert again.idempotency_key != lost.idempotency_key


def test_a_repair_that_is_killed_sends_nothing_twice(tmp_path, sandbox):
    """kill -9 in the middle of --repair, again and again: each piece is at the API once in the end."""
    agent = make_agent(tmp_path, sandbox)
    agent.configure(KEPT)
    for number in range(40):
        agent.put(f"ctrl_vm_02/{number:03}.csv", f"name\n{number}\n")
    assert agent.run("collect").code == Exit.WELL
    for taken in sandbox.evidence:
        lose(sandbox, taken.id)
    cut_short = 0
    for _ in range(2):
        before = queued(agent)
        with agent.started("verify", "--repair") as process:
            eventually(lambda before=before: queued(agent) > before or process.popen.poll() is not None, "a repair")
            time.sleep(random.uniform(0, 0.05))
            cut_short += process.popen.poll() is None
            process.signal(signal.SIGKILL)
            process.ended()
    assert cut_short
    assert agent.run("verify", "--repair").code == Exit.DIFFERENCE
    assert queued(agent) == 42
    assert agent.run("deliver").code == Exit.WELL
    keys = [taken.idempotency_key for taken in sandbox.evidence]
    assert (len(keys), len(set(keys))) == (42, 42)
    assert kinds(agent) == (Exit.WELL, {})


def queued(agent):
    with closing(sqlite3.connect(agent.state / DATABASE)) as database:
        return database.execute("SELECT count(*) FROM item").fetchone()[0]


def test_what_is_at_its_control_is_not_missing(agent, sandbox):
    """Where only the audit log lacks it, the control vouches for it: a note, and no difference."""
    lose(sandbox, sandbox.evidence[0].id, control=False)
    assert kinds(agent) == (Exit.WELL, {"unlogged": 1})


def test_what_its_control_lacks(agent, sandbox):
    """What the audit log has, and a control that shows all of its evidence has not, is a difference."""
    lose(sandbox, sandbox.evidence[0].id, log=False)
    assert kinds(agent) == (Exit.DIFFERENCE, {"detached": 1})


def test_what_is_at_another_control_or_of_another_time(agent, sandbox):
    """A control and an instant that are not those that were sent are differences."""
    first, second = sandbox.evidence
    write = sandbox.workspace.write
    write("UPDATE evidence SET control_id = ? WHERE id = ?", second.control_id, first.id)
    write("UPDATE evidence SET collected_at = '2026-01-01T00:00:00Z' WHERE id = ?", second.id)
    code, told = verified(agent)
    assert code == Exit.DIFFERENCE
    assert [(each["kind"], each["evidence_id"]) for each in told["findings"]] == [
        ("moved", first.id),
        ("altered", second.id),
    ]
    assert f"sent to {first.control_id}, and shown at {second.control_id}" in told["findings"][0]["message"]


def test_an_instant_that_is_shown_to_the_second(agent, sandbox):
    """A control that leaves out fractions of a second alters nothing."""
    sandbox.workspace.write("UPDATE evidence SET collected_at = substr(collected_at, 1, 19) || 'Z'")
    assert kinds(agent) == (Exit.WELL, {})


def test_a_time_that_the_log_does_not_have(agent, sandbox):
    """A receipt and an audit log that are apart in time are a difference."""
    taken = sandbox.evidence[0]
    lose(sandbox, taken.id, control=False, key=False)
    sandbox.set_time(120)
    log(sandbox, taken.key_id, taken.id)
    assert kinds(agent) == (Exit.DIFFERENCE, {"mistimed": 1})


def test_what_somebody_else_sent_with_our_key(agent, sandbox):
    """It is a difference; where others have the key, it is only told. What is as young as the newest is not judged."""
    sandbox.set_time(3)
    with closing(Client(sandbox, sandbox.write)) as client:
        assert client.submit().status == 201
    assert kinds(agent) == (Exit.WELL, {})
    later(agent, sandbox)
    assert kinds(agent) == (Exit.DIFFERENCE, {"unknown": 1})
    assert kinds(agent, "--shared-key") == (Exit.WELL, {"unknown": 1})
    agent.configure("shared_key = true\n" + KEPT)
    assert kinds(agent) == (Exit.WELL, {"unknown": 1})


def test_what_may_be_of_an_item_in_doubt(agent, sandbox):
    """As many unknown pieces as there are items in doubt may be those; with one more none of them is excused."""
    sandbox.set_time(3)
    with closing(Client(sandbox, sandbox.write)) as client:
        assert client.submit().status == 201
        later(agent, sandbox, seconds=300)
        agent.put("ctrl_vm_02/doubtful.csv")
        sandbox.faults = ["drop-before@/v1/evidence"]
        assert agent.run("collect", "--wait", "1").code == Exit.UNDELIVERED
        sandbox.faults = []
        done = agent.run("verify")
        assert (done.code, "It may be one of 1 items in doubt" in done.out) == (Exit.WELL, True)
        sandbox.set_time(60)
        assert client.submit(source="okta").status == 201
    sandbox.set_time(600)
    assert kinds(agent) == (Exit.DIFFERENCE, {"unknown": 2})


def test_what_was_sent_before_the_ledger_begins(tmp_path, sandbox):
    """An agent whose state directory is new does not know what an earlier one sent with its key."""
    with closing(Client(sandbox, sandbox.write)) as client:
        assert client.submit().status == 201
    sandbox.set_time(10)
    agent = make_agent(tmp_path, sandbox)
    assert agent.run("collect").code == Exit.WELL
    later(agent, sandbox)
    assert kinds(agent) == (Exit.WELL, {})


def test_what_is_accepted_meanwhile_is_no_difference(agent, sandbox):
    """While the log is read, evidence goes on being accepted: it is the next verification's."""
    for number in range(20):
        agent.put(f"ctrl_vm_02/{number}.csv", f"name\n{number}\n")
    assert agent.run("collect", "--no-deliver").code == Exit.WELL
    sandbox.faults = ["slow:400ms@/v1/audit-log", "slow:400ms@/v1/controls"]
    with agent.started("verify", "--json") as verifying:
        eventually((agent.state / "verify.db").exists, "the verification is under way")
        assert agent.run("deliver").code == Exit.WELL
        assert verifying.ended() == Exit.WELL
    assert json.loads(verifying.text)["compared"] == 2
    sandbox.faults = []
    assert verified(agent)[1]["compared"] == 22
    assert exactly_once(sandbox, agent.state) == 22


def test_an_api_that_is_away(agent, sandbox):
    """What could not be asked was not verified: exit code 75, and the last verification stands."""
    assert agent.run("verify").code == Exit.WELL
    before = (agent.state / FILE).read_text()
    sandbox.faults = ["503:x20@/v1/audit-log"]
    assert agent.run("verify").code == Exit.UNDELIVERED
    assert (agent.state / FILE).read_text() == before


# ── The service ────────────────────────────────────────────────────────────────────────────────────────────────────


def due(agent):
    """Seconds until the next verification of the service."""
    return json.loads((agent.state / FILE).read_text())["due"] - time.time()


def set_due(agent, seconds):
    kept = json.loads((agent.state / FILE).read_text())
    (agent.state / FILE).write_text(json.dumps(kept | {"due": time.time() + seconds}))


def test_the_service_verifies_every_week(agent, sandbox):
    """The first time a week after its first start; a restart does not lose it; nothing is repaired by itself."""
    with agent.started("run") as daemon:
        daemon.saw("agent.started")
        eventually((agent.state / FILE).exists, "a plan")
        assert daemon.stop() == Exit.WELL
    assert 6.9 < due(agent) / 86400 < 7.1
    set_due(agent, -3600)
    lost = sandbox.evidence[0]
    lose(sandbox, lost.id)
    with agent.started("run") as daemon:
        daemon.saw("ledger.verified", level="warning", compared=2, missing=1, named=[f"missing {lost.id}"])
        assert daemon.stop() == Exit.WELL
    assert 6.9 < due(agent) / 86400 < 7.1
    assert len(sandbox.evidence) == 1
    assert "1 of 2 are at the API, and there are 1 differences" in agent.run("doctor").out


def test_the_service_verifies_after_a_conflict(agent, sandbox):
    """Ten minutes after a 409 it looks, even if it was started anew meanwhile; many of them are one reason."""
    sandbox.faults = ["409-in-progress:x3@/v1/evidence"]
    agent.put("ctrl_vm_02/conflict.csv")
    assert agent.run("collect", "--no-deliver").code == Exit.WELL
    with agent.started("run") as daemon:
        daemon.saw("evidence.deferred", status=409)
        eventually(lambda: due(agent) < 601, "a plan")
        daemon.saw("evidence.accepted")
        assert daemon.stop() == Exit.WELL
    assert 500 < due(agent) < 600
    set_due(agent, 0)
    with agent.started("run") as daemon:
        daemon.saw("ledger.verified", level="info", compared=3, there=3, differences=0)
        assert daemon.stop() == Exit.WELL


def test_the_service_ends_in_the_middle_of_a_verification(agent, sandbox):
    """SIGTERM does not wait for the rest of the audit log; the next start begins it anew."""
    with agent.started("run") as daemon:
        eventually((agent.state / FILE).exists, "a plan")
        assert daemon.stop() == Exit.WELL
    set_due(agent, -1)
    sandbox.faults = ["429:retry-after=30@/v1/audit-log"]
    with agent.started("run") as daemon:
        eventually(lambda: sandbox.struck, "it was asked")
        assert daemon.stop() == Exit.WELL
    assert due(agent) < 0


def test_the_figures_of_the_last_verification(agent):
    """Metrics tell when it was, and how many differences there were."""
    assert agent.run("verify").code == Exit.WELL
    file = agent.home / "chequr.prom"
    assert agent.run("deliver", "--metrics-file", str(file)).code == Exit.WELL
    figures = dict(line.split() for line in file.read_text().splitlines() if line.startswith("chequr_agent_verif"))
    assert float(figures["chequr_agent_verify_differences"]) == 0
    assert abs(float(figures["chequr_agent_verified_timestamp_seconds"]) - time.time()) < 60
