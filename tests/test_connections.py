"""How connections to the API are used again, against a real server that counts them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest

from agent.client import AsyncClient
from agent.errors import NoAnswer
from agent.token import Token

RECEIPT = b'{"id": "ev_%s", "status": "accepted", "created_at": "2026-04-15T09:14:23Z"}'


class Api:
    """Answers each submission with its key as the receipt's id; `made` and `open` count connections."""

    def __init__(self, delay: float = 0.0, most: int = 1000) -> None:
        self.delay = delay
        self.most = most  # requests on one connection, which is then closed without a word
        self.made = self.open = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.made += 1
        self.open += 1
        try:
            for _ in range(self.most):
                await self._answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower().decode()
        headers = dict(line.split(": ", 1) for line in head.strip().splitlines()[1:])
        await reader.readexactly(int(headers["content-length"]))
        await asyncio.sleep(self.delay)
        body = RECEIPT % headers["idempotency-key"].encode()
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()


@asynccontextmanager
async def serving(api: Api, **options: object) -> AsyncIterator[AsyncClient]:
    async with await asyncio.start_server(api.serve, "127.0.0.1", 0) as server:
        api.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with AsyncClient(Token(), base_url=api.url, **options) as client:
            yield client


def with_client(api: Api, use: Callable[[AsyncClient], Coroutine], **options: object) -> None:
    async def run() -> None:
        async with serving(api, **options) as client:
            await use(client)

    asyncio.run(run())


async def submit(client: AsyncClient, *keys: str) -> list[str]:
    return [receipt.id for receipt in await asyncio.gather(*(client.submit(b"{}", key) for key in keys))]


@pytest.fixture(autouse=True)
def _token(monkeypatch):
    monkeypatch.setenv("CHEQUR_TOKEN", "sk_test_1")


def test_requests_in_turn_share_a_connection():
    """What is sent one after the other goes over one connection."""
    api = Api()

    async def use(client):
        for key in ("a", "b", "c"):
            assert await submit(client, key) == [f"ev_{key}"]

    with_client(api, use)
    assert api.made == 1


def test_requests_at_once_have_a_connection_each():
    """Thirty requests at once go over thirty connections, which the next thirty use again, each with its own answer."""
    api = Api(delay=0.05)
    keys = [f"key-{number}" for number in range(30)]

    async def use(client):
        for _ in range(3):
            assert await submit(client, *keys) == [f"ev_{key}" for key in keys]

    with_client(api, use)
    assert api.made == 30


def test_connections_that_are_not_needed_are_closed():
    """After a rush the connections beyond what is needed are closed within some seconds."""
    api = Api(delay=0.02)

    async def use(client):
        await submit(client, *(f"key-{number}" for number in range(10)))
        assert api.open == 10
        for _ in range(14):
            await submit(client, "a")
            await asyncio.sleep(0.4)
        assert api.open == 1

    with_client(api, use)
    assert api.made == 10


def test_a_connection_that_the_server_closed_is_replaced():
    """A server that hangs up after each answer is connected to anew, and no request fails."""
    api = Api(most=1)

    async def use(client):
        for key in ("a", "b", "c"):
            assert await submit(client, key) == [f"ev_{key}"]
            await asyncio.sleep(0.05)

    with_client(api, use)
    assert api.made == 3


def test_a_request_that_was_given_up_leaves_nothing_behind():
    """After a timeout and a cancellation the next request gets its own answer, over a connection of its own."""
    api = Api(delay=0.3)

    async def use(client):
        with pytest.raises(NoAnswer):
            await submit(client, "slow")
        cancelled = asyncio.create_task(submit(client, "cancelled"))
        await asyncio.sleep(0.1)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        api.delay = 0
        assert await submit(client, "next") == ["ev_next"]
        await asyncio.sleep(0.4)
        assert api.open == 1

    with_client(api, use, timeout=0.2)
    assert api.made == 3


def test_closing_closes_them_all():
    """A closed client has no connection left."""
    api = Api(delay=0.02)

    async def use() -> None:
        async with serving(api) as client:
            await submit(client, "a", "b", "c")
            await client.aclose()
            await asyncio.sleep(0.05)
            assert api.open == 0

    asyncio.run(use())
    assert api.made == 3
