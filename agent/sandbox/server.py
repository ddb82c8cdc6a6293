"""Running the sandbox: for a person until interrupted, or for a test as long as its `with` block.

with running(Options(rate=1000)) as sandbox:
    httpx.get(f"{sandbox.url}/controls", headers={"Authorization": f"Bearer {sandbox.read}"})
"""

import asyncio
import socket
import sqlite3
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import uvicorn

from agent.sandbox import app, controls, evidence, keys, webhooks
from agent.sandbox.clock import Clock
from agent.sandbox.evidence import Evidence
from agent.sandbox.faults import Faults
from agent.sandbox.gate import Traffic
from agent.sandbox.keys import Scope
from agent.sandbox.line import Line
from agent.sandbox.options import InvalidOption, Options
from agent.sandbox.verdict import Signal
from agent.sandbox.webhooks import Courier
from agent.sandbox.workspace import Workspace

_PATIENCE = 30
"""Seconds that `running` gives the server to start and to stop."""


class Sandbox:
    """One sandbox and its state. `url` is the base URL that clients take, `root` the same without /v1."""

    def __init__(self, options: Options, listener: socket.socket) -> None:
        self.options = options
        self.traffic = Traffic(options.rate, Faults(options.faults, options.seed))
        self.workspace = _open(options)
        self._courier = Courier(self.workspace, options.webhook_backoff)
        self._loop: asyncio.AbstractEventLoop | None = None
        host, port = listener.getsockname()[:2]
        self.root = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self.url = f"{self.root}/v1"
        first = dict(reversed(options.all_tokens))
        self.tokens = {scope: first[scope] for scope in keys.SCOPES}
        self.read, self.write, self.admin = self.tokens.values()

    @property
    def evidence(self) -> list[Evidence]:
        """All evidence taken, oldest first."""
        return evidence.taken(self.workspace)

    @property
    def statuses(self) -> Counter[int]:
        """Answers by status."""
        return self.traffic.statuses

    @property
    def calls(self) -> Counter[str]:
        """Answers by method and path, as in `POST /v1/evidence`."""
        return self.traffic.calls

    @property
    def struck(self) -> Counter[str]:
        """Faults that struck, by kind."""
        return self.traffic.struck

    @property
    def faults(self) -> tuple[str, ...]:
        """The faults in force; assign strings to put others in their place."""
        return self.traffic.faults.texts

    @faults.setter
    def faults(self, texts: Iterable[str]) -> None:
        self.traffic.faults = Faults(texts, self.options.seed)

    @property
    def rate(self) -> float:
        """Requests a second and a key; assigning fills every bucket anew."""
        return self.traffic.rate

    @rate.setter
    def rate(self, rate: float) -> None:
        self.traffic.rate = rate

    def set_time(self, offset: float) -> None:
        """Puts the server's clock `offset` seconds ahead of the machine's."""
        self.workspace.clock.offset = offset
        self._wake()

    def issue(self, scope: Scope, token: str | None = None, *, rate: float | None = None) -> str:
        """A new key's token."""
        return keys.issue(self.workspace, scope, token, rate)[1]

    def rotate(self, token: str, new: str | None = None) -> str:
        """The new token of the key that was created with `token`, which works for 24 hours more."""
        return keys.rotate(self.workspace, keys.key_id(token), new)

    def revoke(self, token: str) -> None:
        """Ends the key that was created with `token`, with all its tokens."""
        keys.revoke(self.workspace, keys.key_id(token))

    def dictate(self, control_id: str, signal: Signal | None) -> None:
        """From now on evidence of the control gets `signal`; None lets the rules decide."""
        controls.dictate(self.workspace, control_id, signal)

    def fire(self, event: str, data: dict[str, Any]) -> str:
        """Sends an event to the webhooks that asked for it, and gives its id."""
        with self.workspace.transaction():
            made = webhooks.fire(self.workspace, event, data)
        self._wake()
        return made

    def server(self) -> uvicorn.Server:
        return _Server(
            self.traffic,
            uvicorn.Config(
                app.build(self.workspace, self.traffic, self._courier, self.options, self._lifespan),
                http=Line,
                ws="none",
                loop="asyncio",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=5,
            ),
        )

    async def _lifespan(self) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        courier = asyncio.create_task(self._courier.run())
        yield
        self._loop = None
        courier.cancel()
        with suppress(asyncio.CancelledError):
            await courier

    def _wake(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._courier.wake)


class _Server(uvicorn.Server):
    """Tells requests that wait on purpose when it is time to go."""

    def __init__(self, traffic: Traffic, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._traffic = traffic

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._traffic.leaving.set()
        await super().shutdown(sockets)


def serve(options: Options, started: Callable[[Sandbox], None] = lambda _: None) -> None:
    """Serves until SIGINT or SIGTERM, which it raises again once all connections are closed. Raises InvalidOption.

    `started` is called when connections are taken, before the first is answered.
    """
    with _listening(options) as listener, _opened(options, listener) as sandbox:
        started(sandbox)
        sandbox.server().run([listener])


@contextmanager
def running(options: Options | None = None) -> Iterator[Sandbox]:
    """A sandbox in a thread of its own, on a free port whatever the options say. Raises InvalidOption."""
    options = replace(options or Options(), port=0)
    with _listening(options) as listener, _opened(options, listener) as sandbox:
        server = sandbox.server()
        thread = threading.Thread(target=server.run, args=([listener],), name="sandbox")
        thread.start()
        try:
            yield sandbox
        finally:
            server.should_exit = True
            thread.join(_PATIENCE)


@contextmanager
def _listening(options: Options) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        listener = _bound(family, options.host, options.port)
    except OSError as error:
        message = f"The sandbox cannot listen on {options.host}:{options.port}: {error.strerror}. Choose another port."
        raise InvalidOption(message) from error
    with listener:
        yield listener


def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    # asyncio sends small answers without delay only where the protocol number is told.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
    except OSError:
        listener.close()
        raise
    return listener


@contextmanager
def _opened(options: Options, listener: socket.socket) -> Iterator[Sandbox]:
    sandbox = Sandbox(options, listener)
    try:
        yield sandbox
    finally:
        sandbox.workspace.close()


def _open(options: Options) -> Workspace:
    wanted = controls.load(options.controls)
    try:
        workspace = Workspace(str(options.state or ":memory:"), Clock())
    except sqlite3.Error as error:
        message = f"The state file {options.state} cannot be used: {error}. Name another, or remove it."
        raise InvalidOption(message) from error
    try:
        controls.install(workspace, wanted)
        for scope, token in options.all_tokens:
            keys.seed(workspace, scope, token)
    except BaseException:
        workspace.close()
        raise
    return workspace
