"""A server that takes all evidence at once and gives receipts: as little work as an API can be, over TLS or not.

    python -m benchmarks.receiver [--certificate server.pem] [--limit 100]

It keeps nothing but counts and the instants of the first and the last POST (monotonic seconds, which all processes of
a machine share), told at /state. `--limit` is what it says of the rate limit; it refuses nobody.
"""

import argparse
import asyncio
import json
import ssl
import time
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass
class Seen:
    posts: int = 0
    bytes: int = 0
    first: float | None = None
    last: float | None = None


class Receiver:
    def __init__(self, limit: float) -> None:
        self._seen = Seen()
        self._limit = limit

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, for as long as the client keeps it."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await self._answer(head, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if head.startswith(b"POST "):
            now = time.monotonic()
            self._seen.first = self._seen.first or now
            length = _length(head)
            await reader.readexactly(length)
            self._seen.posts, self._seen.bytes = self._seen.posts + 1, self._seen.bytes + length
            self._seen.last = time.monotonic()
            receipt = {"id": f"ev_{self._seen.posts:020}", "status": "accepted", "created_at": "2026-04-15T09:14:23Z"}
        else:
            receipt = asdict(self._seen)
        writer.write(self._response(json.dumps(receipt).encode()))
        await writer.drain()

    def _response(self, body: bytes) -> bytes:
        limits = f"x-ratelimit-limit: {self._limit:g}\r\nx-ratelimit-remaining: {2 * self._limit:g}\r\n"
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{limits}content-length: {len(body)}\r\n\r\n"
        return head.encode() + body


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--certificate", type=Path, help="PEM with key and certificate: TLS")
    parser.add_argument("--limit", type=float, default=100.0, help="requests a second")
    told = parser.parse_args()
    trust = None
    if told.certificate:
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trust.load_cert_chain(told.certificate)
    server = await asyncio.start_server(Receiver(told.limit).serve, "127.0.0.1", 0, ssl=trust, limit=2**20)
    port = server.sockets[0].getsockname()[1]
    print(f"{'https' if trust else 'http'}://127.0.0.1:{port}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
