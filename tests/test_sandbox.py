import base64
import json
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from email.utils import parsedate_to_datetime

import pytest
from sandbox_client import SAMPLE, Client

from agent.sandbox import controls
from agent.sandbox.clock import stamp
from agent.sandbox.options import InvalidOption, Options, token
from agent.sandbox.server import running

NAMED_BY_THE_AGENT = {
    "aws_s3_bucket_encryption", "aws_s3_bucket_public_access", "aws_iam_password_policy", "aws_iam_user_mfa",
    "aws_iam_root_account", "aws_cloudtrail_trails", "aws_vpc_security_group_ingress", "aws_kms_key_rotation",
    "okta_user_lifecycle", "okta_user_mfa", "okta_password_policy", "github_org_two_factor",
    "github_branch_protection", "github_pull_request_reviews",
}  # fmt: skip


@pytest.fixture(scope="module")
def server():
    with running(Options(rate=1e6)) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(server):
    yield server
    server.faults = ()
    server.set_time(0)


@pytest.fixture
def reader(sandbox):
    with closing(Client(sandbox, sandbox.read)) as client:
        yield client


@pytest.fixture
def writer(sandbox):
    with closing(Client(sandbox, sandbox.write)) as client:
        yield client


@pytest.fixture
def admin(sandbox):
    with closing(Client(sandbox, sandbox.admin)) as client:
        yield client


@pytest.fixture
def fresh():
    """A sandbox of the test's own, as the options say, and a client with each scope."""
    with ExitStack() as stack:

        def start(**options):
            sandbox = stack.enter_context(running(Options(**{"rate": 1e6, **options})))
            return sandbox, stack.enter_context(closing(Client(sandbox, sandbox.admin)))

        yield start


# ── Evidence ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_evidence_is_accepted(sandbox, writer):
    """Evidence as in the API reference is answered with an id, `accepted` and a time, and is kept as it was sent."""
    reply = writer.submit()
    assert reply.status == 201
    assert re.fullmatch("ev_[0-9A-HJKMNP-TV-Z]{20}", reply.document["id"])
    assert reply.document["status"] == "accepted"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", reply.document["created_at"])
    kept = sandbox.evidence[-1]
    assert (kept.id, kept.payload, kept.signal) == (reply.document["id"], SAMPLE["payload"], "pass")


@pytest.mark.parametrize("name", ["control_id", "source", "collected_at", "payload"])
@pytest.mark.parametrize("value", [..., 7, None, ["a"]])
def test_fields_of_evidence_are_required_and_typed(writer, name, value):
    """A field that is missing or of another type is 400 and named."""
    reply = writer.submit(**{name: value})
    assert reply.error == (400, "validation_error", name)
    assert reply.document["detail"]["hint"]


