import json
import os
import signal
import subprocess
import sys
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from sandbox_client import Client

from agent.sandbox.options import InvalidOption, Options
from agent.sandbox.server import running, serve

SERVE = """
import sys
from pathlib import Path
from agent.sandbox.options import Options
from agent.sandbox.server import serve
serve(Options(port=0, rate=1e6, state=Path(sys.argv[1])), lambda sandbox: print(sandbox.root, flush=True))
"""


@contextmanager
def _process(state):
    """A sandbox in a process of its own, killed at the end if it still runs."""
    command = [sys.executable, "-c", SERVE, str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            root = process.stdout.readline().strip()
            yield SimpleNamespace(process=process, root=root, url=f"{root}/v1")
        finally:
            process.kill()


def test_state_survives_a_kill(tmp_path):
    """Whatever was answered before kill -9 is there after it: evidence, answers, audit log, webhooks, tokens."""
    hook = {"url": "https://hooks.acme.io/x", "events": ["risk.scored"], "secret": "s" * 32}
    with _process(tmp_path / "state") as sandbox, closing(Client(sandbox, "chequr-sandbox-admin")) as client:
        made = [client.submit(f"k{number}").body for number in range(50)]
        client.submit(control_id="ctrl_lg_01")
        client.call("POST", "/v1/webhooks", hook)
        reader = client.get("/_sandbox/state").document["keys"][0]["id"]
        client.call("POST", f"/_sandbox/tokens/{reader}/revoke", {})
        sandbox.process.send_signal(signal.SIGKILL)
        sandbox.process.wait()
    options = Options(rate=1e6, state=tmp_path / "state")
    with running(options) as sandbox, closing(Client(sandbox, sandbox.admin)) as client:
        assert [client.submit(f"k{number}").body for number in range(50)] == made
        assert len(sandbox.evidence) == 51
        assert client.get("/v1/controls/ctrl_lg_01").document["status"] == "passing"
        assert len(client.get("/v1/audit-log").document["data"]) == 53
        assert client.call("POST", "/v1/webhooks", hook).status == 409
        assert client.get("/v1/controls", authorization=f"Bearer {sandbox.read}").status == 401


def test_a_signal_ends_it(tmp_path):
    """SIGTERM ends the server without a word on stderr, with connections open."""
    with _process(tmp_path / "state") as sandbox, closing(Client(sandbox, "chequr-sandbox-write")) as client:
        assert client.submit().status == 201
        os.kill(sandbox.process.pid, signal.SIGTERM)
        assert sandbox.process.wait(5) == -signal.SIGTERM
        assert sandbox.process.stderr.read() == ""


def test_python_turns_it_too(sandbox, client):
    """Rate and faults can be read and assigned, and what happened can be counted."""
    sandbox.rate, sandbox.faults = 7, ["500x1"]
    assert (sandbox.rate, sandbox.faults) == (7, ("500x1",))
    assert client.submit().headers["x-ratelimit-limit"] == "7"
    assert (sandbox.calls["POST /v1/evidence"], sandbox.statuses[500], sandbox.struck["500"]) == (1, 1, 1)


def test_a_port_in_use(sandbox):
    """A port that is taken is named, with the remedy."""
    port = int(sandbox.root.rpartition(":")[2])
    with pytest.raises(InvalidOption, match=rf"127\.0\.0\.1:{port}.*another port"):
        serve(Options(port=port))


# ── Console ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def sandbox():
    with running(Options(rate=1e6)) as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox):
    with closing(Client(sandbox, sandbox.admin)) as client:
        yield client


def test_the_console_tells_the_state(client):
    """Counters, faults, keys and clock are shown, and no token."""
    client.submit("k")
    state = client.get("/_sandbox/state").document
    assert state["evidence"] == 1
    assert state["statuses"] == {"201": 1}
    assert state["calls"] == {"POST /v1/evidence": 1}
    assert [key["scope"] for key in state["keys"]] == ["read", "write", "admin"]
    assert "chequr-sandbox" not in json.dumps(state)
    (item,) = client.get("/_sandbox/evidence").document["data"]
    assert (item["control_id"], item["idempotency_key"], item["signal"]) == ("ctrl_ac_02", "k", "pass")


def test_the_console_sets_faults_rate_and_clock(client):
    """Faults, rate and clock change while the sandbox runs."""
    assert client.call("POST", "/_sandbox/faults", {"faults": ["503x1"], "seed": 3}).status == 200
    assert client.submit().status == 503
    assert client.call("POST", "/_sandbox/rate", {"rate": 7}).status == 200
    assert client.get("/v1/controls").headers["x-ratelimit-limit"] == "7"
    assert client.call("POST", "/_sandbox/clock", {"offset": 86_400 * 365}).status == 200
    assert int(client.submit().document["created_at"][:4]) > datetime.now(UTC).year


def test_the_console_issues_rotates_and_revokes(client):
    """A key made by the console works with its scope, is rotated, and ends when revoked."""
    issued = client.call("POST", "/_sandbox/tokens", {"scope": "read", "rate": 3}).document
    assert client.get("/v1/controls", authorization=f"Bearer {issued['token']}").headers["x-ratelimit-limit"] == "3"
    rotated = client.call("POST", f"/_sandbox/tokens/{issued['id']}/rotate", {}).document["token"]
    for token in (issued["token"], rotated):
        assert client.get("/v1/controls", authorization=f"Bearer {token}").status == 200
    client.call("POST", f"/_sandbox/tokens/{issued['id']}/revoke", {})
    for token in (issued["token"], rotated):
        assert client.get("/v1/controls", authorization=f"Bearer {token}").status == 401


def test_the_console_dictates_signals_and_fires_events(client):
    """The signal of a control's evidence is set, and let go; an event gets an id."""
    client.call("POST", "/_sandbox/controls/ctrl_ac_02", {"signal": "fail"})
    client.submit()
    assert client.get("/v1/controls/ctrl_ac_02").document["status"] == "drifted"
    client.call("POST", "/_sandbox/controls/ctrl_ac_02", {"signal": None})
    client.submit()
    assert client.get("/v1/controls/ctrl_ac_02").document["status"] == "passing"
    assert client.call("POST", "/_sandbox/events", {"type": "risk.scored", "data": {}}).document["id"][:4] == "evt_"


@pytest.mark.parametrize(
    ("path", "order", "status"),
    [
        ("faults", {"faults": ["explode"]}, 400),
        ("faults", {}, 400),
        ("rate", {"rate": 0}, 400),
        ("tokens", {"scope": "owner"}, 400),
        ("tokens", {"scope": "read", "token": "with blank"}, 400),
        ("tokens", {"scope": "admin", "token": "chequr-sandbox-read"}, 409),
        ("tokens/key_live_0/rotate", {}, 404),
        ("tokens/key_live_0/revoke", {}, 404),
        ("controls/ctrl_zz_99", {"signal": "pass"}, 404),
        ("controls/ctrl_ac_02", {"signal": "maybe"}, 400),
        ("events", {"type": "unheard.of"}, 400),
        ("clock", {"offset": 1, "more": 2}, 400),
        ("nothing", {}, 404),
    ],
)
def test_orders_that_cannot_be(client, path, order, status):
    """An order that is not understood changes nothing, and is answered with the error body."""
    assert client.call("POST", f"/_sandbox/{path}", order).error[0] == status


def test_the_console_is_no_part_of_the_api(client):
    """The console takes no token and costs no request of the rate limit."""
    assert client.get("/_sandbox/state").headers["x-ratelimit-limit"] is None
