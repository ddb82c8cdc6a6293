"""A plain HTTP client for the sandbox's own tests: what is sent is what the test says, to the byte."""

import http.client
import json
import socket
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from agent.sandbox.server import Sandbox

SAMPLE = {
    "control_id": "ctrl_ac_02",
    "source": "aws",
    "collected_at": "2026-04-15T09:14:22Z",
    "payload": {"bucket": "acme-audit-logs", "encryption": "AES256", "public_access_blocked": True},
}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str, str | None]:
        """Status, code and field of an error body, whose shape is checked on the way."""
        document = self.document
        assert set(document) <= {"code", "message", "detail"}
        assert document["message"]
        detail = document.get("detail", {})
        assert set(detail) <= {"field", "hint"}
        return self.status, document["code"], detail.get("field")


class Client:
    """One keep-alive connection with one token; None sends no Authorization."""

    def __init__(self, sandbox: Sandbox, token: str | None) -> None:
        self.token = token
        self._connection = http.client.HTTPConnection(sandbox.root.removeprefix("http://"), timeout=10)

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """`body` is sent as it is where it is bytes, and as JSON where it is anything else."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token is not None:
            sent.setdefault("authorization", f"Bearer {self.token}")
        self._connection.request(method, path, data, sent)
        answer = self._connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read())

    def get(self, path: str, **headers: str) -> Reply:
        return self.call("GET", path, **headers)

    def submit(self, key: str | None = None, **changes: object) -> Reply:
        """The sample evidence with fields changed; a field set to ... is left out."""
        body = {name: value for name, value in (SAMPLE | changes).items() if value is not ...}
        return self.call("POST", "/v1/evidence", body, **({} if key is None else {"idempotency_key": key}))

    def close(self) -> None:
        self._connection.close()


def raw_exchange(sandbox: Sandbox, request: bytes) -> bytes:
    """All bytes that come back until the server hangs up."""
    host, port = sandbox.root.removeprefix("http://").split(":")
    with closing(socket.create_connection((host, int(port)), timeout=10)) as line:
        line.sendall(request)
        received = b""
        try:
            while chunk := line.recv(65536):
                received += chunk
        except ConnectionResetError:
            pass
    return received