def test_a_missing_control_id_is_told_as_documented(writer):
    """The error body is the one of the API reference."""
    assert writer.submit(control_id=...).document == {
        "code": "validation_error",
        "message": 'Field "control_id" is required.',
        "detail": {"field": "control_id", "hint": "Pass a control ID like ctrl_ac_02."},
    }


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b'{"payload": NaN}', "malformed_json"),
        (b'{"payload": -Infinity}', "malformed_json"),
        (b"\xff\xfe", "malformed_json"),
        (b"[" * 100_000, "malformed_json"),
        (b"\xef\xbb\xbf{}", "malformed_json"),
        (b"[]", "validation_error"),
        (b'"text"', "validation_error"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(writer, body, code):
    """What is not one JSON object in UTF-8 is 400."""
    assert writer.call("POST", "/v1/evidence", body).error[:2] == (400, code)


def test_half_a_surrogate_pair_is_refused(writer):
    """A field that UTF-8 cannot write is 400, not a failure of the server."""
    assert writer.submit(source="\ud800").error == (400, "validation_error", "source")


def test_an_empty_source_is_refused(writer):
    """An empty source is 400."""
    assert writer.submit(source="").error == (400, "validation_error", "source")


@pytest.mark.parametrize("time", ["yesterday", "2026-04-15", "2026-04-15T09:14:22", "2026-04-15 09:14:22Z", ""])
def test_collected_at_must_be_an_instant(writer, time):
    """A timestamp without its time or its offset is 400."""
    assert writer.submit(collected_at=time).error == (400, "validation_error", "collected_at")


@pytest.mark.parametrize(
    "time", ["2026-04-15T09:14:22.123456Z", "2026-04-15T11:14:22+02:00", "0001-01-01T00:00:00+14:00"]
)
def test_any_iso_instant_is_taken(writer, time):
    """Fractions of a second and any offset are taken."""
    assert writer.submit(collected_at=time).status == 201


def test_the_future_is_refused(writer):
    """Evidence from more than five minutes ahead is 422."""
    now = time.time()
    assert writer.submit(collected_at=stamp(now + 290)).status == 201
    assert writer.submit(collected_at=stamp(now + 320)).error == (422, "collected_in_future", "collected_at")


def test_an_unknown_control_is_not_found(writer):
    """Evidence for a control that is not there is 404."""
    assert writer.submit(control_id="ctrl_zz_99").error == (404, "not_found", "control_id")


def _sized(payload, *, ascii_only=False):
    return json.dumps(SAMPLE | {"payload": payload}, ensure_ascii=ascii_only, separators=(",", ":")).encode()


@pytest.mark.parametrize(("size", "status"), [(999_999, 201), (1_000_000, 201), (1_000_001, 422), (1_048_576, 422)])
def test_a_payload_has_at_most_a_million_bytes(writer, size, status):
    """A payload of 1,000,000 bytes passes, one byte more is 422, whatever surrounds it."""
    body = _sized({"a": "x" * (size - 8)})
    assert writer.call("POST", "/v1/evidence", body).status == status


def test_a_payload_is_measured_escaped_too(writer):
    """Text that fits as UTF-8, but not with everything but ASCII escaped, is 422."""
    reply = writer.call("POST", "/v1/evidence", _sized({"a": "é" * 200_000}))
    assert reply.error == (422, "payload_too_large", "payload")
    assert writer.call("POST", "/v1/evidence", _sized({"a": "é" * 160_000})).status == 201


def test_a_payload_is_measured_as_sent(writer):
    """Blanks inside the payload count, blanks around it do not."""
    start, end = _sized({"a": 1}).split(b'{"a":1}')
    assert writer.call("POST", "/v1/evidence", start + b'{"a":' + b" " * 1_000_000 + b"1}" + end).status == 422
    assert writer.call("POST", "/v1/evidence", start + b" " * 990_000 + b'{"a":1}' + b" " * 900_000 + end).status == 201


def test_too_large_can_be_413(fresh):
    """The sandbox can be told to answer 413 for a payload over 1 MB."""
    _, client = fresh(too_large=413)
    reply = client.call("POST", "/v1/evidence", _sized({"a": "x" * 1_000_000}))
    assert reply.error == (413, "payload_too_large", "payload")


def test_a_huge_body_is_refused_unread(sandbox):
    """A body announced with more than 2,000,000 bytes is 413 before any of it is sent."""
    host, port = sandbox.root.removeprefix("http://").split(":")
    with closing(socket.create_connection((host, int(port)), timeout=5)) as line:
        line.sendall(b"POST /v1/evidence HTTP/1.1\r\nHost: a\r\nContent-Length: 2000001\r\n\r\n")
        assert line.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_huge_chunked_body_is_refused(sandbox, writer):
    """A body that turns out to have more than 2,000,000 bytes is 413, and the connection goes on."""

    def chunks():
        for _ in range(30):
            yield b"x" * 100_000

    writer._connection.request("POST", "/v1/evidence", chunks(), {"authorization": f"Bearer {sandbox.write}"})
    answer = writer._connection.getresponse()
    assert (answer.status, json.loads(answer.read())["code"]) == (413, "body_too_large")
    assert writer.submit().status == 201


@pytest.mark.parametrize(
    ("payload", "signal"),
    [
        ({"records": [{"name": "a", "encryption": "AES256"}], "gaps": []}, "pass"),
        ({"records": [], "gaps": [{"kind": "denied"}]}, "review"),
        ({"records": [], "gaps": [], "collection": {"complete": False}}, "review"),
        ({"records": [{"name": "a", "encryption": None}]}, "fail"),
        ({"bucket": "a", "encryption": None}, "fail"),
    ],
)
def test_evidence_is_judged(sandbox, writer, reader, payload, signal):
    """Gaps ask for review, an unencrypted bucket fails, the rest passes, and the control shows it."""
    made = writer.submit(payload=payload).document["id"]
    newest = reader.get("/v1/controls/ctrl_ac_02").document["evidence"][0]
    assert newest == {"id": made, "source": "aws", "status": signal, "collected_at": SAMPLE["collected_at"]}


def test_a_control_follows_its_evidence(fresh):
    """Untested, failing, passing, drifted and passing again, as the signals come; a review changes nothing."""
    sandbox, client = fresh()
    seen = []
    for signal in ("review", "fail", "pass", "fail", "fail", "review", "pass"):
        sandbox.dictate("ctrl_lg_01", signal)
        assert client.submit(control_id="ctrl_lg_01").status == 201
        seen.append(client.get("/v1/controls/ctrl_lg_01").document["status"])
    assert seen == ["not_tested", "failing", "passing", "drifted", "drifted", "drifted", "passing"]


# ── Tokens ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sent", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic abc", "chequr-sandbox-read"])
def test_a_valid_bearer_token_is_needed(sandbox, sent):
    """Without a valid Bearer token every path is 401, with all headers."""
    with closing(Client(sandbox, None)) as client:
        for path in ("/v1/controls", "/v1/nowhere", "/"):
            reply = client.get(path, **({} if sent is None else {"authorization": sent}))
            assert reply.error == (401, "unauthorized", None)
            assert reply.headers["www-authenticate"] == "Bearer"
            assert reply.headers["x-ratelimit-limit"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/controls", {"read", "write", "admin"}),
        ("GET", "/v1/controls/ctrl_ac_02", {"read", "write", "admin"}),
        ("GET", "/v1/audit-log", {"read", "write", "admin"}),
        ("POST", "/v1/evidence", {"write", "admin"}),
        ("POST", "/v1/webhooks", {"admin"}),
    ],
)
def test_scopes(sandbox, method, path, allowed):
    """Each endpoint needs its scope, write includes read, admin includes all; else 403, whatever the body."""
    for scope in ("read", "write", "admin"):
        with closing(Client(sandbox, sandbox.tokens[scope])) as client:
            reply = client.call(method, path, b"not json" if method == "POST" else None)
            refused = reply.status == 403 and reply.error == (403, "forbidden", None)
            assert refused == (scope not in allowed)


