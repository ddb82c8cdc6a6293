"""What the service answers on its own port: /, /livez, /readyz, /metrics. It has a thread of its own, so that it can
tell of a service that is stuck.

Who may reach the port may ask. Where that is this machine only, a page that a browser here has open might ask as well,
under a name of its own that it has lead here: so only names of this machine are answered then.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from agent.metrics import CONTENT_TYPE
from agent.page import policy
from agent.serving import bound, serving
from agent.store import StateUnusable

Reasons = Callable[[], Sequence[str]]

_UNAVAILABLE, _MISDIRECTED = 503, 421
_HERE = ("localhost", "127.0.0.1", "[::1]")


@contextmanager
def listening(
    address: str, *, stuck: Reasons, unready: Reasons, metrics: Callable[[], bytes], page: Callable[[], str]
) -> Iterator[str]:
    """Answers at `address`, host:port, while the context lasts; its URL. Raises ConfigurationInvalid."""
    app = Starlette(
        routes=[
            Route("/", _page(page)),
            Route("/livez", _health("alive", stuck)),
            Route("/readyz", _health("ready", unready)),
            Route("/metrics", lambda _: Response(metrics(), media_type=CONTENT_TYPE)),
        ]
    )
    with bound(address, "http.listen") as listener:
        is_here = ip_address(listener.getsockname()[0]).is_loopback
        with serving(_for_this_machine(app) if is_here else app, listener) as url:
            yield url


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
        try:
            return HTMLResponse(html(), headers=headers)
        except StateUnusable as error:
            return PlainTextResponse(f"{error}: {error.remedy}.\n", _UNAVAILABLE)

    return answer


def _health(word: str, reasons: Reasons) -> Callable[[Request], Response]:
    """200 where nothing is wrong, else 503; and what is."""

    def answer(_request: Request) -> Response:
        found = list(reasons())
        body = json.dumps({word: not found, "reasons": found}) + "\n"
        return Response(body, _UNAVAILABLE if found else 200, media_type="application/json")

    return answer
