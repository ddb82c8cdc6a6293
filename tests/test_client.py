"""The API client, endpoint by endpoint, against real HTTP on loopback."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice

import pytest
from loopback import Answer, serving

from agent import endpoints, errors
from agent.client import AsyncClient, Client
from agent.errors import ApiError, UnreadableAnswer
from agent.token import Token

COLLECTED = datetime(2026, 4, 15, 9, 14, 22, tzinfo=UTC)
RECEIPT = {"id": "ev_01HX9K2ZP7N4YQ8R5T3V", "status": "accepted", "created_at": "2026-04-15T09:14:23Z"}
WEBHOOK = {
    "id": "wh_01HX9M7R2T8YV4K6N3P5Q9",
    "url": "https://hooks.acme.io/chequr",
    "events": ["control.drifted", "evaluator.retired"],
    "created_at": "2026-04-15T09:16:04Z",
}
CONTROL = {
    "id": "ctrl_ac_02",
    "framework": "soc2",
    "code": "CC6.1",
    "name": "Logical access restriction",
    "owner": {"id": "usr_42", "name": "Priya Desai"},
    "status": "passing",
    "test_policy": {"cadence": "daily", "evaluator": "aws_s3_bucket_encryption"},
    "evidence": [
        {"id": "ev_1", "source": "aws", "status": "pass", "collected_at": "2026-04-15T09:14:22Z"},
    ],
}
ENTRY = {
    "id": "al_01HX9M9T4W2XK6M8N3P",
    "actor": {"type": "api_key", "id": "key_live_9f2a"},
    "action": "evidence.submitted",
    "target": "ev_01HX9K2ZP7N4YQ8R5T3V",
    "at": "2026-04-15T09:14:23Z",
}


@pytest.fixture(autouse=True)
def _token(monkeypatch):
    monkeypatch.setenv("CHEQUR_TOKEN", "sk_test_1")


def summary(number: int) -> dict[str, str]:
    return {"id": f"ctrl_{number}", "framework": "soc2", "code": "CC6.1", "name": "Access", "status": "passing"}


def page(data: list[object], cursor: str | None = None) -> Answer:
    return Answer(200, {"data": data, "next_cursor": cursor})


def test_submit_evidence():
    """Evidence is POSTed as documented, and the receipt comes back typed, its times aware."""
    collected = COLLECTED.astimezone(timezone(timedelta(hours=2)))
    with serving(Answer(202, RECEIPT)) as server, Client(Token(), base_url=server.url) as client:
        receipt = client.submit_evidence("ctrl_ac_02", "aws", collected, {"bucket": "Prüfung"})
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/v1/evidence")
    assert json.loads(request.body) == {
        "control_id": "ctrl_ac_02",
        "source": "aws",
        "collected_at": "2026-04-15T09:14:22Z",
        "payload": {"bucket": "Prüfung"},
    }
    assert request.headers["Authorization"] == "Bearer sk_test_1"
    assert request.headers["Content-Type"] == request.headers["Accept"] == "application/json"
    assert request.headers["User-Agent"].startswith("chequr-agent/")
    assert len(request.headers["Idempotency-Key"]) >= 32
    assert (receipt.id, receipt.status) == (RECEIPT["id"], "accepted")
    assert receipt.created_at == datetime(2026, 4, 15, 9, 14, 23, tzinfo=UTC)


def test_each_submission_has_its_own_key_unless_one_is_given():
    """Without a key a fresh one is made each time; a given one is sent as it is."""
    with serving(Answer(200, RECEIPT)) as server, Client(Token(), base_url=server.url) as client:
        for key in (None, None, "cq1-mine"):
            client.submit_evidence("c", "aws", COLLECTED, {}, idempotency_key=key)
    first, second, third = (request.headers["Idempotency-Key"] for request in server.requests)
    assert first != second
    assert third == "cq1-mine"


def test_what_json_cannot_hold_is_never_sent():
    """NaN in a payload and a time without a zone are refused before anything is sent."""
    with serving(Answer(200, RECEIPT)) as server, Client(Token(), base_url=server.url) as client:
        with pytest.raises(ValueError, match="JSON"):
            client.submit_evidence("c", "aws", COLLECTED, {"x": float("nan")})
        with pytest.raises(ValueError, match="time zone"):
            client.submit_evidence("c", "aws", COLLECTED.replace(tzinfo=None), {})
    assert server.requests == []


def test_the_async_client_sends_bytes_as_they_are():
    """The deliverer's bytes and key reach the API to the byte."""
    body = b'{ "control_id":"c",  "payload":{"\\u00e9":1.0} }'

    async def submit(url: str) -> str:
        async with AsyncClient(Token(), base_url=url) as client:
            return (await client.submit(body, "cq1-abc")).id

    with serving(Answer(200, RECEIPT)) as server:
        assert asyncio.run(submit(server.url)) == RECEIPT["id"]
    assert server.requests[0].body == body
    assert server.requests[0].headers["Idempotency-Key"] == "cq1-abc"