def test_a_revoked_token_stops_at_once(sandbox):
    """After the revocation the next request is 401."""
    with closing(Client(sandbox, sandbox.issue("read"))) as client:
        assert client.get("/v1/controls").status == 200
        sandbox.revoke(client.token)
        assert client.get("/v1/controls").error[:2] == (401, "unauthorized")


def test_a_rotated_token_works_for_a_day_more(sandbox):
    """The old token and the new one work side by side for 24 hours, then only the new one."""
    old = sandbox.issue("read")
    new = sandbox.rotate(old)
    with closing(Client(sandbox, old)) as before, closing(Client(sandbox, new)) as after:
        assert (before.get("/v1/controls").status, after.get("/v1/controls").status) == (200, 200)
        sandbox.set_time(24 * 3600 + 5)
        assert (before.get("/v1/controls").status, after.get("/v1/controls").status) == (401, 200)


# ── Paths and methods ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/v1/nowhere", "/v1/controls/", "/v2/controls", "/V1/controls"])
def test_unknown_paths(reader, path):
    """A path that is not there is 404 with the error body."""
    assert reader.get(path).error == (404, "not_found", None)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/evidence", {"POST"}),
        ("DELETE", "/v1/controls/ctrl_ac_02", {"GET", "HEAD"}),
        ("PUT", "/v1/webhooks", {"POST"}),
        ("POST", "/v1/audit-log", {"GET", "HEAD"}),
    ],
)
def test_other_methods(reader, method, path, allow):
    """Another method is 405 with the error body, and names those allowed."""
    reply = reader.call(method, path)
    assert reply.error == (405, "method_not_allowed", None)
    assert set(reply.headers["allow"].split(", ")) == allow


