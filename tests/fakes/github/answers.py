"""What goes over the wire: answers, refusals in GitHub's words, and the ways in which it fails."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from graphql import GraphQLError

NO_GRANT = "Resource not accessible by integration"


@dataclass(frozen=True)
class Answer:
    status: int
    body: object
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class Fault:
    """What is answered in place of the truth, to a path or GraphQL query of this name, `times` times.

    `hang` is how many seconds later; `cut` leaves out the second half, and ends the connection.
    """

    at: str
    status: int = 500
    body: object = field(default_factory=lambda: {"message": "Server Error"})
    headers: dict[str, str] = field(default_factory=dict)
    times: float = float("inf")
    when: Callable[[dict], bool] = lambda _asked: True
    hang: float = 0.0
    cut: bool = False


@dataclass(frozen=True)
class Listed:
    """A list that is given out in pages, `within` a field of an object where the API has it so."""

    items: list
    within: str | None = None


def refusal(status: int, message: str, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, {"message": message, "documentation_url": "https://docs.github.com/rest"}, headers or {})


def not_found() -> Answer:
    return refusal(404, "Not Found")


def not_granted(permission: str) -> Answer:
    return refusal(403, NO_GRANT, {"X-Accepted-GitHub-Permissions": f"{permission}=read"})


def fault(kind: str, message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"type": kind})


def error(found: GraphQLError) -> dict:
    """As GitHub writes it: its kind beside the message."""
    kind = (found.extensions or {}).get("type")
    return {**({"type": kind} if kind else {}), "path": found.path, "message": found.message}


def time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def digits(number: int, kind: int = 0) -> str:
    """Forty digits as of a commit: others for each number and kind."""
    return f"{number + kind * 10**12:040x}"
