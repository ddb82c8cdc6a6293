"""What the service answers on its own port: /, /livez, /readyz, /metrics. It has a thread of its own, so that it can
tell of a service that is stuck.

Who may reach the port may ask. Where that is this machine only, a page that a browser here has open might ask as well,
under a name of its own that it has lead here: so only names of this machine are answered then.
"""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from urllib.parse import urlsplit

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


@contextmanager
def listening(
    address: str, *, stuck: Reasons, unready: Reasons, metrics: Callable[[], bytes], page: Callable[[], str]
) -> Iterator[str]:
    """Answers at `address`, host:port, while the context lasts; its URL. Raises as `bound` does."""
    app = Starlette(
        routes=[
            Route("/", _page(page)),
            Route("/livez", _health("alive", stuck)),
            Route("/readyz", _health("ready", unready)),
            Route("/metrics", lambda _: Response(metrics(), media_type=CONTENT_TYPE)),
        ],
        exception_handlers={StateUnusable: _unusable},
    )
    with bound(address, "http.listen") as listener:
        name = address.rpartition(":")[0].lower()
        is_here = _is_loopback(listener.getsockname()[0])
        with serving(_for_this_machine(app, {"localhost", name}) if is_here else app, listener) as url:
            yield url


def _for_this_machine(app: ASGIApp, names: Collection[str]) -> ASGIApp:
    """Refuses who asks for another host than these, or an address of loopback."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        host = _host(Headers(scope=scope).get("host", ""))
        if host in names or _is_loopback(host):
            await app(scope, receive, send)
        else:
            told = "This is not the host that you ask for. Ask for localhost; a proxy has to send `Host: localhost`.\n"
            await PlainTextResponse(told, _MISDIRECTED)(scope, receive, send)

    return answer


def _host(header: str) -> str:
    """Without its port, in lower case; nothing where it is malformed."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


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


def _unusable(_request: Request, error: Exception) -> Response:
    remedy = error.remedy if isinstance(error, StateUnusable) else ""
    return PlainTextResponse(f"{error}: {remedy}.\n", _UNAVAILABLE)


def _health(word: str, reasons: Reasons) -> Callable[[Request], Response]:
    """200 where nothing is wrong, else 503; and what is."""

    def answer(_request: Request) -> Response:
        found = list(reasons())
        body = json.dumps({word: not found, "reasons": found}) + "\n"
        return Response(body, _UNAVAILABLE if found else 200, media_type="application/json")

    return answer
