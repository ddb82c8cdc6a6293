import hashlib
import hmac
import json
import re
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import pytest
from sandbox_client import SAMPLE, Client

from agent.sandbox.options import Options
from agent.sandbox.server import running

SECRET = "whsec_9f2a7c6b1e4d8f0a3b5c7e9d1f2a4b6c"


class Receiver(ThreadingHTTPServer):
    """Keeps what it is sent, and answers `statuses` one after the other, then 200."""

    daemon_threads = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received = []
        self.statuses = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/hook"

    def events(self, count, within=5):
        """The deliveries, once there are `count` of them: time of arrival, headers, body."""
        end = time.monotonic() + within
        while len(self.received) < count:
            assert time.monotonic() < end, self.received
            time.sleep(0.01)
        return self.received


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        self.server.received.append((time.monotonic(), self.headers, body))
        self.send_response(status)
        self.send_header("location", "/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver():
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def sandbox():
    with running(Options(rate=1e6, webhook_backoff=0.1)) as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox):
    with closing(Client(sandbox, sandbox.admin)) as client:
        yield client


def _hook(url, *events, secret=SECRET):
    return {"url": url, "events": list(events), "secret": secret}


def test_a_webhook_is_registered(client):
    """The answer has id, URL, events and time, and not the secret."""
    url = "https://hooks.acme.io/chequr"
    reply = client.call("POST", "/v1/webhooks", _hook(url, "control.drifted", "audit.readiness_changed"))
    assert reply.status == 201
    assert re.fullmatch("wh_[0-9A-HJKMNP-TV-Z]{20}", reply.document["id"])
    assert set(reply.document) == {"id", "url", "events", "created_at"}
    assert reply.document["events"] == ["control.drifted", "audit.readiness_changed"]
    assert SECRET.encode() not in reply.body


def test_registering_is_idempotent(client):
    """The same key gives the same webhook; the same webhook without the key is 409 duplicate."""
    hook = _hook("https://hooks.acme.io/chequr", "risk.scored")
    first = client.call("POST", "/v1/webhooks", hook, idempotency_key="hook")
    assert client.call("POST", "/v1/webhooks", hook, idempotency_key="hook").body == first.body
    assert client.call("POST", "/v1/webhooks", hook).error == (409, "duplicate_resource", "url")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"url": 7}, (400, "validation_error", "url")),
        ({"events": "risk.scored"}, (400, "validation_error", "events")),
        ({"secret": None}, (400, "validation_error", "secret")),
        ({"url": "http://hooks.acme.io/chequr"}, (422, "invalid_url", "url")),
        ({"url": "hooks.acme.io"}, (422, "invalid_url", "url")),
        ({"url": "https://"}, (422, "invalid_url", "url")),
        ({"url": "https://[::1"}, (422, "invalid_url", "url")),
        ({"events": []}, (422, "invalid_events", "events")),
        ({"events": ["risk.scored", "risk.unscored"]}, (422, "invalid_events", "events")),
        ({"events": [{}]}, (422, "invalid_events", "events")),
        ({"secret": "x" * 31}, (422, "invalid_secret", "secret")),
    ],
)
def test_webhooks_that_cannot_be(client, changes, error):
    """Wrong types are 400; a URL without https, no or unknown events, and a short secret are 422."""
    hook = _hook("https://hooks.acme.io/chequr", "risk.scored") | changes
    assert client.call("POST", "/v1/webhooks", hook).error == error


