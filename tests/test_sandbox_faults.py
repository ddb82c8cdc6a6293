import http.client
import json
import re
import socket
import time
from contextlib import closing
from email.utils import parsedate_to_datetime

import pytest
from sandbox_client import SAMPLE, Client, raw_exchange

from agent.sandbox import faults
from agent.sandbox.faults import KINDS, Fault, Faults, fault
from agent.sandbox.options import InvalidOption, Options
from agent.sandbox.server import running


@pytest.fixture(scope="module")
def server():
    with running(Options(rate=1e6)) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(server):
    yield server
    server.faults = ()


@pytest.fixture
def client(sandbox):
    with closing(Client(sandbox, sandbox.admin)) as client:
        yield client


def _post(sandbox, key="k", **changes):
    body = json.dumps(SAMPLE | changes).encode()
    head = (
        f"POST /v1/evidence HTTP/1.1\r\nHost: sandbox\r\nAuthorization: Bearer {sandbox.write}\r\n"
        f"Idempotency-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


# ── The connection ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_drop_before(sandbox, client):
    """The connection ends without a byte, and nothing was taken; the next request goes through."""
    sandbox.faults = ["drop-before:x1"]
    count = len(sandbox.evidence)
    assert raw_exchange(sandbox, _post(sandbox, "drop-before")) == b""
    assert len(sandbox.evidence) == count
    reply = client.submit("drop-before")
    assert (reply.status, reply.headers["idempotent-replayed"]) == (201, None)


def test_drop_after(sandbox, client):
    """The connection ends without a byte, but the evidence was taken; the same key gets the answer that was lost."""
    sandbox.faults = ["drop-after:x1"]
    count = len(sandbox.evidence)
    assert raw_exchange(sandbox, _post(sandbox, "drop-after")) == b""
    assert len(sandbox.evidence) == count + 1
    reply = client.submit("drop-after")
    assert (reply.status, reply.headers["idempotent-replayed"]) == (201, "true")
    assert reply.document["id"] == sandbox.evidence[-1].id
    assert len(sandbox.evidence) == count + 1


def test_cut_off(sandbox, client):
    """The head comes whole, the body by half, then the connection ends; the evidence was taken."""
    sandbox.faults = ["cut-off:x1"]
    received = raw_exchange(sandbox, _post(sandbox, "cut-off"))
    head, _, body = received.partition(b"\r\n\r\n")
    whole = client.submit("cut-off").body
    assert head.startswith(b"HTTP/1.1 201 ")
    assert f"content-length: {len(whole)}".encode() in head.lower()
    assert body == whole[: len(whole) // 2]


def test_what_a_client_sees_of_a_cut(sandbox, client):
    """An HTTP client reports a dropped connection and an incomplete read, not an answer."""
    sandbox.faults = ["drop-after:x1", "cut-off:x1"]
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        client.get("/v1/controls")
    with pytest.raises(http.client.IncompleteRead):
        client.get("/v1/controls")


def test_slow(sandbox, client):
    """The answer comes after the wait, and is right."""
    sandbox.faults = ["slow:200ms"]
    for send in (client.submit, lambda: client.get("/v1/controls")):
        start = time.perf_counter()
        assert send().status in {200, 201}
        assert 0.2 <= time.perf_counter() - start < 1


def test_slow_goes_with_others(sandbox, client):
    """A slow failure is both."""
    sandbox.faults = ["503", "slow:200ms"]
    assert client.submit().status == 503
    sandbox.faults = ["slow:200ms", "503"]
    start = time.perf_counter()
    assert client.submit().status == 503
    assert time.perf_counter() - start >= 0.2


def test_a_client_that_goes_away(sandbox, client):
    """A request whose body never comes whole is forgotten: nothing is taken or counted."""
    count, answers = len(sandbox.evidence), sandbox.statuses.total()
    host, port = sandbox.root.removeprefix("http://").split(":")
    with closing(socket.create_connection((host, int(port)), timeout=5)) as line:
        line.sendall(_post(sandbox)[:-10])
    assert client.get("/v1/controls").status == 200
    assert (len(sandbox.evidence), sandbox.statuses.total()) == (count, answers + 1)


# ── The answer ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("500", (500, "server_error", None)),
        ("503", (503, "service_unavailable", None)),
        ("429", (429, "rate_limited", None)),
        ("409-in-progress", (409, "idempotency_key_in_progress", None)),
    ],
)
def test_errors_that_did_nothing(sandbox, client, kind, error):
    """The error body and the headers are as documented, and nothing was taken."""
    sandbox.faults = [f"{kind}:x1"]
    count = len(sandbox.evidence)
    reply = client.submit(kind)
    assert reply.error == error
    assert reply.headers["x-request-id"]
    assert reply.headers["x-ratelimit-limit"]
    assert len(sandbox.evidence) == count
    assert client.submit(kind).headers["idempotent-replayed"] is None


def test_500_after(sandbox, client):
    """The evidence was taken although the answer is 500; the same key gets the true answer."""
    sandbox.faults = ["500-after:x1"]
    count = len(sandbox.evidence)
    assert client.submit("500-after").error == (500, "server_error", None)
    assert len(sandbox.evidence) == count + 1
    assert client.submit("500-after").document["id"] == sandbox.evidence[-1].id


def test_stored_500(sandbox, client):
    """The 500 comes again under its key for ever, byte for byte; under another key the evidence is taken."""
    sandbox.faults = ["stored-500:x1"]
    count = len(sandbox.evidence)
    first, second, third = (client.submit("stored") for _ in range(3))
    assert first.status == second.status == third.status == 500
    assert first.body == second.body == third.body
    assert (first.headers["idempotent-replayed"], third.headers["idempotent-replayed"]) == (None, "true")
    assert len(sandbox.evidence) == count
    assert client.submit("stored-again").status == 201


