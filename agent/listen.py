"""What the service answers on its own port: /livez, /readyz, /metrics. It has a thread of its own, so that it can tell
of a service that is stuck.
"""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.config import ConfigurationInvalid
from agent.metrics import CONTENT_TYPE

Reasons = Callable[[], Sequence[str]]

_PATIENCE = 10.0  # seconds for it to end
_UNAVAILABLE = 503


@contextmanager
def listening(address: str, *, stuck: Reasons, unready: Reasons, metrics: Callable[[], bytes]) -> Iterator[str]:
    """Answers at `address`, host:port, while the context lasts; its URL. Raises ConfigurationInvalid."""
    listener = _bound(address)
    app = Starlette(
        routes=[
            Route("/livez", _health("alive", stuck)),
            Route("/readyz", _health("ready", unready)),
            Route("/metrics", lambda _: Response(metrics(), media_type=CONTENT_TYPE)),
        ]
    )
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", server_header=False)
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


def _health(word: str, reasons: Reasons) -> Callable[[Request], Response]:
    """200 where nothing is wrong, else 503; and what is."""

    def answer(_request: Request) -> Response:
        found = list(reasons())
        body = json.dumps({word: not found, "reasons": found}) + "\n"
        return Response(body, _UNAVAILABLE if found else 200, media_type="application/json")

    return answer
