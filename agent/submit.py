"""One item, from the moment that it may be sent to what becomes of it."""

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Literal

from agent.client import AsyncClient
from agent.errors import ApiError, ChequrError, Forbidden
from agent.gate import Gate
from agent.items import Accept, Answer, Claimed, Defer, Item, Lose, Reject, Release, Settlement
from agent.lookup import Absent, Finding, Found, Untold, look_up
from agent.outbox import Outbox
from agent.pacing import backoff
from agent.verdict import CONFLICT, FAILURES, answer_of, certainly_not_taken, health, judge

UNKNOWN = "outcome_unknown"
"""The code of what was rejected because nobody can tell whether the API has it."""

_DAMAGED = "its body no longer has the digest that it was queued with"

# Why the control is asked before it is sent: its key may be forgotten, or be known by the token that it came with; or
# somebody decided to send it under another key, should it not be there.
Doubt = Literal["forgotten", "another token", "another key"]


@dataclass(frozen=True)
class Limits:
    """How long the API's answers are taken at their word. Seconds, and numbers of answers.

    The API is expected to remember an Idempotency-Key for `keys_remembered`. An item is looked up at its control once
    its key was said to be in progress `in_progress` times, or once it got `failures` answers of 5xx in a row over at
    least `failing`, while others were accepted: then its key has such an answer stored, and it gets another key, at
    most `generations` times.
    """

    keys_remembered: float = 20 * 3600.0
    in_progress: int = 5
    failures: int = 6
    failing: float = 900.0
    generations: int = 3