def test_every_answer_is_traced_and_dated(reader):
    """X-Request-Id differs from answer to answer; Date is the server's time."""
    replies = [reader.get("/v1/controls"), reader.get("/v1/nowhere"), reader.get("/v1/controls?limit=0")]
    ids = {reply.headers["x-request-id"] for reply in replies}
    assert len(ids) == 3
    assert all(re.fullmatch("req_[0-9A-HJKMNP-TV-Z]{20}", each) for each in ids)
    assert abs(parsedate_to_datetime(replies[0].headers["date"]).timestamp() - time.time()) < 5
    assert len(replies[0].headers.get_all("date")) == 1


def test_a_skewed_clock(sandbox, reader):
    """With an offset, Date and X-RateLimit-Reset are those of the wrong clock."""
    sandbox.set_time(-86_400)
    reply = reader.get("/v1/controls")
    assert abs(parsedate_to_datetime(reply.headers["date"]).timestamp() - (time.time() - 86_400)) < 5
    assert abs(float(reply.headers["x-ratelimit-reset"]) - (time.time() - 86_400)) < 5


# ── Rate limit ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_bursts_are_absorbed_up_to_twice_the_rate(fresh):
    """Twice the limit passes at once, then 429 with a Retry-After in fractions, after which it goes on."""
    _, client = fresh(rate=10)
    start, passed = time.monotonic(), 0
    while (refused := client.get("/v1/controls?limit=1")).status == 200:
        passed += 1
    assert 20 <= passed <= 21 + 10 * (time.monotonic() - start)
    assert refused.error == (429, "rate_limited", None)
    assert refused.headers["x-ratelimit-remaining"] == "0"
    wait = refused.headers["retry-after"]
    assert re.fullmatch(r"0\.\d{3}", wait)
    assert float(wait) <= 0.1
    time.sleep(float(wait))
    assert client.get("/v1/controls?limit=1").status == 200


def test_rate_limit_headers(fresh):
    """Limit is the rate, Remaining counts down, Reset is when the bucket is full, in fractions of a second."""
    _, client = fresh(rate=100)
    start = time.time()
    first, second = client.get("/v1/controls"), client.get("/v1/controls")
    assert first.headers["x-ratelimit-limit"] == "100"
    assert int(first.headers["x-ratelimit-remaining"]) == 199
    assert 197 <= int(second.headers["x-ratelimit-remaining"]) <= 199
    assert re.fullmatch(r"\d+\.\d{3}", first.headers["x-ratelimit-reset"])
    assert start < float(first.headers["x-ratelimit-reset"]) < time.time() + 0.1


def test_each_key_has_its_own_bucket(fresh):
    """One key's 429 leaves others alone; the tokens of a rotated key share a bucket; a key may have its own rate."""
    sandbox, client = fresh(rate=0.5)
    while client.get("/v1/controls").status == 200:
        pass
    with closing(Client(sandbox, sandbox.rotate(sandbox.admin))) as rotated:
        assert rotated.get("/v1/controls").status == 429
    with closing(Client(sandbox, sandbox.read)) as other:
        assert other.get("/v1/controls").status == 200
    with closing(Client(sandbox, sandbox.issue("read", rate=50))) as own:
        assert own.get("/v1/controls").headers["x-ratelimit-limit"] == "50"


# ── Idempotency ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_key_and_body_is_the_same_evidence(sandbox, writer, admin):
    """The first answer comes again, byte for byte and marked, whichever token of the workspace asks."""
    count = len(sandbox.evidence)
    first, second, third = writer.submit("same"), writer.submit("same"), admin.submit("same")
    assert first.status == second.status == third.status == 201
    assert first.body == second.body == third.body
    assert first.headers["idempotent-replayed"] is None
    assert second.headers["idempotent-replayed"] == third.headers["idempotent-replayed"] == "true"
    assert len(sandbox.evidence) == count + 1


