"""Chequr's webhooks at the service: taken, kept, acted upon once, whatever ends it in between."""

import hashlib
import hmac
import json
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from socket import create_connection, create_server

import httpx
import pytest

from agent.events import Events
from agent.exit import Exit
from agent.receiver import LARGEST, Receiver, receiving
from agent.store import DATABASE, Store
from collectors.secret import SecretMissing
from tests.command import ROOT, Agent, eventually

SECRET = "whsec_" + "5" * 64
OTHER = "whsec_" + "6" * 64
LOCKS, HINGES = "ctrl_ac_02", "ctrl_bc_03"
TABLES = """
[controls]
discover = false
[controls.map]
acme_door_locks = ["ctrl_ac_02"]
acme_door_hinges = ["ctrl_bc_03"]
[collectors.acme]
types = ["acme_door_locks", "acme_door_hinges"]
[webhooks]
listen = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}/chequr"
secret_file = "{secret}"
"""


def event(number, type_="control.drifted", **data):
    told = {"id": f"evt_{number}", "type": type_, "created_at": datetime.now(UTC).isoformat(), "data": data}
    return json.dumps(told).encode()


def drift(number, control=LOCKS):
    return event(number, control_id=control, previous_status="passing", current_status="drifted")


def signed(body, *, at=None, secret=SECRET):
    """The value of X-Chequr-Signature."""
    at = int(time.time()) if at is None else at
    return f"t={at},v1={hmac.new(secret.encode(), f'{at}.'.encode() + body, hashlib.sha256).hexdigest()}"


def post(url, body, signature=None):
    headers = {"X-Chequr-Signature": signed(body) if signature is None else signature}
    return httpx.post(url, content=body, headers=headers)


# ── Taking ──


@pytest.fixture
def arrived():
    return []


@pytest.fixture
def url(store, arrived):
    receiver = Receiver(Events(store), lambda: [SECRET, OTHER], lambda: arrived.append(1))
    with receiving("127.0.0.1:0", "/chequr", receiver) as url:
        yield url


def test_it_is_kept_and_acknowledged(url, store, arrived):
    """A delivery with a good signature is kept before it is acknowledged; the same one again is known."""
    body = drift(1)
    assert post(url, body).status_code == 200
    assert post(url, body, signed(body, secret=OTHER)).status_code == 200
    (kept,) = Events(store).drifted()
    assert (kept.id, kept.subject, kept.done_at) == ("evt_1", LOCKS, None)
    assert arrived == [1]


