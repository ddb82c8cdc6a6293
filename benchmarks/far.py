"""A server as it is from far away: each answer takes a while. It keeps the answers, and counts the requests.

    python -m benchmarks.far http://127.0.0.1:5000 [--delay 0.05] [--limit 50]

Between a client and a fake of AWS. An answer is fetched once for each account, service, region and request: what is
slow afterwards is the distance, not the fake. `--limit` is how many requests a second each service takes of an account
in a region: what is more than that is refused as AWS does. What the fake does not know is answered as by an account
that has none of it, with nothing in it. GET /_far/state tells what was asked, and forgets it.
"""

import argparse
import asyncio
import json
import re
import time
from collections import Counter
from dataclasses import dataclass, field

_SCOPE = re.compile(rb"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/")
_TARGET = re.compile(rb"(?im)^x-amz-target: *(.+?)\r$")
_LENGTH = re.compile(rb"(?im)^content-length: *(\d+)\r$")
_ASSUME = re.compile(rb"RoleArn=arn%3Aaws%3Aiam%3A%3A(\d{12})")
_ISSUED = re.compile(rb"<AccessKeyId>(\w+)</AccessKeyId>")
_HOP_BY_HOP = re.compile(rb"(?im)^(connection|content-length|expect|transfer-encoding):.*\r\n")
_QUERY = re.compile(rb"(?im)^content-type: *application/x-www-form-urlencoded")
_FRESH = (b"Action=AssumeRole", b"Action=GenerateCredentialReport")


@dataclass
class Bucket:
    """Tokens of one service, account and region: a second's worth at most."""

    tokens: float
    looked: float = field(default_factory=time.monotonic)

    def take(self, limit: float) -> bool:
        now = time.monotonic()
        self.tokens, self.looked = min(limit, self.tokens + (now - self.looked) * limit), now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Far:
    def __init__(self, host: str, port: int, delay: float, limit: float | None) -> None:
        self._upstream = host, port
        self._delay = delay
        self._limit = limit
        self._answers: dict[tuple[bytes, ...], asyncio.Future[bytes]] = {}
        self._accounts: dict[bytes, bytes] = {}  # access keys that roles were given, and whose they are
        self._buckets: dict[tuple[bytes, ...], Bucket] = {}
        self._asked: Counter[tuple[bytes, ...]] = Counter()
        self._throttled = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, for as long as the client keeps it."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1])) if length else b""
                if head.startswith(b"GET /_far/state "):
                    writer.write(self._state())
                else:
                    writer.write(await self._answer(head, body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: bytes, body: bytes) -> bytes:
        scope = _SCOPE.search(head)
        account, region, service = scope.groups() if scope else (b"", b"", b"")
        account = self._accounts.get(account, account)
        target = _TARGET.search(head)
        key = (account, service, region, head.partition(b" HTTP/")[0], target[1] if target else b"", body)
        self._asked[key] += 1
        await asyncio.sleep(self._delay)
        if self._limit and not self._buckets.setdefault(key[:3], Bucket(self._limit)).take(self._limit):
            self._throttled += 1
            return _refusal(service, head)
        if any(fresh in body for fresh in _FRESH):
            answer = await self._fetch(head, body)
            if (role := _ASSUME.search(body)) and (issued := _ISSUED.search(answer)):
                self._accounts[issued[1]] = role[1]
            return answer
        if key not in self._answers:
            self._answers[key] = asyncio.ensure_future(self._fetch(head, body))
        return await self._answers[key]

    async def _fetch(self, head: bytes, body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*self._upstream)
        request = _HOP_BY_HOP.sub(b"", head)[:-2]
        writer.write(request + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        answer = await reader.read()
        writer.close()
        top, _, content = answer.partition(b"\r\n\r\n")
        if not answer or top[9:12] >= b"500" or content[:9].lower() == b"<!doctype":
            top, content = b"HTTP/1.1 200 OK", _nothing(head, body)
        kept = _HOP_BY_HOP.sub(b"", top + b"\r\n")
        return kept + b"content-length: %d\r\n\r\n" % len(content) + content

    def _state(self) -> bytes:
        operations: Counter[str] = Counter()
        repeated: Counter[str] = Counter()
        for key, times in self._asked.items():
            operations[_operation(key)] += times
            repeated[_operation(key)] += times - 1
        state = {
            "calls": self._asked.total(),
            "distinct": len(self._asked),
            "throttled": self._throttled,
            "operations": operations,
            "repeated": +repeated,
        }
        self._asked.clear()
        self._throttled = 0
        content = json.dumps(state).encode()
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(content) + content


def _refusal(service: bytes, head: bytes) -> bytes:
    """How a service says that it is asked too often."""
    if service == b"s3":
        status, body = (
            b"503 Slow Down",
            b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>",
        )
    elif _QUERY.search(head):
        error = b"<Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error>"
        status, body = b"400 Bad Request", b"<ErrorResponse>%b</ErrorResponse>" % error
    else:
        status, body = b"400 Bad Request", b'{"__type": "ThrottlingException", "message": "Rate exceeded"}'
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


def _nothing(head: bytes, body: bytes) -> bytes:
    """What an account that has nothing of it answers, as far as the answer has to have something in it."""
    if b"Action=GetSnapshotBlockPublicAccessState" in body:
        return b"<none><state>unblocked</state></none>"
    if head.startswith(b"POST /status/batch/get"):
        off = {"status": "DISABLED"}
        account = {"accountId": "123456789012", "state": off, "resourceState": {"ec2": off, "ecr": off}}
        return json.dumps({"accounts": [account]}).encode()
    return b"<none/>" if _QUERY.search(head) else b"{}"


def _operation(key: tuple[bytes, ...]) -> str:
    """A request's operation, as far as its form tells without a model of the service."""
    _, service, _, request, target, body = key
    if target:
        name = target.rpartition(b".")[2]
    elif action := re.search(rb"(?:^|&)Action=(\w+)", body):
        name = action[1]
    else:
        method, _, path = request.partition(b" ")
        resource, _, query = path.partition(b"?")
        depth = b"/".join(b"*" if re.search(rb"[\d%]", part) else part for part in resource.split(b"/"))
        name = method + b" " + (b"/*" if service == b"s3" and len(resource) > 1 else depth)
        name += b"?" + query.partition(b"=")[0].partition(b"&")[0] if query else b""
    return f"{service.decode()}:{name.decode()}"


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("upstream")
    parser.add_argument("--delay", type=float, default=0.05, help="seconds that an answer takes")
    parser.add_argument("--limit", type=float, help="requests a second of each service, account and region")
    told = parser.parse_args()
    host, _, port = told.upstream.rpartition("//")[2].partition(":")
    far = Far(host, int(port), told.delay, told.limit)
    server = await asyncio.start_server(far.serve, "127.0.0.1", 0, limit=2**20)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