def test_the_same_key_and_another_body_clash(sandbox, writer, admin):
    """Another body, or another endpoint, under the same key is 409, and nothing is taken."""
    writer.submit("clash")
    count = len(sandbox.evidence)
    assert writer.submit("clash", source="okta").error == (409, "idempotency_key_reused", None)
    assert writer.call("POST", "/v1/evidence", b"{", idempotency_key="clash").status == 409
    assert admin.call("POST", "/v1/webhooks", SAMPLE, idempotency_key="clash").status == 409
    assert len(sandbox.evidence) == count


def test_without_a_key_each_post_counts(sandbox, writer):
    """The key is optional: without one the same body is taken twice."""
    count = len(sandbox.evidence)
    assert writer.submit().document["id"] != writer.submit().document["id"]
    assert len(sandbox.evidence) == count + 2


def test_a_refusal_is_not_kept(sandbox, writer):
    """What was refused under a key may be right later: the same request is looked at anew."""
    ahead = stamp(time.time() + 900)
    assert writer.submit("later", collected_at=ahead).status == 422
    sandbox.set_time(900)
    assert writer.submit("later", collected_at=ahead).status == 201


def test_keys_expire(fresh):
    """After its time a key is new again, and the evidence is taken a second time."""
    sandbox, client = fresh(idempotency_ttl=60)
    first = client.submit("k").document["id"]
    sandbox.set_time(50)
    assert client.submit("k").document["id"] == first
    sandbox.set_time(61)
    assert client.submit("k").document["id"] != first
    assert len(sandbox.evidence) == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "ä"])
def test_unfit_keys(writer, key):
    """An empty, overlong or non-ASCII key is 400."""
    assert writer.submit(key).error == (400, "invalid_idempotency_key", None)


def test_a_duplicate_meanwhile_is_told_so(sandbox, writer):
    """While the first request runs, the same one is 409 in progress, another body 409 reused; then it is replayed."""
    sandbox.faults = ["slow:500ms:x1"]
    with ThreadPoolExecutor(1) as pool, closing(Client(sandbox, sandbox.write)) as first:
        running_one = pool.submit(first.submit, "busy")
        _until(lambda: sandbox.struck["slow"])
        assert writer.submit("busy").error == (409, "idempotency_key_in_progress", None)
        assert writer.submit("busy", source="okta").error == (409, "idempotency_key_reused", None)
        made = running_one.result()
    assert writer.submit("busy").body == made.body


def test_simultaneous_duplicates_make_one(sandbox):
    """Sixteen clients that post the same key and body at once make exactly one evidence item."""
    count = len(sandbox.evidence)
    barrier = threading.Barrier(16)

    def post(_):
        with closing(Client(sandbox, sandbox.write)) as client:
            barrier.wait()
            return client.submit("simultaneous")

    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(post, range(16)))
    assert {reply.status for reply in replies} <= {201, 409}
    assert len({reply.body for reply in replies if reply.status == 201}) == 1
    assert len(sandbox.evidence) == count + 1


def _submit_once(sandbox):
    with closing(Client(sandbox, sandbox.write)) as client:
        return client.submit()


def _until(holds):
    end = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


# ── Controls ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _pages(client, path):
    """All pages from `path` on, by next_cursor."""
    separator = "&" if "?" in path else "?"
    reply = client.get(path)
    while True:
        assert reply.status == 200
        assert set(reply.document) == {"data", "next_cursor"}
        yield reply.document["data"]
        if reply.document["next_cursor"] is None:
            return
        reply = client.get(f"{path}{separator}cursor={reply.document['next_cursor']}")


def test_the_seeded_workspace(reader):
    """There are controls for each evidence type, for files, and for what nobody serves, in all six frameworks."""
    listed = reader.get("/v1/controls?limit=100").document["data"]
    assert {control["framework"] for control in listed} == set(controls.FRAMEWORKS)
    evaluators = [
        reader.get(f"/v1/controls/{control['id']}").document["test_policy"]["evaluator"] for control in listed
    ]
    assert evaluators.count("manual") == 4
    assert set(evaluators) > NAMED_BY_THE_AGENT
    assert len(set(evaluators) - NAMED_BY_THE_AGENT - {"manual"}) == 2