def test_the_async_client_performs_every_operation():
    """What one client can do, the other can: an operation is written once."""

    async def look(url: str) -> tuple[str, str, str]:
        async with AsyncClient(Token(), base_url=url) as client:
            controls = await client.perform(endpoints.list_controls(limit=1))
            control = await client.perform(endpoints.retrieve_control("ctrl_ac_02"))
            log = await client.perform(endpoints.query_audit_log())
            return controls.data[0].id, control.id, log.data[0].id

    with serving(page([summary(1)]), Answer(200, CONTROL), page([ENTRY])) as server:
        assert asyncio.run(look(server.url)) == ("ctrl_1", "ctrl_ac_02", ENTRY["id"])


def test_every_filter_of_controls_on_every_page():
    """Framework, status and limit go out under their names with each page, and never offset or page."""
    answers = page([summary(1)], "eyJvZmZzZXQiOjI1fQ=="), page([summary(2)])
    with serving(*answers) as server, Client(Token(), base_url=server.url) as client:
        found = [control.id for control in client.controls(framework="nist_csf", status="not_tested", limit=1)]
    assert found == ["ctrl_1", "ctrl_2"]
    filters = {"framework": "nist_csf", "status": "not_tested", "limit": "1"}
    assert [request.query for request in server.requests] == [filters, filters | {"cursor": "eyJvZmZzZXQiOjI1fQ=="}]
    assert {request.path for request in server.requests} == {"/v1/controls"}


def test_every_filter_of_the_audit_log_on_every_page():
    """From, to, actor and limit go out under their names with each page, times in UTC."""
    answers = page([ENTRY], "c2"), page([ENTRY])
    with serving(*answers) as server, Client(Token(), base_url=server.url) as client:
        to = datetime(2026, 4, 2, 2, tzinfo=timezone(timedelta(hours=2)))
        found = list(client.audit_log(datetime(2026, 4, 1, tzinfo=UTC), to, "key_live_9f2a", 250))
    filters = {"from": "2026-04-01T00:00:00Z", "to": "2026-04-02T00:00:00Z", "actor": "key_live_9f2a", "limit": "250"}
    assert [request.query for request in server.requests] == [filters, filters | {"cursor": "c2"}]
    assert [(entry.actor.type, entry.actor.name, entry.at.tzinfo) for entry in found] == [("api_key", None, UTC)] * 2


def test_no_filter_no_query():
    """Without filters the API's own defaults hold."""
    with serving(page([])) as server, Client(Token(), base_url=server.url) as client:
        assert list(client.controls()) == list(client.audit_log()) == []
    assert [request.target for request in server.requests] == ["/v1/controls", "/v1/audit-log"]


def test_pages_are_fetched_as_they_are_needed():
    """Nothing is asked before the first item is wanted, and page two not before page one is used up."""
    answers = page([summary(1), summary(2)], "two"), page([summary(3)], "three"), page([summary(4)])
    with serving(*answers) as server, Client(Token(), base_url=server.url) as client:
        controls = client.controls()
        assert isinstance(controls, Iterator)
        assert server.requests == []
        assert [control.id for control in islice(controls, 2)] == ["ctrl_1", "ctrl_2"]
        assert len(server.requests) == 1
        assert next(controls).id == "ctrl_3"
        assert len(server.requests) == 2


