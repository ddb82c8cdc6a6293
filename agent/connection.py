"""One connection to the API: HTTP/1.1 as h11 understands it, over asyncio's streams, in httpx's words.

httpx's own way from a request to the socket leads through four libraries, each with locks and scopes of its own. For
one request at a time over one connection none of them is needed, and they cost more than all else about a request.
Behind a proxy it is httpx that connects.
"""

import asyncio
import ssl
from contextlib import suppress
from typing import Protocol

import h11
import httpx

_CHUNK = 65_536  # bytes that are written or read at once
_LARGEST = 16_000_000  # bytes of an answer: the API's are pages of a list at most, but a proxy may send anything
_PARTING = 1.0  # seconds that a connection is given to close in order


class Connection(Protocol):
    """One request at a time. Whatever is raised, the connection is of no more use."""

    async def send(self, request: httpx.Request) -> httpx.Response:
        """The whole answer. Raises httpx.RequestError."""

    async def aclose(self) -> None: ...


class Direct:
    """A connection without a proxy. `connect` and `silence` are in seconds: until it stands, and without a byte."""

    def __init__(self, trust: ssl.SSLContext | None, *, connect: float, silence: float) -> None:
        self._trust = trust
        self._connect = connect
        self._silence = silence
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None
        self._state: h11.Connection

    async def send(self, request: httpx.Request) -> httpx.Response:
        if self._writer is None or self._reader.at_eof() or self._writer.is_closing():
            await self.aclose()
            self._writer = await self._open(request.url)
            self._state = h11.Connection(h11.CLIENT)
        await self._write(self._writer, request)
        response = await self._read(request)
        if (self._state.our_state, self._state.their_state) == (h11.DONE, h11.DONE):
            self._state.start_next_cycle()
        else:  # the server wants to be connected to anew
            await self.aclose()
        return response

    async def aclose(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(_PARTING):
                    await writer.wait_closed()

    async def _open(self, url: httpx.URL) -> asyncio.StreamWriter:
        port = url.port or (443 if self._trust else 80)
        try:
            async with asyncio.timeout(self._connect):
                self._reader, writer = await asyncio.open_connection(url.host, port, ssl=self._trust)
        except TimeoutError as error:
            raise httpx.ConnectTimeout(f"no connection within {self._connect:g} seconds") from error
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error
        return writer

    async def _write(self, writer: asyncio.StreamWriter, request: httpx.Request) -> None:
        url, content = request.url, request.content
        head = h11.Request(method=request.method, target=url.raw_path, headers=request.headers.raw)
        data = self._state.send(head) or b""
        if content:
            data += self._state.send(h11.Data(data=content)) or b""
        data += self._state.send(h11.EndOfMessage()) or b""
        try:
            for start in range(0, len(data), _CHUNK):
                writer.write(data[start : start + _CHUNK])
                async with asyncio.timeout(self._silence):
                    await writer.drain()
        except TimeoutError as error:
            raise httpx.WriteTimeout(f"nothing was taken for {self._silence:g} seconds") from error
        except OSError:
            pass  # whoever hangs up in the middle may have answered before

    async def _read(self, request: httpx.Request) -> httpx.Response:
        response: h11.Response | None = None
        body = bytearray()
        while True:
            match await self._event():
                case h11.Response() as response:
                    pass
                case h11.Data() as data:
                    body += data.data
                    if len(body) > _LARGEST:
                        raise httpx.RemoteProtocolError(f"the answer is longer than {_LARGEST:,} bytes")
                case h11.EndOfMessage() if response is not None:
                    headers = response.headers.raw_items()
                    return httpx.Response(response.status_code, headers=headers, content=bytes(body), request=request)

    async def _event(self) -> object:
        try:
            while (event := self._state.next_event()) is h11.NEED_DATA:
                async with asyncio.timeout(self._silence):
                    self._state.receive_data(await self._reader.read(_CHUNK))
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(f"the answer broke off, or is none ({error})") from error
        except TimeoutError as error:
            raise httpx.ReadTimeout(f"nothing came for {self._silence:g} seconds") from error
        except OSError as error:
            raise httpx.ReadError(str(error)) from error
        return event


class Proxied:
    """A connection through the proxy that the environment names. The constructor raises ValueError if it cannot be."""

    def __init__(self, trust: ssl.SSLContext, *, connect: float, silence: float) -> None:
        waits = httpx.Timeout(silence, connect=connect)
        limits = httpx.Limits(max_connections=1)
        try:
            self._client = httpx.AsyncClient(verify=trust, timeout=waits, limits=limits, follow_redirects=False)
        except (ValueError, ImportError, httpx.InvalidURL) as error:
            raise ValueError(f"the proxy that HTTPS_PROXY or ALL_PROXY names cannot be used: {error}") from error

    async def send(self, request: httpx.Request) -> httpx.Response:
        return await self._client.send(request)

    async def aclose(self) -> None:
        await self._client.aclose()
