"""Sends what the outbox owes, at the pace that the API allows, and writes down each answer.

Items are claimed, sent one after the other at that pace, and settled; a slot is free only once that is committed.
One deliverer per state directory: whoever runs one holds the lock `deliver`.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Literal

import structlog

from agent import endpoints
from agent.client import AsyncClient
from agent.errors import ChequrError
from agent.items import Accept, Answer, Claimed, Defer, Hold, Item, Reject, Release, Settlement
from agent.ledger import Ledger
from agent.models import EvidenceItem, Receipt
from agent.outbox import Outbox
from agent.pacing import Pace, backoff
from agent.settle import Settling, tell
from agent.verdict import CONFLICT, answer_of, judge

log = structlog.get_logger()

Outcome = Literal["delivered", "unfinished", "held"]

_SHORTEST_PROBE, _LONGEST_PROBE = 5.0, 300.0  # seconds between attempts while the API refuses the token
_IDLE = 0.2  # seconds between looks into an outbox that other processes may have put into
_SURE = 5  # tries after which a request that is said to be still in progress is looked up
_SHORTEST_PATIENCE = 1.0  # seconds that a first try has, however little patience there is


class Deliverer:
    """Delivers one outbox over one client.

    `observe` is told of each settled item; `concurrency` bounds the requests under way at once.
    """

    def __init__(
        self,
        outbox: Outbox,
        ledger: Ledger,
        client: AsyncClient,
        pace: Pace,
        *,
        concurrency: int,
        observe: Callable[[Item, Settlement], None] = lambda _item, _settlement: None,
    ) -> None:
        self._outbox = outbox
        self._ledger = ledger
        self._client = client
        self._pace = pace
        self._concurrency = concurrency
        self._observe = observe
        self._in_hand: deque[Claimed] = deque()  # claimed, and waiting for their place
        self._place: float | None = None  # the instant reserved for the next of them
        self._under_way: set[asyncio.Task[None]] = set()
        self._settling = Settling(outbox)
        self._hold: Hold | None = None
        self._probe_at = 0.0
        self._probe_gap = _SHORTEST_PROBE
        self._accepted_at = 0.0
        self._stopping = asyncio.Event()
        self._failure: BaseException | None = None

    def stop(self) -> None:
        """Sends nothing more; what is under way gets its answer."""
        self._stopping.set()

    def probe(self) -> None:
        """Tries a held outbox at once, as after a token was renewed."""
        self._probe_at = 0.0

    async def run(self) -> None:
        """Delivers until `stop`."""
        await self._deliver(patience=None)

    async def drain(self, *, patience: float) -> Outcome:
        """Delivers until nothing is owed, the token is refused, or nothing was accepted for `patience` seconds."""
        self._accepted_at = time.monotonic()
        await self._deliver(patience=max(patience, _SHORTEST_PATIENCE))
        if not self._outbox.owed():
            return "delivered"
        return "held" if self._hold else "unfinished"

    async def _deliver(self, *, patience: float | None) -> None:
        await asyncio.to_thread(self._outbox.reclaim)
        self._hold = self._outbox.hold()
        async with self._settling:
            try:
                await self._dispatch(patience)
            finally:
                if self._under_way:
                    await asyncio.wait(self._under_way)
        if self._failure:
            raise self._failure
        await self._put_back()

    async def _dispatch(self, patience: float | None) -> None:
        while not self._stopping.is_set() and not self._failure:
            await self._claim()
            wait = self._send_next()
            if patience is not None and await self._is_drained(patience):
                return
            await self._pause(wait)

    async def _is_drained(self, patience: float) -> bool:
        refused = self._hold is not None and self._probe_at > 0
        if refused or time.monotonic() - self._accepted_at > patience:
            return True
        idle = not self._under_way and not self._in_hand
        return idle and await asyncio.to_thread(self._outbox.next_due) is None

    async def _claim(self) -> None:
        """Takes some items in hand; while the API refuses the token, one now and then."""
        wanted = self._concurrency
        if self._hold:
            probing = not self._under_way and time.monotonic() >= self._probe_at
            wanted = 1 if probing else 0
            if not probing:
                await self._put_back()
        if wanted and not self._in_hand:
            self._in_hand.extend(await asyncio.to_thread(self._outbox.claim, wanted, now=time.time()))

    async def _put_back(self) -> None:
        """What is in hand was not sent: it is pending as before."""
        releases = [Release(claimed.item.id) for claimed in self._in_hand]
        self._in_hand.clear()
        if releases:
            await asyncio.to_thread(self._outbox.settle, releases, now=time.time())

    def _send_next(self) -> float:
        """Starts what has its place and a slot; how many seconds until there may be more."""
        while self._in_hand and len(self._under_way) < self._concurrency:
            now = time.monotonic()
            if self._place is None:
                self._place = now + self._pace.reserve(now)
            wait = max(self._place, self._pace.pause_until) - now
            if wait > 0:
                return min(wait, _IDLE)
            self._place = None
            self._start(self._in_hand.popleft())
        return _IDLE

    def _start(self, claimed: Claimed) -> None:
        task = asyncio.create_task(self._send(claimed))
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and task.exception():
            self._failure = task.exception()

    async def _pause(self, seconds: float) -> None:
        """Until a slot is free, the next place has come, the outbox may have something new, or the end is wanted."""
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({stopping, *self._under_way}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()

    # ── one item ──

    async def _send(self, claimed: Claimed) -> None:
        started = time.monotonic()
        if claimed.body is None:
            answer = Answer(None, "damaged", "its body no longer has the digest that it was queued with", None)
            settlement: Settlement = Reject(claimed.item.id, answer)
        else:
            settlement = await self._submit(claimed.item, claimed.body)
        await self._settling.commit(settlement)
        tell(claimed.item, settlement, time.monotonic() - started)
        self._observe(claimed.item, settlement)

    async def _submit(self, item: Item, body: bytes) -> Settlement:
        try:
            receipt: Receipt = await self._client.submit(body, item.key)
        except ChequrError as error:
            return await self._refused(item, error)
        self._lift_hold()
        self._accepted_at = time.monotonic()
        return Accept(item.id, receipt.id, receipt.created_at, receipt.request_id)

    async def _refused(self, item: Item, error: ChequrError) -> Settlement:
        answer = answer_of(error)
        verdict = judge(error)
        if verdict == "hold":
            self._set_hold(answer)
            return Release(item.id, time.time())  # behind the others, should it be this item after all
        if verdict != "defer":  # the API judged the item, so it took the token; no answer proves nothing
            self._lift_hold()
        if verdict == "reject":
            return Reject(item.id, answer)
        later = self._defer(item, answer, getattr(error, "retry_after", None))
        if verdict == "look_up":
            return await self._look_up(item, answer, absent=Reject(item.id, answer), unclear=later)
        if answer.status == CONFLICT and item.attempts > _SURE:
            return await self._look_up(item, answer, absent=later, unclear=later)
        return later

    def _defer(self, item: Item, answer: Answer, asked: float | None) -> Defer:
        wait = max(backoff(item.attempts, chance=random.random()), asked or 0.0)  # noqa: S311 jitter is no secret
        return Defer(item.id, answer, time.time() + wait)

    async def _look_up(self, item: Item, answer: Answer, *, absent: Settlement, unclear: Settlement) -> Settlement:
        """A 409 may mean that the item was taken before: the control's evidence says whether it was.

        Parts of one snapshot look alike there. Those with a receipt are known; of the others there must be one for
        each item that is still owed, or else it may be another part's.
        """
        try:
            control = await self._client.perform(endpoints.retrieve_control(item.control_id))
        except ChequrError:
            return unclear
        found = [seen for seen in control.evidence if _is_alike(seen, item) and not self._ledger.has(seen.id)]
        if not found:
            return absent
        if len(found) < self._outbox.twins(item):
            return unclear
        self._accepted_at = time.monotonic()
        return Accept(item.id, found[0].id, None, answer.request_id)

    # ── holding ──

    def _set_hold(self, answer: Answer) -> None:
        self._probe_at = time.monotonic() + self._probe_gap
        self._probe_gap = min(self._probe_gap * 2, _LONGEST_PROBE)
        before = self._hold
        if before is None or before.status != answer.status:  # a new token may be refused for another reason
            self._hold = Hold(answer.status, answer.reason, before.since if before else time.time())
            self._outbox.set_hold(answer.status, answer.reason, now=self._hold.since)
            log.error("outbox.held", status=answer.status, reason=answer.reason, request_id=answer.request_id)

    def _lift_hold(self) -> None:
        if self._hold:
            self._hold = None
            self._probe_gap = _SHORTEST_PROBE
            self._outbox.lift_hold()
            log.info("outbox.released")


def pacing_observer(pace: Pace) -> Callable[[int, Mapping[str, str]], None]:
    """What an AsyncClient tells of each answer, told to the pace."""
    return lambda status, headers: pace.learn(status, headers, time.monotonic(), datetime.now(UTC))


def _is_alike(seen: EvidenceItem, item: Item) -> bool:
    return seen.source == item.source and seen.collected_at == datetime.fromisoformat(item.collected_at)
