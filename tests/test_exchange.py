"""What happens to a request on its way: refusals, retries, rotation, redirects."""

import asyncio
import socket
import time
from contextlib import ExitStack

import pytest
from loopback import Answer, certificate, serving

from agent.client import AsyncClient, Client
from agent.endpoints import submit_evidence
from agent.errors import ApiError, NoAnswer, NotFound, RateLimited, ServiceUnavailable, Unauthorized, UnreadableAnswer
from agent.token import Token

RECEIPT = {"id": "ev_1", "status": "accepted", "created_at": "2026-04-15T09:14:23Z"}
EMPTY = Answer(200, {"data": [], "next_cursor": None})
UNAUTHORIZED = Answer(401, {"code": "unauthorized", "message": "Token revoked."})


@pytest.fixture
def token_file(tmp_path):
    file = tmp_path / "token"
    file.write_text("old")
    return file


def refused_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


async def submit(token: Token, url: str, **options: object) -> str:
    async with AsyncClient(token, base_url=url, **options) as client:
        return (await client.submit(b"{}", "key-1")).id


def tokens(server) -> list[str]:
    return [request.headers["Authorization"].removeprefix("Bearer ") for request in server.requests]


# ── Not an answer ──


@pytest.mark.parametrize("attempts", [1, 2])
def test_nobody_listens(token_file, attempts):
    """A refused connection is no answer, and the message names the host and the operation."""
    url = f"http://127.0.0.1:{refused_port()}/v1"
    with (
        Client(Token(token_file), base_url=url, attempts=attempts) as client,
        pytest.raises(NoAnswer, match=r"no answer from 127.0.0.1 to GET /controls/c: ConnectError"),
    ):
        client.control("c")
    with pytest.raises(NoAnswer, match="POST /evidence"):
        asyncio.run(submit(Token(token_file), url))


def test_an_answer_that_is_cut_off(token_file):
    """A connection that breaks within the answer is no answer, even after a 200."""
    with serving(Answer(200, RECEIPT, cut=10)) as server:
        with Client(Token(token_file), base_url=server.url, attempts=1) as client, pytest.raises(NoAnswer):
            client.control("c")
        with pytest.raises(NoAnswer):
            asyncio.run(submit(Token(token_file), server.url))


def test_silence_ends(token_file):
    """A server that takes the request and says nothing is given up after the timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        with (
            Client(Token(token_file), base_url=url, timeout=0.05, attempts=1) as client,
            pytest.raises(NoAnswer, match="Timeout"),
        ):
            client.control("c")
        with pytest.raises(NoAnswer, match="Timeout"):
            asyncio.run(submit(Token(token_file), url, timeout=0.05))


def test_an_answer_without_an_end_fills_no_memory(token_file):
    """More than the API ever answers is taken for no answer."""
    with (
        serving(Answer(200, b" " * 17_000_000)) as server,
        Client(Token(token_file), base_url=server.url, attempts=1) as client,
        pytest.raises(NoAnswer, match="longer than 16,000,000 bytes"),
    ):
        client.control("c")


def test_dripping_ends(token_file):
    """An answer that comes a byte at a time is given up when the whole time is over, though it is never silent."""
    with serving(Answer(200, b" " * 1000, drip=0.02)) as server:
        started = time.monotonic()
        with pytest.raises(NoAnswer, match="TimeoutError"):
            asyncio.run(submit(Token(token_file), server.url, timeout=0.3))
        assert 0.3 <= time.monotonic() - started < 1
        started = time.monotonic()
        with (
            Client(Token(token_file), base_url=server.url, timeout=0.3, attempts=1) as client,
            pytest.raises(NoAnswer, match="TimeoutError"),
        ):
            client.control("c")
        assert 0.3 <= time.monotonic() - started < 1


# ── Was it sent? ──


def was_sent(token_file, url: str, timeout: float = 20) -> set[bool]:
    """What both clients say of a request that got no answer."""
    with (
        Client(Token(token_file), base_url=url, timeout=timeout, attempts=1) as client,
        pytest.raises(NoAnswer) as waiting,
    ):
        client.control("c")
    with pytest.raises(NoAnswer) as meanwhile:
        asyncio.run(submit(Token(token_file), url, timeout=timeout))
    return {waiting.value.sent, meanwhile.value.sent}


def test_what_no_connection_was_made_for_was_not_sent(token_file, tmp_path):
    """A refused connection, a name that nobody knows and a certificate that is not trusted: nothing can be taken."""
    assert was_sent(token_file, f"http://127.0.0.1:{refused_port()}/v1") == {False}
    assert was_sent(token_file, "https://nowhere.invalid/v1") == {False}
    _, trust = certificate(tmp_path)
    with serving(EMPTY, trust=trust) as server:
        assert was_sent(token_file, server.url) == {False}


def test_what_the_proxy_refused_was_not_sent(token_file, monkeypatch):
    """A proxy that opens no tunnel has not seen the request."""
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with serving(EMPTY) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.removesuffix("/v1"))
        assert was_sent(token_file, "https://127.0.0.1:9/v1") == {False}
    assert proxy.requests == []


def test_a_connection_that_does_not_come_about(token_file):
    """Where nobody takes the connection up, nothing was sent, and that is known before the whole time is over."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as waiting:
        for _ in range(3):
            caller = waiting.enter_context(socket.socket())
            caller.settimeout(0)
            caller.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
        started = time.monotonic()
        with pytest.raises(NoAnswer, match="ConnectTimeout") as raised:
            asyncio.run(submit(Token(token_file), url, timeout=20))
    assert 4.5 < time.monotonic() - started < 10
    assert not raised.value.sent