def test_a_stored_500_does_not_hide_an_answer(sandbox, client):
    """Evidence that was taken under a key stays taken: its answer is replayed though the fault strikes."""
    made = client.submit("taken").body
    sandbox.faults = ["stored-500"]
    assert client.submit("taken").body == made


def test_html_200(sandbox, client):
    """A captive portal answers 200 with HTML, and none of the API's headers."""
    sandbox.faults = ["html-200"]
    reply = client.submit()
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/html")
    assert reply.body.startswith(b"<!DOCTYPE html>")
    assert reply.headers["x-request-id"] is None


@pytest.mark.parametrize(
    ("told", "pattern"),
    [
        ("429", r"0\.5"),
        ("429:retry-after=seconds", r"0\.5"),
        ("429:retry-after=none", None),
        ("429:retry-after=negative", "-1"),
        ("429:retry-after=absurd", "1000000"),
        ("429:retry-after=0.35", r"0\.35"),
        ("429:retry-after=7", "7"),
        ("503", None),
        ("503:retry-after=3", "3"),
    ],
)
def test_retry_after(sandbox, client, told, pattern):
    """Retry-After stands as told, or not at all."""
    sandbox.faults = [told]
    value = client.submit().headers["retry-after"]
    assert value is None if pattern is None else re.fullmatch(pattern, value)


@pytest.mark.parametrize(("told", "least", "most"), [("date", 0.9, 2.1), ("past", -3602, -3598)])
def test_retry_after_as_a_date(sandbox, client, told, least, most):
    """Retry-After as an HTTP date is soon, or long ago, on the server's clock."""
    sandbox.faults = [f"429:retry-after={told}"]
    now = time.time()
    value = client.submit().headers["retry-after"]
    assert value.endswith(" GMT")
    assert least <= parsedate_to_datetime(value).timestamp() - now <= most


# ── Aim ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_number_of_times(sandbox, client):
    """x3 strikes three times, then no more, and is counted."""
    before = sandbox.struck["500"]
    sandbox.faults = ["500x3"]
    assert [client.submit().status for _ in range(5)] == [500, 500, 500, 201, 201]
    assert sandbox.struck["500"] - before == 3


def test_one_control(sandbox, client):
    """@control strikes evidence for it and its retrieval, nothing else."""
    sandbox.faults = ["500@ctrl_lg_01"]
    assert client.submit().status == 201
    assert client.submit(control_id="ctrl_lg_01").status == 500
    assert client.get("/v1/controls/ctrl_lg_01").status == 500
    assert client.get("/v1/controls/ctrl_ac_02").status == 200
    assert client.call("POST", "/v1/evidence", b"no json").status == 400


def test_one_path(sandbox, client):
    """@/path strikes that path alone."""
    sandbox.faults = ["503@/v1/evidence"]
    assert client.get("/v1/controls").status == 200
    assert client.submit().status == 503


def test_who_is_not_let_in_meets_no_fault(sandbox):
    """A request without a valid token gets its 401, and uses up no fault."""
    sandbox.faults = ["500x1"]
    with closing(Client(sandbox, "wrong")) as stranger, closing(Client(sandbox, sandbox.write)) as client:
        assert stranger.submit().status == 401
        assert client.submit().status == 500


def test_the_same_seed_draws_the_same_lots():
    """A probability is kept to, and the same seed strikes the same requests."""

    def struck(seed):
        drawn = Faults(["500:0.2", "slow:1s:0.5"], seed)
        return [(strike.kind, strike.delay) for strike in (drawn.strike("/v1/evidence", b"") for _ in range(1000))]

    assert struck(1) == struck(1) != struck(2)
    assert 150 < sum(kind == "500" for kind, _ in struck(1)) < 250


# ── Grammar ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("drop-before:0.1", Fault("drop-before", probability=0.1)),
        ("slow:2s", Fault("slow", delay=2)),
        ("slow:250ms:.5", Fault("slow", delay=0.25, probability=0.5)),
        ("429:retry-after=date:x3", Fault("429", retry_after="date", times=3)),
        ("503x2", Fault("503", times=2)),
        ("500:0.5x3@ctrl_ac_02", Fault("500", probability=0.5, times=3, where="ctrl_ac_02")),
        ("500-after:1:x3@/v1/evidence", Fault("500-after", times=3, where="/v1/evidence")),
        (" cut-off 0.1 x3 ", Fault("cut-off", probability=0.1, times=3)),
    ],
)
def test_faults_are_read(text, read):
    """Each part of a fault says what it says."""
    assert fault(text) == read


def test_every_kind_is_explained():
    """The table of faults has a line for each kind."""
    assert all(f"\n    {kind} " in faults.__doc__ for kind in KINDS)


def test_every_kind_stands_alone():
    """Every kind is a fault by itself."""
    assert [fault(kind) for kind in KINDS] == [Fault(kind) for kind in KINDS]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", 'no fault ""'),
        ("explode", 'no fault "explode"'),
        ("500:2", '"2"'),
        ("500:0", '"0"'),
        ("500:-0.1", '"-0.1"'),
        ("500:2s", '"2s"'),
        ("slow:2m", '"2m"'),
        ("500:retry-after=3", '"retry-after=3"'),
        ("429:retry-after=soon", '"retry-after=soon"'),
        ("500:x", '"x"'),
        ("500@", "500@"),
    ],
)
def test_faults_that_cannot_be_read(text, named):
    """What is not understood is quoted, with what would be."""
    with pytest.raises(InvalidOption) as caught:
        fault(text)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