def test_the_control_of_the_reference(fresh):
    """ctrl_ac_02 is listed and retrieved as the API reference shows it."""
    _, client = fresh()
    assert client.get("/v1/controls").document["data"][0] == {
        "id": "ctrl_ac_02",
        "framework": "soc2",
        "code": "CC6.1",
        "name": "Logical access restriction",
        "status": "passing",
        "last_tested_at": "2026-04-14T22:03:11Z",
    }
    made = client.submit().document["id"]
    assert client.get("/v1/controls/ctrl_ac_02").document == {
        "id": "ctrl_ac_02",
        "framework": "soc2",
        "code": "CC6.1",
        "name": "Logical access restriction",
        "owner": {"id": "usr_42", "name": "Priya Desai"},
        "status": "passing",
        "test_policy": {"cadence": "daily", "evaluator": "aws_s3_bucket_encryption"},
        "evidence": [{"id": made, "source": "aws", "status": "pass", "collected_at": "2026-04-15T09:14:22Z"}],
    }


def test_pages_are_whole(reader):
    """Pages of any size together are the whole list, once each."""
    whole = reader.get("/v1/controls?limit=100").document["data"]
    for limit in (1, 7, 20):
        pages = list(_pages(reader, f"/v1/controls?limit={limit}"))
        assert [control for page in pages for control in page] == whole
        assert all(len(page) == limit for page in pages[:-1])


def test_filters_of_controls(fresh):
    """Framework and status narrow the list, alone and together, over pages too."""
    _, client = fresh()
    client.submit(control_id="ctrl_bc_03")
    by_framework = [control for page in _pages(client, "/v1/controls?framework=soc2&limit=2") for control in page]
    assert len(by_framework) == 4
    assert {control["framework"] for control in by_framework} == {"soc2"}
    both = client.get("/v1/controls?framework=soc2&status=passing").document["data"]
    assert [control["id"] for control in both] == ["ctrl_ac_02", "ctrl_bc_03", "ctrl_cm_04"]
    assert client.get("/v1/controls?status=drifted").document == {"data": [], "next_cursor": None}


@pytest.mark.parametrize("path", ["/v1/controls", "/v1/audit-log"])
def test_wrong_parameters_of_lists(reader, path):
    """Limits out of range, deprecated parameters and foreign cursors are 400, named."""
    most = 100 if path == "/v1/controls" else 250
    for limit in ("0", "-1", str(most + 1), "ten", "", "1.5", "9" * 5000, "%D9%A3"):
        assert reader.get(f"{path}?limit={limit}").error == (400, "validation_error", "limit")
    assert reader.get(f"{path}?limit={most}").status == 200
    for name in ("offset", "page"):
        assert reader.get(f"{path}?{name}=2").error == (400, "deprecated_parameter", name)
    made_up = base64.b64encode(b'{"offset":25}').decode()
    for cursor in ("", "abc", "%FF", made_up, "A" * 4000):
        assert reader.get(f"{path}?cursor={cursor}").error == (400, "invalid_cursor", "cursor")


def test_cursors_keep_to_their_list(reader, writer):
    """A cursor goes on with its filters where they are left out, and refuses other filters and other lists."""
    for _ in range(3):
        writer.submit()
    first = reader.get("/v1/controls?framework=gdpr&limit=1").document
    path = f"/v1/controls?limit=5&cursor={first['next_cursor']}"
    assert {control["framework"] for control in reader.get(path).document["data"]} == {"gdpr"}
    assert reader.get(f"{path}&framework=gdpr").status == 200
    assert reader.get(f"{path}&framework=soc2").error == (400, "invalid_cursor", "cursor")
    assert reader.get(f"/v1/audit-log?cursor={first['next_cursor']}").error == (400, "invalid_cursor", "cursor")


@pytest.mark.parametrize("query", ["framework=sox", "framework=", "status=green"])
def test_unknown_filters(reader, query):
    """A framework or a status that is not there is 400, with those that are."""
    reply = reader.get(f"/v1/controls?{query}")
    assert reply.error == (400, "validation_error", query.split("=")[0])