def test_what_was_cut_off_may_have_been_sent(token_file):
    """A connection that breaks in the answer, or stays silent, leaves open whether the request was taken."""
    with serving(Answer(200, RECEIPT, cut=10)) as server:
        assert was_sent(token_file, server.url) == {True}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert was_sent(token_file, f"http://127.0.0.1:{silent.getsockname()[1]}/v1", timeout=0.2) == {True}


PORTAL = Answer(200, b"<html>Welcome, please log in: secret</html>", {"Content-Type": "text/html", "X-Request-Id": "r"})


@pytest.mark.parametrize(
    "answer",
    [
        PORTAL,
        Answer(200, b""),
        Answer(204, b""),
        Answer(200, []),
        Answer(200, {"id": "", "status": "accepted", "created_at": "2026-04-15T09:14:23Z"}),
        Answer(200, {"status": "secret", "created_at": "2026-04-15T09:14:23Z"}),
        Answer(200, {"id": "ev_1", "status": "accepted", "created_at": "secret"}),
    ],
)
def test_a_success_that_cannot_be_one(token_file, answer):
    """A 2xx that is not a receipt is not a success, is not sent again at once, and is not repeated in the message."""
    with serving(answer) as server:
        with Client(Token(token_file), base_url=server.url) as client, pytest.raises(UnreadableAnswer) as raised:
            client.control("c")
        assert len(server.requests) == 1
        with pytest.raises(UnreadableAnswer):
            asyncio.run(submit(Token(token_file), server.url))
    assert raised.value.status == answer.status
    assert "secret" not in str(raised.value)


def test_a_captive_portal_is_told_by_its_type(token_file):
    """The content type and the request id are kept, so that one sees who answered."""
    with (
        serving(PORTAL) as server,
        Client(Token(token_file), base_url=server.url) as client,
        pytest.raises(UnreadableAnswer, match=r"text/html.*proxy") as raised,
    ):
        client.control("c")
    assert (raised.value.media, raised.value.request_id) == ("text/html", "r")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(token_file, status):
    """A redirect is an error, and its target sees no request at all, so no token."""
    with serving(EMPTY) as target, serving(Answer(status, {}, {"Location": target.url})) as server:
        with (
            Client(Token(token_file), base_url=server.url) as client,
            pytest.raises(UnreadableAnswer, match=r"redirect.*base_url"),
        ):
            list(client.controls())
        with pytest.raises(UnreadableAnswer):
            asyncio.run(submit(Token(token_file), server.url))
        assert target.requests == []
        assert len(server.requests) == 2


# ── Once more ──


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_what_may_still_succeed_is_tried_again_with_the_same_key(token_file, status):
    """A POST that was refused for now is sent again, the same to the byte and with the same key."""
    with (
        serving(Answer(status, {}), Answer(200, RECEIPT)) as server,
        Client(Token(token_file), base_url=server.url) as client,
    ):
        receipt = client.perform(submit_evidence(b'{"a": 1}', "key-1"))
    assert receipt.id == "ev_1"
    first, second = server.requests
    assert first.body == second.body == b'{"a": 1}'
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"] == "key-1"


def test_a_lost_answer_is_asked_for_again(token_file):
    """A POST whose answer broke off is sent again with the same key."""
    with (
        serving(Answer(200, RECEIPT, cut=3), Answer(200, RECEIPT)) as server,
        Client(Token(token_file), base_url=server.url) as client,
    ):
        assert client.perform(submit_evidence(b"{}", "key-1")).id == "ev_1"
    assert [request.headers["Idempotency-Key"] for request in server.requests] == ["key-1", "key-1"]