def test_evidence_is_told(client, receiver):
    """evidence.collected arrives with the test's result, under a signature that verifies."""
    client.call("POST", "/v1/webhooks", _hook(receiver.url, "evidence.collected"))
    made = client.submit().document
    ((_, headers, body),) = receiver.events(1)
    event = json.loads(body)
    assert re.fullmatch("evt_[0-9A-HJKMNP-TV-Z]{20}", event["id"])
    assert (event["type"], event["created_at"]) == ("evidence.collected", made["created_at"])
    assert event["data"] == {
        "evidence_id": made["id"],
        "control_id": "ctrl_ac_02",
        "source": "aws",
        "collected_at": SAMPLE["collected_at"],
        "test_result": {
            "evaluator": "aws_s3_bucket_encryption",
            "signal": "pass",
            "control_status": "passing",
            "tested_at": made["created_at"],
        },
    }
    timestamp, signature = re.fullmatch("t=([0-9]+),v1=([0-9a-f]{64})", headers["X-Chequr-Signature"]).groups()
    signed = hmac.new(SECRET.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(signature, signed)
    assert abs(int(timestamp) - time.time()) < 5


def test_a_drift_is_told_once(client, receiver):
    """control.drifted arrives when a passing control regresses, and not again while it stays so."""
    client.call("POST", "/v1/webhooks", _hook(receiver.url, "control.drifted"))
    for encryption in ("AES256", None, None, "AES256", None):
        client.submit(payload={"encryption": encryption})
    events = [json.loads(body) for _, _, body in receiver.events(2)]
    for event in events:
        assert event["type"] == "control.drifted"
        assert re.fullmatch(r"[-0-9]{10}T[0-9:]{8}Z", event["data"].pop("detected_at"))
        assert event["data"] == {
            "control_id": "ctrl_ac_02",
            "previous_status": "passing",
            "current_status": "drifted",
        }
    time.sleep(0.1)
    assert len(receiver.received) == 2


def test_other_events_are_fired_by_hand(sandbox, client, receiver):
    """The events that nothing here causes are fired on demand, to those who asked for them only."""
    client.call("POST", "/v1/webhooks", _hook(receiver.url, "risk.scored", "vendor.posture_changed"))
    sandbox.fire("audit.readiness_changed", {"score": 81})
    sandbox.fire("risk.scored", {"risk_id": "risk_7"})
    made = sandbox.fire("vendor.posture_changed", {"vendor_id": "vnd_3"})
    events = [json.loads(body) for _, _, body in receiver.events(2)]
    assert {event["type"] for event in events} == {"risk.scored", "vendor.posture_changed"}
    assert made in {event["id"] for event in events}


def test_what_was_not_received_is_sent_again(sandbox, client, receiver):
    """After a 500, a 302 and a 404 the same event comes again, later each time, signed afresh; then no more."""
    receiver.statuses = [500, 302, 404]
    client.call("POST", "/v1/webhooks", _hook(receiver.url, "risk.scored"))
    sandbox.fire("risk.scored", {})
    arrivals = receiver.events(4)
    assert len({body for _, _, body in arrivals}) == 1
    times = [at for at, _, _ in arrivals]
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert waits[0] >= 0.1
    assert waits[1] >= 0.2
    assert waits[2] >= 0.4
    time.sleep(0.2)
    assert len(receiver.received) == 4


def test_a_silent_receiver_holds_up_nobody(sandbox, client, receiver):
    """Events for one webhook arrive although another one's receiver is not there."""
    client.call("POST", "/v1/webhooks", _hook("http://127.0.0.1:9/gone", "risk.scored"))
    client.call("POST", "/v1/webhooks", _hook(receiver.url, "risk.scored"))
    for _ in range(20):
        sandbox.fire("risk.scored", {})
    assert len({json.loads(body)["id"] for _, _, body in receiver.events(20)}) == 20


def test_delivery_is_given_up_after_a_day(sandbox, client):
    """What could not be delivered for 24 hours is tried no more."""
    client.call("POST", "/v1/webhooks", _hook("http://127.0.0.1:9/gone", "risk.scored"))
    sandbox.fire("risk.scored", {})
    _until(lambda: _deliveries(sandbox)[0]["attempts"] >= 1)
    sandbox.set_time(24 * 3600)
    _until(lambda: _deliveries(sandbox)[0]["state"] == "given up")


def test_what_is_owed_survives_a_restart(tmp_path, receiver):
    """An event that could not be delivered before the sandbox stopped is delivered by the next one."""
    options = Options(rate=1e6, state=tmp_path / "state", webhook_backoff=0.5)
    receiver.statuses = [503]
    with running(options) as sandbox, closing(Client(sandbox, sandbox.admin)) as client:
        client.call("POST", "/v1/webhooks", _hook(receiver.url, "evidence.collected"))
        client.submit()
        receiver.events(1)
    with running(options):
        first, second = receiver.events(2)
    assert first[2] == second[2]


def _deliveries(sandbox):
    return sandbox.workspace.rows("SELECT * FROM delivery")


def _until(holds):
    end = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)