def test_an_unknown_control(reader):
    """Retrieving a control that is not there is 404."""
    assert reader.get("/v1/controls/ctrl_zz_99").error == (404, "not_found", "control_id")


def test_the_last_fifty(fresh):
    """A control shows its 50 newest evidence items, newest first, and nobody else's."""
    sandbox, client = fresh()
    for number in range(60):
        client.submit(control_id="ctrl_ac_02" if number % 10 else "ctrl_lg_01", payload={"number": number})
    shown = [item["id"] for item in client.get("/v1/controls/ctrl_ac_02").document["evidence"]]
    assert shown == [item.id for item in reversed(sandbox.evidence) if item.control_id == "ctrl_ac_02"][:50]
    assert len(client.get("/v1/controls/ctrl_lg_01").document["evidence"]) == 6


def test_controls_from_a_file(fresh, tmp_path):
    """A JSON file of controls stands in for the seed."""
    file = tmp_path / "controls.json"
    control = {
        "id": "ctrl_x", "framework": "soc2", "code": "CC1.1", "name": "X", "owner": {"id": "usr_1", "name": "A"},
        "test_policy": {"cadence": "daily", "evaluator": "manual"},
    }  # fmt: skip
    file.write_text(json.dumps([control]))
    _, client = fresh(controls=file)
    assert [each["id"] for each in client.get("/v1/controls").document["data"]] == ["ctrl_x"]
    assert client.submit(control_id="ctrl_x").status == 201


# ── Audit log ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_actions_are_logged(fresh):
    """Each action leaves an entry with actor, target and time, oldest first; replays and reads leave none."""
    sandbox, client = fresh()
    made = client.submit("once").document["id"]
    client.submit("once")
    hook = {"url": "https://hooks.acme.io/chequr", "events": ["risk.scored"], "secret": "s" * 32}
    hook_id = client.call("POST", "/v1/webhooks", hook).document["id"]
    new = sandbox.rotate(sandbox.read)
    sandbox.revoke(sandbox.read)
    entries = client.get("/v1/audit-log").document["data"]
    assert [(entry["action"], entry["target"]) for entry in entries[:2]] == [
        ("evidence.submitted", made),
        ("webhook.registered", hook_id),
    ]
    assert [entry["action"] for entry in entries[2:]] == ["token.rotated", "token.revoked"]
    assert entries[0]["actor"]["type"] == "api_key"
    assert entries[2]["actor"] == {"type": "user", "id": "usr_1", "name": "Sandbox operator"}
    assert re.fullmatch("al_[0-9A-HJKMNP-TV-Z]{20}", entries[0]["id"])
    assert new not in json.dumps(entries)
    assert sandbox.read not in json.dumps(entries)


def test_the_audit_log_by_actor_and_time(fresh):
    """`actor`, `from` and `to` narrow the log; bounds are inclusive; the default is the last seven days."""
    sandbox, client = fresh()
    with closing(Client(sandbox, sandbox.write)) as writer:
        for day in (-10, -3, -1):
            sandbox.set_time(day * 86_400)
            (writer if day == -3 else client).submit(collected_at="2020-01-01T00:00:00Z")
        sandbox.set_time(0)
    all_of_it = client.get("/v1/audit-log?from=2020-01-01T00:00:00Z").document["data"]
    old, middle, new = (entry["at"] for entry in all_of_it)
    assert [entry["at"] for entry in client.get("/v1/audit-log").document["data"]] == [middle, new]

    def at(query):
        return [entry["at"] for entry in client.get(f"/v1/audit-log?{query}").document["data"]]

    assert at(f"from={old}&to={old}") == [old]
    assert at(f"from={old}&to={middle}") == [old, middle]
    actor = all_of_it[1]["actor"]["id"]
    assert at(f"from={old}&actor={actor}") == [middle]
    assert at(f"from={old}&actor=usr_404") == []


@pytest.mark.parametrize("name", ["from", "to"])
def test_wrong_bounds(reader, name):
    """A bound that is no instant is 400; bounds in the wrong order are 422."""
    assert reader.get(f"/v1/audit-log?{name}=yesterday").error == (400, "validation_error", name)
    assert reader.get(f"/v1/audit-log?{name}=").error == (400, "validation_error", name)
    reply = reader.get("/v1/audit-log?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z")
    assert reply.error == (422, "invalid_range", "from")