def test_attempts_end(token_file):
    """After its attempts the client gives the last error to the caller."""
    with serving(Answer(503, {})) as server, Client(Token(token_file), base_url=server.url, attempts=2) as client:
        with pytest.raises(ServiceUnavailable):
            client.control("c")
        assert len(server.requests) == 2


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
def test_what_cannot_succeed_is_not_tried_again(token_file, status):
    """A final refusal is told at once."""
    with serving(Answer(status, {})) as server, Client(Token(token_file), base_url=server.url) as client:
        with pytest.raises(ApiError):
            client.control("c")
        assert len(server.requests) == 1


def test_retry_after_is_waited_for(token_file):
    """The client waits at least as long as the API asks, fractions included."""
    answers = Answer(429, {}, {"Retry-After": "0.6"}), EMPTY
    with serving(*answers) as server, Client(Token(token_file), base_url=server.url) as client:
        started = time.monotonic()
        assert list(client.controls()) == []
        assert time.monotonic() - started >= 0.6


def test_nobody_is_kept_waiting_for_an_hour(token_file):
    """A wait longer than a minute is the caller's to decide on: the error says how long."""
    answer = Answer(429, {}, {"Retry-After": "1800"})
    with serving(answer) as server, Client(Token(token_file), base_url=server.url) as client:
        with pytest.raises(RateLimited) as raised:
            client.control("c")
        assert len(server.requests) == 1
    assert raised.value.retry_after == 1800


def test_the_async_client_leaves_trying_again_to_its_caller(token_file):
    """A deferred submission is sent once."""
    with serving(Answer(503, {})) as server:
        with pytest.raises(ServiceUnavailable):
            asyncio.run(submit(Token(token_file), server.url))
        assert len(server.requests) == 1


# ── Rotation ──


def test_a_rotated_token_is_read_again_on_401(token_file):
    """A 401 makes both clients read the token again and, since it changed, send the same once more."""
    token = Token(token_file)
    with serving(EMPTY, UNAUTHORIZED, EMPTY) as server, Client(token, base_url=server.url) as client:
        list(client.controls())
        token_file.write_text("new")
        list(client.controls())
    assert tokens(server) == ["old", "old", "new"]
    with serving(UNAUTHORIZED, Answer(200, RECEIPT)) as server:
        token_file.write_text("newer")
        assert asyncio.run(submit(token, server.url)) == "ev_1"
    assert tokens(server) == ["new", "newer"]
    assert [request.body for request in server.requests] == [b"{}", b"{}"]
    assert {request.headers["Idempotency-Key"] for request in server.requests} == {"key-1"}


def test_an_unchanged_token_is_not_sent_twice(token_file):
    """A 401 with the same token as before is the answer."""
    with (
        serving(UNAUTHORIZED) as server,
        Client(Token(token_file), base_url=server.url) as client,
        pytest.raises(Unauthorized, match="Token revoked"),
    ):
        client.control("c")
    assert tokens(server) == ["old"]


def test_a_new_token_that_is_refused_too(token_file):
    """The new token is tried once."""
    token = Token(token_file)
    assert token.value == "old"
    token_file.write_text("new")
    with serving(UNAUTHORIZED) as server, Client(token, base_url=server.url) as client, pytest.raises(Unauthorized):
        client.control("c")
    assert tokens(server) == ["old", "new"]


def test_many_requests_share_one_rotation(token_file):
    """Requests under way when the token changes all get through with the new one."""
    token = Token(token_file)

    async def deliver(url: str) -> list[str]:
        async with AsyncClient(token, base_url=url) as client:
            receipts = await asyncio.gather(*(client.submit(b"{}", f"key-{n}") for n in range(8)))
            return [receipt.id for receipt in receipts]

    def only_new(request) -> Answer:
        time.sleep(0.02)
        return Answer(200, RECEIPT) if request.headers["Authorization"] == "Bearer new" else UNAUTHORIZED

    assert token.value == "old"
    token_file.write_text("new")
    with serving(only_new) as server:
        assert asyncio.run(deliver(server.url)) == ["ev_1"] * 8


def test_every_answer_is_observed(token_file):
    """The hook gets status and headers of each answer, those of a refused token and of a retry included."""
    seen: list[tuple[int, str]] = []
    answers = [
        Answer(401, {}, {"X-RateLimit-Remaining": "9"}),
        Answer(429, {}, {"X-RateLimit-Remaining": "0"}),
        Answer(404, {}, {"X-RateLimit-Remaining": "7.5"}),
    ]
    token = Token(token_file)
    assert token.value == "old"
    token_file.write_text("new")

    def observe(status, headers):
        seen.append((status, headers["x-ratelimit-remaining"]))

    with (
        serving(*answers) as server,
        Client(token, base_url=server.url, observe=observe) as client,
        pytest.raises(NotFound),
    ):
        client.control("c")
    assert seen == [(401, "9"), (429, "0"), (404, "7.5")]
