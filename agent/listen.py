"""What the service answers on its own port: /, /livez, /readyz, /metrics. It has a thread of its own, so that it can
tell of a service that is stuck.

Who may reach the port may ask. Where that is this machine only, a page that a browser here has open might ask as well,
under a name of its own that it has lead here: so only names of this machine are answered then.
"""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from agent.config import ConfigurationInvalid
from agent.metrics import CONTENT_TYPE
from agent.page import policy

Reasons = Callable[[], Sequence[str]]

_PATIENCE = 10.0  # seconds for it to end
_UNAVAILABLE, _MISDIRECTED = 503, 421
_HERE = ("localhost", "127.0.0.1", "[::1]")


@contextmanager
def listening(
    address: str, *, stuck: Reasons, unready: Reasons, metrics: Callable[[], bytes], page: Callable[[], str]
) -> Iterator[str]:
    """Answers at `address`, host:port, while the context lasts; its URL. Raises ConfigurationInvalid."""
    listener = _bound(address)
    app = Starlette(
        routes=[
            Route("/", _page(page)),
            Route("/livez", _health("alive", stuck)),
            Route("/readyz", _health("ready", unready)),
            Route("/metrics", lambda _: Response(metrics(), media_type=CONTENT_TYPE)),
        ]
    )
    answer = _for_this_machine(app) if ip_address(listener.getsockname()[0]).is_loopback else app
    config = uvicorn.Config(answer, log_config=None, access_log=False, lifespan="off", server_header=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="http", daemon=True)
    thread.start()
    host, port = listener.getsockname()[:2]
    try:
        yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    finally:
        server.should_exit = True
        thread.join(_PATIENCE)
        listener.close()


def _bound(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    try:
        family, _, _, _, place = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        return socket.create_server(place[:2], family=family, backlog=16)
    except OSError as error:
        reason = f"http.listen: nobody can listen at {address}: {error.strerror or error}; name another one"
        raise ConfigurationInvalid([reason]) from error


def _for_this_machine(app: ASGIApp) -> ASGIApp:
    """Refuses who asks for another host."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        host = Headers(scope=scope).get("host", "")
        if host.rpartition(":")[0] in _HERE or host in _HERE:
            await app(scope, receive, send)
        else:
            refusal = PlainTextResponse("This is not the host that you ask for.\n", _MISDIRECTED)
            await refusal(scope, receive, send)

    return answer


def _page(html: Callable[[], str]) -> Callable[[Request], Response]:
    def answer(_request: Request) -> Response:
        headers = {
            "Content-Security-Policy": policy(),
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        return HTMLResponse(html(), headers=headers)

    return answer


def _health(word: str, reasons: Reasons) -> Callable[[Request], Response]:
    """200 where nothing is wrong, else 503; and what is."""

    def answer(_request: Request) -> Response:
        found = list(reasons())
        body = json.dumps({word: not found, "reasons": found}) + "\n"
        return Response(body, _UNAVAILABLE if found else 200, media_type="application/json")

    return answer