def test_audit_pages_hold_still_while_entries_arrive(fresh):
    """What is logged between two pages neither repeats nor displaces an entry, and paging ends."""
    _, client = fresh()
    before = [client.submit().document["id"] for _ in range(10)]
    seen = []
    for page in _pages(client, "/v1/audit-log?limit=3"):
        seen += [entry["target"] for entry in page]
        client.submit()
    assert seen[:10] == before
    assert len(seen) == len(set(seen)) < 20


def test_the_audit_log_cannot_be_changed(fresh):
    """Not even the sandbox's own connection can change or delete an entry."""
    sandbox, client = fresh()
    client.submit()
    for statement in ("DELETE FROM audit", "UPDATE audit SET action = 'x'"):
        with pytest.raises(Exception, match="immutable"):
            sandbox.workspace.write(statement)


def test_a_long_audit_log_stays_quick(fresh):
    """With 200,000 entries a page takes no longer than a page."""
    sandbox, client = fresh()
    now = int(time.time())
    with sandbox.workspace.transaction():
        sandbox.workspace._database.executemany(
            "INSERT INTO audit (id, actor_type, actor_id, action, target, at) VALUES (?, 'user', ?, 'a', 't', ?)",
            ((f"al_{n}", f"usr_{n % 1000}", now - 200_000 + n) for n in range(200_000)),
        )
    middle = stamp(now - 100_000)
    start = time.perf_counter()
    for query in (f"from={middle}", "actor=usr_999", f"from={middle}&actor=usr_5"):
        assert len(client.get(f"/v1/audit-log?{query}").document["data"]) == 100
    assert time.perf_counter() - start < 0.5


# ── Options ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"host": "0.0.0.0"}, "does not listen on 0.0.0.0"),
        ({"rate": 0}, "more than 0"),
        ({"faults": ["explode"]}, 'no fault "explode"'),
    ],
)
def test_options_that_cannot_be(options, message):
    """What cannot be served is refused before anything starts, with the remedy."""
    with pytest.raises(InvalidOption, match=message), running(Options(**options)):
        pass


@pytest.mark.parametrize("content", ["", "{}", '[{"id": "x"}]', None])
def test_a_controls_file_that_cannot_be_read(tmp_path, content):
    """A missing or malformed controls file is named."""
    file = tmp_path / "controls.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InvalidOption, match=r"controls\.json"), running(Options(controls=file)):
        pass


def test_a_state_file_of_something_else(tmp_path):
    """A file that is no database is left alone and named."""
    file = tmp_path / "state"
    file.write_text("not a database, but long enough to be mistaken for one" * 100)
    with pytest.raises(InvalidOption, match="state"), running(Options(state=file)):
        pass


def test_tokens_as_told(fresh):
    """Tokens named by scope work, and the scopes not named have their defaults."""
    sandbox, _ = fresh(tokens=[token("write=abc=def"), token("write=second")])
    assert sandbox.write == "abc=def"
    for value in ("abc=def", "second", sandbox.read):
        with closing(Client(sandbox, value)) as client:
            assert client.get("/v1/controls").status == 200


@pytest.mark.parametrize("text", ["write", "write=", "owner=abc", "=abc", "write=a b", ""])
def test_tokens_that_cannot_be(text):
    """A token that is not SCOPE=VALUE is refused with the form."""
    with pytest.raises(InvalidOption, match="SCOPE=VALUE"):
        token(text)


def test_nothing_is_left_behind():
    """The block ends at once although a request waits; after it there is no thread, and nothing listens."""
    before = set(threading.enumerate())
    with ThreadPoolExecutor(1) as pool:
        with running(Options(rate=1e6, faults=["slow:60s"])) as sandbox:
            waiting = pool.submit(_submit_once, sandbox)
            _until(lambda: sandbox.struck["slow"])
        assert waiting.result().status == 201
    assert set(threading.enumerate()) == before
    host, port = sandbox.root.removeprefix("http://").split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=1)