@pytest.mark.parametrize(
    ("signature", "status"),
    [
        (None, 401),
        ("", 401),
        ("nonsense", 401),
        ("t={now}", 401),
        ("t={now},v1=", 401),
        ("t={now},v1={none}", 401),
        ("t={now},v0={good}", 401),
        ("t={later},v1={good}", 401),
        ("t={now},t={now},v1={good}", 401),
        ("t={past},v1={old}", 400),
        ("t={future},v1={early}", 400),
        ("t={now},v1={good}", 200),
        ("t={now},v1={none},v1={good}", 200),
    ],
)
def test_signatures(store, signature, status):
    """Only what is signed, with a secret that is in force, and now, is kept; the answer says no more than that."""
    body, now = drift(1), int(time.time())
    told = {"now": now, "later": now + 1, "past": now - 301, "future": now + 400, "none": "0" * 64}
    for name, at in (("good", now), ("old", told["past"]), ("early", told["future"])):
        told[name] = signed(body, at=at).partition("v1=")[2]
    headers = {} if signature is None else {"X-Chequr-Signature": signature.format(**told)}
    receiver = Receiver(Events(store), lambda: [SECRET], lambda: None)
    with receiving("127.0.0.1:0", "/chequr", receiver) as url:
        answer = httpx.post(url, content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert len(Events(store).drifted()) == (status == 200)
    assert SECRET not in answer.text
    assert LOCKS not in answer.text


def test_what_is_no_event(url, store):
    """A body that is none is refused although it is signed; too much is not even read; there is one door only."""
    assert post(url, b"[]").json() == {"code": "event_invalid", "message": "the body is not a JSON object"}
    large = b" " * (LARGEST + 1)
    assert post(url, large).status_code == 413
    chunks = (b" " * 65_536 for _ in range(20))
    assert httpx.post(url, content=chunks, headers={"X-Chequr-Signature": "t=1,v1=x"}).status_code == 413
    assert httpx.get(url).status_code == 405
    assert httpx.post(url + "/more", content=b"").status_code == 404
    assert Events(store).recent(10) == []


def test_what_cannot_be_kept_is_asked_for_again(store):
    """Without a secret, and where the state cannot be written, the API is told to send it again later."""

    def missing():
        raise SecretMissing("there is none")

    with receiving("127.0.0.1:0", "/chequr", Receiver(Events(store), missing, lambda: None)) as url:
        answer = post(url, drift(1))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    with receiving("127.0.0.1:0", "/chequr", Receiver(Events(store), lambda: [SECRET], lambda: None)) as url:
        store.close()
        assert post(url, drift(1)).status_code == 503


def test_those_who_say_nothing_are_hung_up_on(url, store):
    """However many connections somebody opens and says nothing on, a delivery still gets through before long."""
    host, port = url.removeprefix("http://").partition("/")[0].split(":")
    held = [create_connection((host, int(port))) for _ in range(70)]
    eventually(lambda: _got_through(url), "a delivery is taken", 30)
    for line in held:
        line.close()
    assert len(Events(store).drifted()) == 1


def _got_through(url):
    try:
        return post(url, drift(1)).status_code == 200
    except httpx.TransportError:
        return False


def test_refusals_do_not_fill_the_log(url, capfd):
    """However many false deliveries come, the log has a line a minute of each kind."""
    for _ in range(30):
        assert post(url, drift(1), "t=1,v1=x").status_code == 401
    out, err = capfd.readouterr()
    assert (out + err).count("webhook.refused") == 1


# ── Noting ──


def received(store, *bodies):
    from agent.webhook import read

    for body in bodies:
        assert Events(store).receive(read(body), now=time.time())
    return Events(store)


@pytest.mark.parametrize(
    "data",
    [
        {"evidence_id": "ev_1", "status": "fail"},
        {"id": "ev_1", "test_result": {"signal": "fail"}},
        {"evidence": {"id": "ev_1"}, "test_results": [{"status": "pass"}, {"status": "failed"}]},
    ],
)
def test_verdicts_in_any_shape(store, data):
    """What the API made of evidence is read where it would be said, since its place is not documented."""
    events = received(store, event(1, "evidence.collected", **data))
    assert events.note(now=time.time()) == 1
    assert events.signal("ev_1") == "fail"


def test_facts_are_kept_for_a_look(store):
    """Of all else the last one of each subject stays, and repeats are still known when the rest is forgotten."""
    events = received(
        store,
        event(1, "risk.scored", risk_id="risk_1", score=7),
        event(2, "risk.scored", risk_id="risk_1", score=9),
        event(3, "audit.readiness_changed", framework="soc2", score=80),
        event(4, "unheard.of", id="x"),
    )
    events.note(now=time.time())
    facts = {(fact.type, fact.subject): fact.data for fact in events.facts()}
    assert facts["risk.scored", "risk_1"] == {"risk_id": "risk_1", "score": 9}
    assert facts["audit.readiness_changed", "soc2"] == {"framework": "soc2", "score": 80}
    events.prune(before=time.time() + 1)
    assert {(fact.type, fact.subject) for fact in events.facts()} == set(facts)


def test_events_outlive_damage(tmp_path):
    """What waits to be acted upon is carried over from a damaged database."""
    state = tmp_path / "state"
    with Store(state) as store:
        received(store, drift(1), drift(2), event(3, "evidence.collected", id="ev_1", status="pass"))
        Events(store).note(now=time.time())
    with closing(sqlite3.connect(state / DATABASE)) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("UPDATE sqlite_schema SET sql = 'x' WHERE name = 'run'")
        connection.commit()
    with Store(state) as store:
        assert [each.id for each in Events(store).drifted()] == ["evt_1", "evt_2"]
        assert Events(store).signal("ev_1") == "pass"


# ── The service ──


@pytest.fixture
def agent(tmp_path, sandbox):
    """An agent whose source is a third party's, which has new evidence whenever it is asked."""
    with create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    path = f"{ROOT}:{ROOT}/tests/third_party"
    made = Agent(tmp_path, sandbox.url, {"CHEQUR_TOKEN": sandbox.write, "PYTHONPATH": path})
    made.configure(TABLES.format(port=port, secret=tmp_path / "webhook_secret"))
    made.port = port
    return made


def register(agent, sandbox):
    """With a key of the scope that registering takes; the service's own is smaller."""
    return agent.run_afresh("webhooks", "register", CHEQUR_TOKEN=sandbox.admin)


def door(agent):
    return f"http://127.0.0.1:{agent.port}/chequr"


def controls(sandbox):
    """The controls that evidence was taken for, in order."""
    return [each.control_id for each in sandbox.evidence]


def test_registered_once(agent, sandbox):
    """It is registered with a fresh secret that is the owner's alone; once more does nothing."""
    done = register(agent, sandbox)
    assert (done.code, "is registered as wh_" in done.out) == (Exit.WELL, True), done.err
    file = agent.home / "webhook_secret"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    secret = file.read_text().strip()
    assert len(bytes.fromhex(secret.removeprefix("whsec_"))) == 32
    assert "nothing was done" in register(agent, sandbox).out
    (kept,) = sandbox.workspace.rows("SELECT url, secret FROM webhook")
    assert (kept["url"], kept["secret"]) == (door(agent), secret)
    assert secret not in done.out + done.err


def test_registered_again_after_a_kill(agent, sandbox):
    """Cut short behind the secret, or behind the API's answer, it comes to the same end."""
    (agent.home / "webhook_secret").write_text(SECRET)
    assert "is registered as wh_" in register(agent, sandbox).out
    (agent.state / "webhook.json").unlink()
    assert "is registered as wh_" in register(agent, sandbox).out
    assert len(sandbox.workspace.rows("SELECT * FROM webhook")) == 1


def test_a_secret_is_there_as_a_whole(agent):
    """Where making a secret ends before it is written, there is none: the next try makes one, and refuses nothing."""
    script = (
        "import resource, sys; from pathlib import Path; from agent.webhook_secret import make; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); make(Path(sys.argv[1]))"
    )
    file = agent.home / "webhook_secret"
    done = subprocess.run([sys.executable, "-c", script, str(file)], cwd=ROOT, capture_output=True, check=False)
    assert b"File too large" in done.stderr
    assert not file.exists()
    assert list(agent.home.glob(".webhook_secret*")) == []


def test_a_secret_that_is_elsewhere(agent, sandbox):
    """Where the API has the webhook with a secret that is not here, that is told, and no wrong one is left."""
    register(agent, sandbox)
    (agent.home / "webhook_secret").unlink()
    done = register(agent, sandbox)
    assert (done.code, "with a secret that is not here" in done.told) == (Exit.USAGE, True)
    assert not (agent.home / "webhook_secret").exists()


def test_drift_brings_fresh_evidence(agent, sandbox):
    """The API's own delivery of a drift makes the service read that control's evidence anew, and no other."""
    register(agent, sandbox)
    with agent.started("run") as daemon:
        eventually(lambda: sorted(controls(sandbox)) == [LOCKS, HINGES], "the first run")
        sandbox.fire("control.drifted", {"control_id": LOCKS, "current_status": "drifted"})
        daemon.saw("drift.answered")
        eventually(lambda: sorted(controls(sandbox)) == [LOCKS, LOCKS, HINGES], "fresh evidence")
        daemon.stop()
    listed = agent.run_afresh("webhooks", "list").out
    assert "collected anew by acme" in listed


def test_the_verdict_is_noted(agent, sandbox):
    """What the API made of each piece of evidence stands beside its receipt."""
    register(agent, sandbox)
    sandbox.dictate(LOCKS, "fail")
    sandbox.dictate(HINGES, "pass")
    with agent.started("run") as daemon:
        told = r"Chequr's tests of it: \d+ fail, 1 pass\."  # what fails has drifted, and is collected anew
        eventually(lambda: re.search(told, agent.run_afresh("status").out), "both verdicts")
        daemon.stop()
    shown = {agent.run_afresh("outbox", "show", str(number), "--json").json["signal"] for number in (1, 2)}
    assert shown == {"fail", "pass"}


def test_a_storm_is_one_run(agent, sandbox):
    """Fifty drifts make one run; one of a control that nobody has evidence for is noted, and no error."""
    (agent.home / "webhook_secret").write_text(SECRET)
    with agent.started("run") as daemon:
        daemon.saw("webhooks.listening")
        eventually(lambda: len(controls(sandbox)) == 2, "the first run")
        for number in range(50):
            assert post(door(agent), drift(number)).status_code == 200
        assert post(door(agent), drift(99, "ctrl_x")).status_code == 200
        daemon.saw("drift.answered")
        eventually(lambda: controls(sandbox).count(LOCKS) == 2, "fresh evidence")
        daemon.stop()
        assert daemon.count("collector.finished") == 2
    outcomes = {line["outcome"] for line in agent.run_afresh("webhooks", "list", "--json").lines}
    assert outcomes <= {"collected anew by acme", "no collector here has evidence for it", None}


def test_killed_behind_the_answer(agent, sandbox):
    """What was acknowledged is acted upon by the next start, however the service ended."""
    (agent.home / "webhook_secret").write_text(SECRET)
    with agent.started("run") as daemon:
        daemon.saw("webhooks.listening")
        eventually(lambda: len(controls(sandbox)) == 2, "the first run")
        assert post(door(agent), drift(1)).status_code == 200
        daemon.signal(signal.SIGKILL)
    with Store(agent.state) as store:
        assert Events(store).waiting() == 1
    with agent.started("run") as daemon:
        daemon.saw("drift.answered")
        eventually(lambda: controls(sandbox).count(LOCKS) == 2, "fresh evidence")
        daemon.stop()
    with Store(agent.state) as store:
        assert Events(store).waiting() == 0


def test_a_drift_makes_up_for_no_run(agent, sandbox):
    """The run of some types is no run of the collector: the next start still makes up for the one that was missed."""
    (agent.home / "webhook_secret").write_text(SECRET)
    with agent.started("run") as daemon:
        eventually(lambda: len(controls(sandbox)) == 2, "the first run")
        assert post(door(agent), drift(1)).status_code == 200
        daemon.saw("drift.answered")
        daemon.stop()
    with closing(sqlite3.connect(agent.state / DATABASE)) as connection:
        assert connection.execute("SELECT count(*) FROM run").fetchone() == (1,)


def test_a_secret_that_is_missing_is_told_in_the_log(agent):
    """Who sends learns only that there is none; the log says where it was looked for."""
    (agent.home / "webhook_secret").unlink(missing_ok=True)
    with agent.started("run") as daemon:
        daemon.saw("webhooks.listening")
        refused = post(door(agent), drift(1, "ctrl_x"))
        assert (refused.status_code, "webhook_secret" in refused.text) == (503, False)
        reason = f"webhook_secret cannot be read from {agent.home / 'webhook_secret'}: No such file or directory"
        daemon.saw("webhook.refused", code="secret_missing", reason=reason)


def test_a_secret_is_changed_without_a_restart(agent):
    """Two secrets in the file are both in force; one that is taken out is not."""
    file = agent.home / "webhook_secret"
    file.write_text(f"{OTHER}\n{SECRET}\n")
    with agent.started("run") as daemon:
        daemon.saw("webhooks.listening")
        assert post(door(agent), drift(1, "ctrl_x")).status_code == 200
        file.write_text(OTHER)
        assert post(door(agent), drift(2, "ctrl_x")).status_code == 401
        body = drift(3, "ctrl_x")
        assert post(door(agent), body, signed(body, secret=OTHER)).status_code == 200
        daemon.stop()
        assert SECRET not in daemon.text


def test_a_delivery_is_checked_by_hand(agent):
    """A stored delivery is found good at the time that it came, and too old later; a changed one never."""
    (agent.home / "webhook_secret").write_text(SECRET)
    body = drift(1)
    (agent.home / "body").write_bytes(body)
    at = datetime(2026, 4, 15, 9, 14, 22, tzinfo=UTC)
    signature = f"--signature={signed(body, at=int(at.timestamp()))}"
    done = agent.run_afresh("webhooks", "verify", "body", signature, "--at=2026-04-15T09:15:00Z")
    assert (done.code, done.out.startswith("Good: control.drifted evt_1")) == (Exit.WELL, True)
    done = agent.run_afresh("webhooks", "verify", "body", signature)
    assert (done.code, "NOT good: it was signed" in done.out) == (Exit.DIFFERENCE, True)
    (agent.home / "body").write_bytes(body + b" ")
    done = agent.run_afresh("webhooks", "verify", "body", signature, "--at=2026-04-15T09:15:00Z")
    assert (done.code, "NOT good: no secret makes this signature" in done.out) == (Exit.DIFFERENCE, True)


@pytest.mark.parametrize(
    ("tables", "arguments", "code", "told"),
    [
        ("", ("register",), Exit.CONFIGURATION, "webhooks.public_url: it is needed to register"),
        ('[webhooks]\npublic_url = "http://hooks.example/x"\n', ("list",), Exit.CONFIGURATION, "webhooks.public_url"),
        ('[webhooks]\nurl_path = "x"\n', ("list",), Exit.CONFIGURATION, "webhooks.url_path: it must begin with /"),
        (
            '[webhooks]\npublic_url = "https://hooks.example/x"\nsecret_file = "s"\n', ("register", "--event=x"),
            Exit.USAGE, "there is no event x",
        ),
        ("", ("verify", "config.toml", "--signature=x"), Exit.CONFIGURATION, "there is no webhook_secret"),
        ("", ("verify", "none", "--signature=x"), Exit.USAGE, "file 'none' does not exist"),
        (
            '[webhooks]\npublic_url = "https://hooks.example/x"\nsecret_file = "none/s"\n', ("register",),
            Exit.CONFIGURATION, "/none/s cannot be written: No such file or directory",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told(agent, tables, arguments, code, told):
    """What lacks in the configuration, and what there is not, is named."""
    agent.configure(tables)
    done = agent.run_afresh("webhooks", *arguments)
    assert (done.code, told in done.told) == (code, True), done.told
