"""The connection under a request, so that a fault can really cut it.

ASGI has no word for hanging up. The server's protocol class, which uvicorn lets its user choose, puts the
transport into each request's scope.
"""

import asyncio

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_TRANSPORT = "sandbox.transport"


class Line(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        super().connection_made(transport)
        serve = self.app

        async def lend(scope: Scope, receive: Receive, send: Send) -> None:
            scope[_TRANSPORT] = transport
            await serve(scope, receive, send)

        self.app = lend


async def drop(scope: Scope, receive: Receive) -> None:
    """Hangs up at once; what was not sent yet never is."""
    scope[_TRANSPORT].abort()
    await _gone(receive)


async def close(scope: Scope, receive: Receive) -> None:
    """Hangs up once what was written is sent."""
    scope[_TRANSPORT].close()
    await _gone(receive)


async def _gone(receive: Receive) -> None:
    """Waits until the server has seen it too, or it would answer 500 for the application that said nothing."""
    while (await receive())["type"] != "http.disconnect":
        pass
