"""Which replies are worth asking again for, and after how long: pure functions of the reply and the clock."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cached_property
from http import HTTPStatus
from typing import Any

from collectors.errors import Unavailable

RATE_LIMITED = frozenset({"RATE_LIMITED", "RATE_LIMIT"})  # GraphQL's types of it, the newer one last
SECONDARY_LIMIT_WAIT = 60.0
LONGEST_WAIT = 3700.0  # seconds: the primary limit is whole again after an hour
NO_ANSWER = 0
LATE = "no answer in time"


class Overloaded(Unavailable):
    """The server gave up on this question, or did not answer it in time: a smaller one may succeed."""


@dataclass(frozen=True)
class Reply:
    """What came back. Where nothing did, `status` is 0 and `text` says why. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    text: str

    @classmethod
    def missing(cls, error: Exception) -> "Reply":
        """The reply that stands for an exception. Its text is not kept: it can name a proxy and its password."""
        text = str(error)
        if "too many 202" in text:
            return cls(HTTPStatus.ACCEPTED, {}, "")
        if "too many redirects" in text:
            return cls(HTTPStatus.MOVED_PERMANENTLY, {}, "")
        if "timed out" in text:
            return cls(NO_ANSWER, {}, LATE)
        return cls(NO_ANSWER, {}, f"no answer ({type(error).__name__})")

    @cached_property
    def body(self) -> Any:
        """The JSON of the answer; None where it is not JSON."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None

    @property
    def message(self) -> str:
        """GitHub's own words, at most a few lines; empty where it said nothing that can be read."""
        said = self.body.get("message") if isinstance(self.body, dict) else None
        return str(said or "")[:300]


@dataclass(frozen=True)
class Wait:
    """Ask again after `seconds`; `overloaded` where the question may have been too large."""

    reason: str
    seconds: float
    overloaded: bool = False


def wait_after(reply: Reply, tried: int, now: float) -> Wait | None:
    """How long to wait before the same question is asked again; None where the reply is final.

    `tried` counts from 1. `now` is the local clock in Unix seconds, for replies that do not tell the server's.
    """
    backoff = 0.5 * 2 ** (tried - 1)
    if limited(reply):
        return Wait("the rate limit is used up", _until_allowed(reply, tried, now))
    if reply.status == HTTPStatus.ACCEPTED:
        return Wait("the answer is still being prepared", backoff)
    if reply.status == NO_ANSWER:
        return Wait(reply.text, backoff, overloaded=reply.text == LATE)
    if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Wait(f"the server fails with status {reply.status}", backoff, overloaded=True)
    return None


def limited(reply: Reply) -> bool:
    """A primary or secondary limit, however it is said: a 429, a 403 that bears its signs, a GraphQL error in a 200."""
    if reply.status == HTTPStatus.FORBIDDEN:
        exhausted = reply.headers.get("x-ratelimit-remaining") == "0"
        return exhausted or "retry-after" in reply.headers or "rate limit" in reply.message.lower()
    if reply.status == HTTPStatus.OK and isinstance(reply.body, dict):
        errors = reply.body.get("errors")
        return isinstance(errors, list) and any(isinstance(e, dict) and e.get("type") in RATE_LIMITED for e in errors)
    return reply.status == HTTPStatus.TOO_MANY_REQUESTS


def _until_allowed(reply: Reply, tried: int, now: float) -> float:
    """Retry-After, else the reset of the primary limit, else a minute that doubles."""
    after = reply.headers.get("retry-after", "").strip()
    if after.isdecimal():
        return float(after)
    reset = reply.headers.get("x-ratelimit-reset", "").strip()
    is_exhausted = reply.headers.get("x-ratelimit-remaining") == "0" or reply.status == HTTPStatus.OK  # of GraphQL
    if is_exhausted and reset.isdecimal():
        return max(0.0, float(reset) - server_clock(reply, now)) + 1.0
    return SECONDARY_LIMIT_WAIT * 2.0 ** (tried - 1)


def server_clock(reply: Reply, now: float) -> float:
    """The server's clock in Unix seconds when it replied; `now` where it does not tell."""
    try:
        return parsedate_to_datetime(reply.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return now
