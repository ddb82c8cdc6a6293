"""Connections to the API: whom they trust, how long they wait, and how they are used again."""

import ssl
import time
from collections import deque
from collections.abc import Generator
from pathlib import Path
from urllib.request import getproxies

import httpx

from agent.connection import Connection, Direct, Proxied

_CONNECT = 5.0  # seconds until a connection stands
_SILENCE = 30.0  # seconds without a byte from the API
_KEPT = 4.0  # seconds that a connection is kept without a request: many servers hang up after five

Flow = Generator[httpx.Request, httpx.Response, None]
"""The requests that one operation takes, each made in the knowledge of the answer before it."""


class Connections:
    """As many connections as there are requests under way; those that are not needed for a while are closed.

    The one that was given back last is taken first. The constructor raises ValueError where `ca_file` or the proxy of
    the environment cannot be used.
    """

    def __init__(self, base_url: str, ca_file: Path | None, timeout: float) -> None:
        self._waits = {"connect": min(_CONNECT, timeout), "silence": min(_SILENCE, timeout)}
        # Plain http, which stays on this machine, is kept from proxies: they would see the token.
        self._trust = _trust(ca_file) if base_url.strip().lower().startswith("https:") else None
        self._idle: deque[tuple[float, Connection]] = deque([(time.monotonic(), self._new())])  # longest idle first

    async def send(self, flow: Flow) -> httpx.Response:
        """The answer to the last request of a flow. Raises httpx.RequestError."""
        while self._idle and self._idle[0][0] < time.monotonic() - _KEPT:  # now, while no answer is at stake
            await self._idle.popleft()[1].aclose()
        connection = self._idle.pop()[1] if self._idle else self._new()
        try:
            response = await _follow(flow, connection)
        except BaseException:
            await connection.aclose()
            raise
        self._idle.append((time.monotonic(), connection))
        return response

    async def aclose(self) -> None:
        """Closes them all. No request may be under way."""
        while self._idle:
            await self._idle.popleft()[1].aclose()

    def _new(self) -> Connection:
        if self._trust is not None and getproxies().keys() & {"https", "all"}:
            return Proxied(self._trust, **self._waits)
        return Direct(self._trust, **self._waits)


async def _follow(flow: Flow, connection: Connection) -> httpx.Response:
    request = next(flow)
    while True:
        response = await connection.send(request)
        try:
            request = flow.send(response)
        except StopIteration:
            return response


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    """Trusts the public authorities, this machine's own, and those of `ca_file`."""
    try:
        context = httpx.create_ssl_context()
        context.load_default_certs()
        if ca_file is not None:
            context.load_verify_locations(cafile=ca_file)
    except OSError as error:
        raise ValueError(f"certificates cannot be read from {ca_file or 'SSL_CERT_FILE'}: {error}") from error
    context.set_alpn_protocols(["http/1.1"])
    return context
