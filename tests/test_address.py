"""Where requests go: base URLs, certificates, proxies."""

import asyncio

import pytest
from loopback import Answer, certificate, proxying, serving

from agent.client import AsyncClient, Client
from agent.endpoints import check_base_url
from agent.errors import NoAnswer
from agent.token import Token

RECEIPT = {"id": "ev_1", "status": "accepted", "created_at": "2026-04-15T09:14:23Z"}
EMPTY = Answer(200, {"data": [], "next_cursor": None})


@pytest.fixture(autouse=True)
def token_file(tmp_path, monkeypatch):
    """A token file; and no proxy but the one that a test names."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    file = tmp_path / "token"
    file.write_text("old")
    return file


async def submit(token: Token, url: str, **options: object) -> str:
    async with AsyncClient(token, base_url=url, **options) as client:
        return (await client.submit(b"{}", "key-1")).id


def tokens(server) -> list[str]:
    return [request.headers["Authorization"].removeprefix("Bearer ") for request in server.requests]


@pytest.mark.parametrize(
    ("url", "checked"),
    [
        ("https://api.chequr.com/v1", "https://api.chequr.com/v1"),
        ("https://api.chequr.com/v1/", "https://api.chequr.com/v1"),
        ("HTTPS://api.chequr.com", "HTTPS://api.chequr.com"),
        ("https://chequr.acme.internal:8443/v1", "https://chequr.acme.internal:8443/v1"),
        ("http://localhost:8080/v1", "http://localhost:8080/v1"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.9.9.9/", "http://127.9.9.9"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1"),
    ],
)
def test_good_addresses(url, checked):
    """https anywhere, http on this machine, with or without a slash at the end."""
    assert check_base_url(url) == checked


@pytest.mark.parametrize(
    "url",
    [
        "http://api.chequr.com/v1",
        "http://localhost.evil.com/v1",
        "http://127.0.0.1.evil.com",
        "http://10.0.0.1",
        "http://[::2]/",
        "http://0.0.0.0",
    ],
)
def test_the_token_does_not_leave_the_machine_unencrypted(url):
    """http to another machine is refused, and the message says what to write."""
    with pytest.raises(ValueError, match=r"unencrypted: write https://"):
        check_base_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.chequr.com/v1",
        "ftp://api.chequr.com",
        "https://",
        "https:///v1",
        "https://user:hunter2@api.chequr.com/v1",
        "http://127.0.0.1@evil.com/",
        "http://127.0.0.1\\@evil.com/",
        "https://api.chequr.com/v1?x=hunter2",
        "https://api.chequr.com/v1#hunter2",
        "https://api.chequr.com:99999/v1",
        "https://api.chequr.com:x/v1",
        "https://api.chequr.com/v 1",
        "https://api.chequr.com/\nv1",
        "https://аpi.chequr.com/v1",  # noqa: RUF001 - a Cyrillic letter is the point
    ],
)
def test_addresses_that_are_none(url):
    """Anything but scheme, host, port and path is refused with an example, and without repeating what may be secret."""
    with pytest.raises(ValueError, match=r"the address must look like https://api.chequr.com/v1") as refused:
        check_base_url(url)
    assert "hunter2" not in str(refused.value)


def test_clients_check_the_address(token_file):
    """Neither client can be made with an address that the token must not go to."""
    for kind in (Client, AsyncClient):
        with pytest.raises(ValueError, match="unencrypted"):
            kind(Token(token_file), base_url="http://api.chequr.com/v1")


def test_a_private_authority(token_file, tmp_path):
    """A certificate of a private authority is trusted with ca_file, and without it the message names ca_file."""
    authority, trust = certificate(tmp_path)
    with serving(EMPTY, trust=trust) as server:
        with Client(Token(token_file), base_url=server.url, ca_file=authority) as client:
            assert list(client.controls()) == []
        with (
            Client(Token(token_file), base_url=server.url, attempts=1) as client,
            pytest.raises(NoAnswer, match=r"CERTIFICATE_VERIFY_FAILED.*ca_file"),
        ):
            list(client.controls())
        with pytest.raises(NoAnswer, match="ca_file"):
            asyncio.run(submit(Token(token_file), server.url))
    assert tokens(server) == ["old"]


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_a_bad_ca_file(token_file, tmp_path, content):
    """A ca_file that is missing or holds no certificate is refused by name."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ValueError, match=r"certificates cannot be read from .*ca.pem"):
        Client(Token(token_file), ca_file=file)


def test_public_authorities_stay_trusted(token_file, tmp_path, monkeypatch):
    """A private authority is trusted beside those of the system, not instead of them."""
    public = tmp_path / "public"
    private = tmp_path / "private"
    public.mkdir()
    private.mkdir()
    system, trust = certificate(public)
    ours, _ = certificate(private)
    monkeypatch.setenv("SSL_CERT_FILE", str(system))
    with serving(EMPTY, trust=trust) as server, Client(Token(token_file), base_url=server.url, ca_file=ours) as client:
        assert list(client.controls()) == []


def test_https_goes_through_the_proxy(token_file, tmp_path, monkeypatch):
    """HTTPS_PROXY tunnels both clients, and sees neither token nor request."""
    authority, trust = certificate(tmp_path)
    with serving(EMPTY, Answer(200, RECEIPT), trust=trust) as server, proxying() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with Client(Token(token_file), base_url=server.url, ca_file=authority) as client:
            list(client.controls())
        asyncio.run(submit(Token(token_file), server.url, ca_file=authority))
        assert proxy.asked == [f"CONNECT 127.0.0.1:{server.server_port} HTTP/1.1"] * 2
    assert tokens(server) == ["old", "old"]


def test_no_proxy_goes_past_the_proxy(token_file, tmp_path, monkeypatch):
    """A host that NO_PROXY names is reached directly."""
    authority, trust = certificate(tmp_path)
    with serving(EMPTY, trust=trust) as server, proxying() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "example.com,127.0.0.1")
        with Client(Token(token_file), base_url=server.url, ca_file=authority) as client:
            list(client.controls())
        assert proxy.asked == []


@pytest.mark.parametrize("no_proxy", ["", "127.0.0.1,localhost"])
def test_plain_http_stays_on_this_machine(token_file, monkeypatch, no_proxy):
    """A local sandbox is reached directly, since a proxy would see the token; NO_PROXY or not."""
    with serving(EMPTY, Answer(200, RECEIPT)) as server, proxying() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("NO_PROXY", no_proxy)
        with Client(Token(token_file), base_url=server.url) as client:
            list(client.controls())
        asyncio.run(submit(Token(token_file), server.url))
        assert proxy.asked == []
    assert len(server.requests) == 2


def test_a_proxy_that_cannot_be_used(token_file, monkeypatch):
    """A proxy of an unknown kind is refused by the variable's name, without its password."""
    monkeypatch.setenv("HTTPS_PROXY", "ftp://user:hunter2@proxy.acme.io")
    with pytest.raises(ValueError, match="HTTPS_PROXY") as refused:
        Client(Token(token_file))
    assert "hunter2" not in str(refused.value)
