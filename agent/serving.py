"""An application served over HTTP from a thread of its own, while a context lasts."""

import asyncio
import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from agent.config import ConfigurationInvalid

_PATIENCE = 10.0  # seconds for it to end
_IDLE = 5  # seconds that a connection may be kept without a request
_LONGEST = 60  # seconds that a connection lasts, whatever happens on it
_AT_ONCE = 64  # connections
# Somebody has the port, an interface is not up yet, a name server does not answer yet: as when a machine starts.
_OF_THE_MOMENT = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, socket.EAI_AGAIN)


@contextmanager
def bound(address: str, key: str) -> Iterator[socket.socket]:
    """A socket that listens at host:port, which the configuration's `key` names.

    Raises ConfigurationInvalid, and OSError where another start may find it better.
    """
    host, _, port = address.rpartition(":")
    try:
        family, _, _, _, place = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(place[:2], family=family, backlog=_AT_ONCE)
    except (OSError, UnicodeError) as error:
        reason = f"{key}: nobody can listen at {address}: {getattr(error, 'strerror', None) or error}"
        if isinstance(error, OSError) and error.errno in _OF_THE_MOMENT:
            raise OSError(f"{reason}; if that stays, name another one") from error
        raise ConfigurationInvalid([f"{reason}; name another one"]) from error
    with listener:
        yield listener


@contextmanager
def serving(app: ASGIApp, listener: socket.socket) -> Iterator[str]:
    """The application's URL."""
    config = uvicorn.Config(
        app,
        http=_Connection,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_keep_alive=_IDLE,
        limit_concurrency=_AT_ONCE,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="http", daemon=True)
    thread.start()
    host, port = listener.getsockname()[:2]
    try:
        yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    finally:
        server.should_exit = True
        thread.join(_PATIENCE)


class _Connection(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, which alone waits forever for a request; so a few could keep out all others."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        super().connection_made(transport)
        self._ends = self.loop.call_later(_IDLE, self._expect), self.loop.call_later(_LONGEST, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        for end in self._ends:
            end.cancel()
        super().connection_lost(exc)

    def _expect(self) -> None:
        if self.cycle is None:  # the head of its first request is not there yet
            self.transport.abort()
