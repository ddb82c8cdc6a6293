"""Whether anything is sent at all: not while the API refuses the token, and not while nobody answers.

open ── 401, 403, no token ──────────────► held        shown as such; one item now and then asks again
  ▲  └─ different items fail in a row ───► broken off  one item at a time asks again
  └──── an answer that takes the token, or that shows the API at work; a token where there was none
"""

import random
import time
from http import HTTPStatus

import structlog

from agent.breaker import Breaker
from agent.items import Answer, Hold
from agent.outbox import Outbox
from agent.pacing import Pace

log = structlog.get_logger()


class Gate:
    """The gate of one deliverer. Whoever finds it shut counts on `allowed` to let a probe through in time."""

    def __init__(self, outbox: Outbox, pace: Pace) -> None:
        self._outbox = outbox
        self._pace = pace
        self._token = Breaker(threshold=1, shortest=5.0, longest=300.0)
        self._answers = Breaker()
        self.hold: Hold | None = None
        self.accepted_at = 0.0
        """When the API last accepted an item, in seconds since the epoch; 0 before it did."""

    def take_up(self) -> None:
        """Is held as an earlier process was; a probe is due at once."""
        self.hold = self._outbox.hold()
        if self.hold:
            self._token.open()

    def allowed(self, limit: int) -> int:
        """How many requests may be under way now, at most `limit`."""
        now = time.monotonic()
        return min(self._token.allowed(now, limit), self._answers.allowed(now, limit))

    @property
    def is_refused(self) -> bool:
        """Whether the token was refused since this process has it."""
        return self.hold is not None and self._token.probe_at > 0

    def probe_now(self) -> None:
        """Asks again at once, as after a new token."""
        self._token.probe_now()

    def accepted(self) -> None:
        """The API took an item."""
        self.accepted_at = time.time()
        self.taken()

    def taken(self) -> None:
        """The API took the token, whatever it said of the item."""
        self.answered()
        if self._token.succeeded() or self.hold:
            self._release()

    def read(self) -> None:
        """The API took the token to read with: it may still not write with it."""
        if self.hold and self.hold.status == HTTPStatus.FORBIDDEN:
            self.answered()
        else:
            self.taken()

    def found_token(self) -> None:
        """There is a token that can be sent: nothing is held any more because there was none."""
        if self.hold and self.hold.status is None:
            self._token.succeeded()
            self._release()

    def _release(self) -> None:
        self.hold = None
        self._outbox.lift_hold()
        log.info("outbox.released")

    def answered(self) -> None:
        """The API is at work."""
        if self._answers.succeeded():
            self._pace.start_slowly(time.monotonic())
            log.info("breaker.closed")

    def failed(self, item_id: int, reason: str) -> None:
        """Nobody answered, or with what shows that the API is not at work."""
        if self._answers.failed(item_id, time.monotonic(), _chance()):
            log.warning(
                "breaker.opened", reason=reason, remedy="none needed: one item at a time is tried until it works"
            )

    def refused(self, item_id: int, answer: Answer) -> None:
        """The API did not take the token."""
        self._token.failed(item_id, time.monotonic(), _chance())
        before = self.hold
        if before is None or before.status != answer.status:  # a new token may be refused for another reason
            self.hold = Hold(answer.status, answer.reason, before.since if before else time.time())
            self._outbox.set_hold(answer.status, answer.reason, now=self.hold.since)
            log.error("outbox.held", status=answer.status, reason=answer.reason, request_id=answer.request_id)


def _chance() -> float:
    return random.random()  # noqa: S311 - jitter is no secret