@pytest.mark.parametrize("cursors", [["a", "a"], ["a", "b", "a"]])
def test_cursors_that_go_round_in_a_circle(cursors):
    """A cursor that was seen before ends the listing with an error, and is not followed again."""
    answers = [page([summary(1)], cursor) for cursor in cursors]
    with serving(*answers) as server, Client(Token(), base_url=server.url) as client:
        with pytest.raises(UnreadableAnswer, match="circle"):
            list(client.controls())
        assert len(server.requests) == len(cursors)


def test_retrieve_a_control():
    """A control comes with its owner, its test policy and its evidence."""
    with serving(Answer(200, CONTROL)) as server, Client(Token(), base_url=server.url) as client:
        control = client.control("ctrl_ac_02")
    assert server.requests[0].target == "/v1/controls/ctrl_ac_02"
    assert control.owner is not None
    assert control.owner.name == "Priya Desai"
    assert control.test_policy is not None
    assert control.test_policy.evaluator == "aws_s3_bucket_encryption"
    assert [(item.id, item.status, item.collected_at) for item in control.evidence] == [("ev_1", "pass", COLLECTED)]


@pytest.mark.parametrize(
    ("identifier", "segment"),
    [
        ("a/b", "a%2Fb"),
        ("../evidence", "..%2Fevidence"),
        ("..", "%2E%2E"),
        (".", "%2E"),
        ("a?b#c", "a%3Fb%23c"),
        ("50 %é", "50%20%25%C3%A9"),
        ("%2e%2e", "%252e%252e"),
        ("\udcff", "%3F"),
    ],
)
def test_an_id_cannot_change_the_path(identifier, segment):
    """Whatever is in a control's id, it stays one segment of the path."""
    with serving(Answer(200, CONTROL)) as server, Client(Token(), base_url=server.url) as client:
        client.control(identifier)
    assert server.requests[0].target == f"/v1/controls/{segment}"


def test_register_a_webhook():
    """A webhook is registered with its secret and an idempotency key, and the answer is typed."""
    secret = "whsec_9f2a7c6b1e4d8f0a3b5c7e9d1f2a4b6c"
    with serving(Answer(201, WEBHOOK)) as server, Client(Token(), base_url=server.url) as client:
        webhook = client.register_webhook(WEBHOOK["url"], ["control.drifted"], secret)
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/v1/webhooks")
    assert json.loads(request.body) == {"url": WEBHOOK["url"], "events": ["control.drifted"], "secret": secret}
    assert request.headers["Idempotency-Key"]
    assert webhook.events == ("control.drifted", "evaluator.retired")


def test_the_secret_of_a_webhook_is_not_in_its_operation():
    """An operation can be printed and logged: what it sends is not shown."""
    assert "whsec_1" not in repr(endpoints.register_webhook("https://a.example", [], "whsec_1", "k"))


def test_what_the_api_adds_passes_through():
    """Unknown fields are kept and unknown values of known fields accepted, at every depth."""
    control = {
        **CONTROL,
        "status": "waived",
        "framework": "dora",
        "tier": 1,
        "test_policy": {"cadence": "lunar", "x": 2},
    }
    with serving(Answer(200, control)) as server, Client(Token(), base_url=server.url) as client:
        found = client.control("c")
    assert (found.status, found.framework) == ("waived", "dora")
    assert found.model_extra == {"tier": 1}
    assert found.test_policy is not None
    assert (found.test_policy.cadence, found.test_policy.model_extra) == ("lunar", {"x": 2})


@pytest.mark.parametrize("empty", [{}, {"owner": None, "test_policy": None, "last_tested_at": None}])
def test_what_may_be_missing_may_be_missing(empty):
    """A control that nobody owns and nothing tests is one all the same."""
    with serving(Answer(200, {**summary(1), **empty})) as server, Client(Token(), base_url=server.url) as client:
        found = client.control("c")
    assert (found.owner, found.test_policy, found.last_tested_at, found.evidence) == (None, None, None, ())


