"""A TCP proxy between the agent and the API that misbehaves as networks do."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from agent.sandbox.gate import PORTAL

KINDS = ("reset", "reset-answer", "trickle", "black-hole", "portal", "refuse")
"""Resets in the middle of a request's body, or before its answer; bytes that trickle; packets that vanish; a captive
portal's page with 200; connections that are closed as soon as they are made."""
_MIDDLE = 700  # bytes: beyond the head of a request, within its body
_PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"


class Proxy:
    """Forwards to `url`. `kind` is what befalls connections, those that are open already too; None is a good day."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._far = (parts.hostname, parts.port)
        self._path = parts.path
        self._stopped = asyncio.Event()
        self.kind: str | None = None
        self.struck: Counter[str] = Counter()
        self.url = ""

    async def serve(self, started: Callable[[], None]) -> None:
        server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{self._path}"
        started()
        async with server:
            await self._stopped.wait()

    def stop(self) -> None:
        self._stopped.set()

    async def _meet(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if self.kind == "refuse":
                self.struck["refuse"] += 1
            else:
                await self._forward(near, back)
        _reset(back)

    async def _forward(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, on = await asyncio.open_connection(*self._far)
        ways = [
            asyncio.create_task(self._pump(near, on, back, self._befall_request)),
            asyncio.create_task(self._pump(far, back, back, self._befall_answer)),
        ]
        try:
            await asyncio.wait([*ways, asyncio.create_task(self._stopped.wait())], return_when="FIRST_COMPLETED")
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            on.close()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        back: asyncio.StreamWriter,
        befall: Callable[[bytes, asyncio.StreamWriter, asyncio.StreamWriter], Awaitable[bool]],
    ) -> None:
        while data := await source.read(1 << 16):
            if not await befall(data, sink, back):
                return
            await sink.drain()

    async def _befall_request(self, data: bytes, sink: asyncio.StreamWriter, back: asyncio.StreamWriter) -> bool:
        kind = self.kind
        if kind == "trickle":
            await self._trickle(data, sink)
        elif kind == "black-hole":
            self.struck[kind] += 1
        elif kind == "portal":
            self.struck[kind] += 1
            back.write(_PAGE % (len(PORTAL), PORTAL))
            await back.drain()
            await asyncio.sleep(0.05)  # a reset would overtake the page
            return False
        elif kind == "refuse":
            self.struck[kind] += 1
            return False
        elif kind == "reset":
            self.struck[kind] += 1
            sink.write(data[:_MIDDLE])
            return False
        else:
            sink.write(data)
        return True

    async def _befall_answer(self, data: bytes, sink: asyncio.StreamWriter, back: asyncio.StreamWriter) -> bool:
        if self.kind == "reset-answer":
            self.struck["reset-answer"] += 1
            return False
        if self.kind != "black-hole":
            sink.write(data)
        return True

    async def _trickle(self, data: bytes, sink: asyncio.StreamWriter) -> None:
        self.struck["trickle"] += 1
        for start in range(0, len(data), 64):
            sink.write(data[start : start + 64])
            await sink.drain()
            if self.kind == "trickle":
                await asyncio.sleep(0.02)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Closes with RST instead of FIN, whatever is still unsent."""
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def proxying(url: str) -> Iterator[Proxy]:
    """A proxy to `url` in a thread of its own."""
    started = threading.Event()
    proxy = Proxy(url)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(proxy.serve(started.set)), name="proxy")
    thread.start()
    try:
        assert started.wait(10)
        yield proxy
    finally:
        loop.call_soon_threadsafe(proxy.stop)
        thread.join(10)
        _finish(loop)


def _finish(loop: asyncio.AbstractEventLoop) -> None:
    async def finish() -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    loop.run_until_complete(finish())
    loop.close()