class Submission:
    """How one deliverer submits items. `turn` waits for a place to send in, and tells whether there is one."""

    def __init__(
        self, outbox: Outbox, client: AsyncClient, gate: Gate, turn: Callable[[], Awaitable[bool]], limits: Limits
    ) -> None:
        self._outbox = outbox
        self._client = client
        self._gate = gate
        self._turn = turn
        self._limits = limits
        self._first_sent: dict[int, float] = {}  # when, for items that are not settled; by a clock that nobody sets

    async def submit(self, claimed: Claimed, token: str | None) -> Settlement:
        """What becomes of an item, with the `token` of this fingerprint; its place has come."""
        if claimed.item.unsure_since is None:
            self._first_sent[claimed.item.id] = _elapsed()
        settlement = await self._submit(claimed, token)
        if not isinstance(settlement, Defer | Release):
            self._first_sent.pop(claimed.item.id, None)
        return settlement

    async def _submit(self, claimed: Claimed, token: str | None) -> Settlement:
        item = claimed.item
        if claimed.body is None:
            return Lose(item.id, _DAMAGED)
        doubt = self._doubt(item, token)
        if doubt:
            settled = await self._ask_first(item, doubt)
            if settled:
                return settled
            if not await self._turn():
                return Release(item.id, None, item.unsure_since)
        return await self._post(item, claimed.body)

    # ── an item that may have arrived, and whose key may no longer tell ──

    def _doubt(self, item: Item, token: str | None) -> Doubt | None:
        if item.unsure_since is None:
            return None
        if item.sent_with is None:
            return "another key"
        if not 0 <= self._age(item.id, item.unsure_since) <= self._limits.keys_remembered:
            return "forgotten"
        return "another token" if item.sent_with != token else None

    def _age(self, item_id: int, unsure_since: float) -> float:
        """Seconds since it was first sent. The wall clock, which may have been set since, is for what another process
        sent.
        """
        first = self._first_sent.get(item_id)
        return time.time() - unsure_since if first is None else _elapsed() - first

    async def _ask_first(self, item: Item, doubt: Doubt) -> Settlement | None:
        """What its control tells; None where it is to be sent again."""
        try:
            finding = await self._look_up(item)
        except Forbidden as error:
            # Keys are most likely known by workspace: another token alone is no reason to bother anybody.
            return _unreadable(item, answer_of(error)) if doubt == "forgotten" else None
        except ChequrError as error:
            return self._unanswered(item, error)
        match finding:
            case Found(evidence_id):
                return Accept(item.id, evidence_id, None, None)
            case Untold(reason, passes) if doubt != "another key" or passes:
                answer = Answer(None, UNKNOWN, reason, None)
                later = Defer(item.id, answer, self._later(item), item.unsure_since)
                return later if passes else Reject(item.id, answer, item.unsure_since)
            case _:
                return None

    def _unanswered(self, item: Item, error: ChequrError) -> Settlement:
        """The look-up came to nothing; the item was not sent."""
        answer = answer_of(error)
        if judge(error) == "hold":
            self._gate.refused(item.id, answer)
            return Release(item.id, time.time(), item.unsure_since)
        self._judge_health(item, error)
        return Defer(item.id, answer, self._later(item, error), item.unsure_since)

    async def _look_up(self, item: Item) -> Finding:
        finding = await look_up(item, self._outbox, self._client, remembered=time.time() - self._limits.keys_remembered)
        self._gate.read()
        return finding

    # ── sending ──

    async def _post(self, item: Item, body: bytes) -> Settlement:
        started = time.time()
        try:
            receipt = await self._client.submit(body, item.key, renews=item.unsure_since is None)
        except ChequrError as error:
            return await self._refused(item, error, started)
        self._gate.accepted()
        return Accept(item.id, receipt.id, receipt.created_at, receipt.request_id)

    async def _refused(self, item: Item, error: ChequrError, started: float) -> Settlement:
        answer, verdict = answer_of(error), judge(error)
        unsure = item.unsure_since if certainly_not_taken(error) else item.unsure_since or started
        if verdict == "hold":
            self._gate.refused(item.id, answer)
            return Release(item.id, time.time(), unsure)  # behind the others, should it be this item after all
        self._judge_health(item, error)
        reject = Reject(item.id, answer, unsure)
        if verdict == "reject":
            return reject
        later = Defer(item.id, answer, self._later(item, error), unsure)
        if verdict == "look_up":
            return await self._ask_after(item, answer, absent=reject, untold=reject, later=later)
        if answer.status == CONFLICT and item.attempts > self._limits.in_progress:
            return await self._ask_after(item, answer, absent=later, untold=later, later=later)
        if self._is_stored(item, error):
            return await self._ask_after(item, answer, absent=self._renewed(item, answer), untold=later, later=later)
        return later

    def _is_stored(self, item: Item, error: ChequrError) -> bool:
        """Whether the same failure comes again and again, while others are accepted: it is stored with the key."""
        if not isinstance(error, ApiError) or error.status < FAILURES or item.failing_since is None:
            return False
        lasts = time.time() - item.failing_since >= self._limits.failing
        return item.failures + 1 >= self._limits.failures and lasts and self._gate.accepted_at > item.failing_since

    def _renewed(self, item: Item, answer: Answer) -> Settlement:
        if item.generation >= self._limits.generations:
            return Reject(item.id, answer)
        return Defer(item.id, answer, time.time(), renewed=True)

    async def _ask_after(
        self, item: Item, answer: Answer, *, absent: Settlement, untold: Settlement, later: Settlement
    ) -> Settlement:
        """What the control tells of an item whose answer did not."""
        if not await self._turn():
            return later
        try:
            finding = await self._look_up(replace(item, unsure_since=item.unsure_since or time.time()))
        except Forbidden:
            return untold
        except ChequrError:
            return later
        match finding:
            case Found(evidence_id):
                return Accept(item.id, evidence_id, None, answer.request_id)
            case Absent():
                return absent
            case Untold(_, passes):
                return later if passes else untold

    def _judge_health(self, item: Item, error: ChequrError) -> None:
        match health(error):
            case "taken":
                self._gate.taken()
            case "answered":
                self._gate.answered()
            case "failed":
                self._gate.failed(item.id, str(error))

    def _later(self, item: Item, error: ChequrError | None = None) -> float:
        asked = getattr(error, "retry_after", None) or 0.0
        chance = random.random()  # noqa: S311 - jitter is no secret
        return time.time() + max(backoff(item.attempts, chance=chance), asked)


def _elapsed() -> float:
    """Seconds of a clock that nobody sets, and that runs on while the machine sleeps, where there is such a one."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def _unreadable(item: Item, answer: Answer) -> Reject:
    reason = f"it may have arrived, and the token may not read {item.control_id}: {answer.reason}"
    return Reject(item.id, Answer(answer.status, UNKNOWN, reason, answer.request_id), item.unsure_since)