STATUSES = {
    400: errors.BadRequest,
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    422: errors.UnprocessableEntity,
    429: errors.RateLimited,
    500: errors.ServerError,
    503: errors.ServiceUnavailable,
    402: ApiError,
    418: ApiError,
    502: ApiError,
}


@pytest.mark.parametrize(("status", "kind"), STATUSES.items())
def test_each_status_has_its_error(status, kind):
    """A status is its own class, and carries code, message, field, hint, request id and the wait asked for."""
    body = {
        "code": "some_code",
        "message": "It failed.",
        "detail": {"field": "control_id", "hint": "Pass one.", "x": 1},
    }
    answer = Answer(status, body, {"X-Request-Id": "req_7", "Retry-After": "1.5"})
    with (
        serving(answer) as server,
        Client(Token(), base_url=server.url, attempts=1) as client,
        pytest.raises(ApiError) as raised,
    ):
        client.control("c")
    error = raised.value
    assert type(error) is kind
    assert (error.status, error.code, error.message, error.request_id) == (status, "some_code", "It failed.", "req_7")
    assert error.retry_after == 1.5
    assert error.detail is not None
    assert (error.detail.field, error.detail.hint, error.detail.model_extra) == ("control_id", "Pass one.", {"x": 1})
    assert str(error) == f"[req_7] {status} some_code: It failed. (control_id: Pass one.)"


@pytest.mark.parametrize("detail", [None, "words", ["a"], {"field": 7}])
def test_a_detail_of_another_shape_spoils_nothing(detail):
    """Code and message count even where the detail is not what is documented."""
    answer = Answer(422, {"code": "rule", "message": "No.", "detail": detail})
    with (
        serving(answer) as server,
        Client(Token(), base_url=server.url) as client,
        pytest.raises(errors.UnprocessableEntity) as raised,
    ):
        client.control("c")
    assert (raised.value.code, raised.value.message, raised.value.detail) == ("rule", "No.", None)


@pytest.mark.parametrize("body", [b"<html>secret page</html>", b"", b"[]", b'{"error": "x"}', b"\xff\xfe"])
def test_an_error_without_its_body_is_still_that_error(body):
    """A proxy's error page gives the right class, an empty code, and a message that says so without repeating it."""
    answer = Answer(403, body, {"Content-Type": "text/html"})
    with (
        serving(answer) as server,
        Client(Token(), base_url=server.url) as client,
        pytest.raises(errors.Forbidden) as raised,
    ):
        client.control("c")
    assert raised.value.code == ""
    assert str(raised.value).startswith("[no request id] 403: the answer to GET /controls/c, of type text/html, is not")
    assert "secret" not in str(raised.value)


def test_closing_twice_is_closing_once():
    """A client that is closed within its `with` statement, or again after it, leaves no thread behind."""
    before = threading.active_count()
    with Client(Token(), base_url="http://127.0.0.1:9/v1") as client:
        client.close()
    client.close()
    assert threading.active_count() == before


def test_threads_may_share_a_client():
    """Each thread gets the answer to its own request."""
    with (
        serving(lambda request: Answer(200, {**CONTROL, "id": request.path.rpartition("/")[2]})) as server,
        Client(Token(), base_url=server.url) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        names = [f"ctrl_{number}" for number in range(40)]
        assert [control.id for control in threads.map(client.control, names)] == names


def test_a_caller_with_an_event_loop_may_wait():
    """The client that waits works inside of a running event loop, too."""

    async def ask(client: Client) -> str:
        return client.control("c").id

    with serving(Answer(200, CONTROL)) as server, Client(Token(), base_url=server.url) as client:
        assert asyncio.run(ask(client)) == "ctrl_ac_02"


def test_only_the_client_pays_for_httpx():
    """Errors, models, endpoints, token and pacing are imported without httpx."""
    names = "agent.endpoints, agent.errors, agent.models, agent.pacing, agent.token"
    code = f"import sys, {names}; sys.exit('httpx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
