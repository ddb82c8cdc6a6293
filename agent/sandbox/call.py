"""One request to /v1 on its way, and the answer that goes back."""

from dataclasses import dataclass, field

from starlette.types import Scope, Send

from agent.sandbox.faults import Strike
from agent.sandbox.keys import Key
from agent.sandbox.refusal import Refusal


@dataclass(frozen=True)
class Call:
    """A request that was let in: whose, its body, and the fault that it meets."""

    key: Key
    method: str
    path: str
    body: bytes
    idempotency_key: str | None
    strike: Strike


@dataclass(frozen=True)
class Answer:
    """`headers` come on top of those that every answer has; names in lower case."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    media_type: str = "application/json; charset=utf-8"

    async def send(self, send: Send, *, whole: bool = True) -> None:
        """With `whole` False, all of the head and half of the body."""
        length = len(self.body)
        headers = {"content-type": self.media_type, "content-length": str(length), **self.headers}
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": encoded})
        body = self.body if whole else self.body[: length // 2]
        await send({"type": "http.response.body", "body": body, "more_body": not whole})


def refused(refusal: Refusal) -> Answer:
    return Answer(refusal.status, refusal.body, refusal.headers)


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of that name, in lower case."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)
