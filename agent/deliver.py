"""Sends what the outbox owes, at the pace that the API allows, and writes down each answer.

    judge()      an answer ──► what becomes of the item: a pure function
    Deliverer    claims, sends, settles; a slot is free only after the receipt is committed

One deliverer per state directory: whoever runs one holds the lock `deliver`.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Literal

import structlog

from agent import endpoints
from agent.client import AsyncClient
from agent.errors import ApiError, ChequrError, Forbidden, TokenUnusable, Unauthorized
from agent.items import Accept, Answer, Claimed, Defer, Hold, Item, Reject, Release, Settlement
from agent.ledger import Ledger
from agent.models import EvidenceItem, Receipt
from agent.outbox import Outbox
from agent.pacing import Pace, backoff

log = structlog.get_logger()

Outcome = Literal["delivered", "unfinished", "held"]
Verdict = Literal["defer", "reject", "hold", "look_up"]

_RETRIABLE = frozenset({408, 425, 429})
_SHORTEST_PROBE, _LONGEST_PROBE = 5.0, 300.0  # seconds between attempts while the API refuses the token
_IDLE = 0.5  # seconds between looks into an outbox that other processes may have put into
_BATCH = 50  # settlements written in one transaction


def judge(error: ChequrError) -> Verdict:
    """What becomes of an item that was not accepted. The status and the code decide, never the text.

    No answer, or none that can be read, says nothing about the item. 401 and 403 are about the token, 408, 425, 429
    and 5xx about the moment, 409 may mean that the item was taken before, and all else is about the item.
    """
    if isinstance(error, TokenUnusable | Unauthorized | Forbidden):
        return "hold"
    if not isinstance(error, ApiError):
        return "defer"
    if error.status >= 500 or error.status in _RETRIABLE:  # noqa: PLR2004 - HTTP's own boundary
        return "defer"
    if error.status == 409:  # noqa: PLR2004
        return "defer" if "progress" in error.code else "look_up"
    return "reject"


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
        self._under_way: set[asyncio.Task[None]] = set()
        self._settlements: asyncio.Queue[tuple[Item, Settlement, asyncio.Future[None]]] = asyncio.Queue()
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
        await self._deliver(finished=lambda: False)

    async def drain(self, *, patience: float) -> Outcome:
        """Delivers until nothing is owed, the token is refused, or nothing was accepted for `patience` seconds."""
        self._accepted_at = time.monotonic()
        await self._deliver(finished=lambda: self._is_drained(patience))
        if not self._outbox.owed():
            return "delivered"
        return "held" if self._hold else "unfinished"

    def _is_drained(self, patience: float) -> bool:
        if self._under_way:
            return False
        refused = self._hold is not None and self._probe_at > 0
        return refused or time.monotonic() - self._accepted_at > patience or not self._outbox.owed()

    async def _deliver(self, *, finished: Callable[[], bool]) -> None:
        self._outbox.reclaim()
        self._hold = self._outbox.hold()
        settling = asyncio.create_task(self._settle())
        try:
            while not self._stopping.is_set() and not self._failure and not finished():
                for claimed in self._claim():
                    self._start(claimed)
                await self._pause()
            if self._under_way:
                await asyncio.wait(self._under_way)
        finally:
            settling.cancel()
            await asyncio.gather(settling, return_exceptions=True)
        if self._failure:
            raise self._failure

    def _claim(self) -> list[Claimed]:
        free = self._concurrency - len(self._under_way)
        if self._hold:
            probing = not self._under_way and time.monotonic() >= self._probe_at
            free = 1 if probing else 0
        return self._outbox.claim(free, now=time.time()) if free > 0 else []

    def _start(self, claimed: Claimed) -> None:
        task = asyncio.create_task(self._send(claimed))
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and task.exception():
            self._failure = task.exception()

    async def _pause(self) -> None:
        """Until a slot is free, the outbox may have something new, or the end is wanted."""
        stopping = asyncio.create_task(self._stopping.wait())
        busy = len(self._under_way) >= self._concurrency
        timeout = None if busy and not self._hold else _IDLE
        await asyncio.wait({stopping, *self._under_way}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()

    # ── one item ──

    async def _send(self, claimed: Claimed) -> None:
        item, started = claimed.item, time.monotonic()
        if claimed.body is None:
            answer = Answer(None, "damaged", "its body no longer has the digest that it was queued with", None)
            return await self._settled(item, Reject(item.id, answer), started)
        if not await self._turn():
            return await self._settled(item, Release(item.id), started)
        started = time.monotonic()
        settlement = await self._submit(item, claimed.body)
        return await self._settled(item, settlement, started)

    async def _turn(self) -> bool:
        """Waits for this request's place; False where the end is wanted first."""
        wait = self._pace.reserve(time.monotonic())
        while wait > 0:
            try:
                await asyncio.wait_for(self._stopping.wait(), wait)
            except TimeoutError:
                wait = self._pace.pause_until - time.monotonic()
            else:
                return False
        return True

    async def _submit(self, item: Item, body: bytes) -> Settlement:
        try:
            receipt: Receipt = await self._client.submit(body, item.key)
        except ChequrError as error:
            return await self._refused(item, error)
        self._lift_hold()
        self._accepted_at = time.monotonic()
        return Accept(item.id, receipt.id, receipt.created_at, receipt.request_id)

    async def _refused(self, item: Item, error: ChequrError) -> Settlement:
        answer = _answer(error)
        verdict = judge(error)
        if verdict == "hold":
            self._set_hold(answer)
            return Release(item.id)
        if verdict != "defer":  # the API judged the item, so it took the token; no answer proves nothing
            self._lift_hold()
        if verdict == "look_up":
            return await self._look_up(item, answer)
        if verdict == "reject":
            return Reject(item.id, answer)
        return self._defer(item, answer, getattr(error, "retry_after", None))

    def _defer(self, item: Item, answer: Answer, asked: float | None) -> Defer:
        wait = max(backoff(item.attempts, chance=random.random()), asked or 0.0)  # noqa: S311 jitter is no secret
        return Defer(item.id, answer, time.time() + wait)

    async def _look_up(self, item: Item, answer: Answer) -> Settlement:
        """A 409 may mean that the item was taken before: the control's evidence says whether it was."""
        try:
            control = await self._client.perform(endpoints.retrieve_control(item.control_id))
        except ChequrError:
            return self._defer(item, answer, None)
        for seen in control.evidence:
            if self._is_ours(seen, item):
                self._accepted_at = time.monotonic()
                return Accept(item.id, seen.id, None, answer.request_id)
        return Reject(item.id, answer)

    def _is_ours(self, seen: EvidenceItem, item: Item) -> bool:
        """Parts of one snapshot look alike at the control: one that has a receipt already is not this one."""
        same = seen.source == item.source and seen.collected_at == datetime.fromisoformat(item.collected_at)
        return same and not self._ledger.has(seen.id)

    # ── settling ──

    async def _settled(self, item: Item, settlement: Settlement, started: float) -> None:
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._settlements.put((item, settlement, committed))
        await committed
        _tell(item, settlement, time.monotonic() - started)
        self._observe(item, settlement)

    async def _settle(self) -> None:
        """Commits settlements, as many at once as are there, off the event loop."""
        while True:
            batch = [await self._settlements.get()]
            while not self._settlements.empty() and len(batch) < _BATCH:
                batch.append(self._settlements.get_nowait())
            settlements = [settlement for _, settlement, _ in batch]
            try:
                await asyncio.to_thread(self._outbox.settle, settlements, now=time.time())
            except Exception as error:  # whoever waits for this commit gets to know
                for _, _, committed in batch:
                    committed.set_exception(error)
            else:
                for _, _, committed in batch:
                    committed.set_result(None)

    # ── holding ──

    def _set_hold(self, answer: Answer) -> None:
        self._probe_at = time.monotonic() + self._probe_gap
        self._probe_gap = min(self._probe_gap * 2, _LONGEST_PROBE)
        if self._hold is None:
            self._hold = Hold(answer.status, answer.reason, time.time())
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


def _answer(error: ChequrError) -> Answer:
    if isinstance(error, ApiError):
        return Answer(error.status, error.code or None, str(error), error.request_id)
    return Answer(getattr(error, "status", None), None, str(error), getattr(error, "request_id", None))


def _tell(item: Item, settlement: Settlement, seconds: float) -> None:
    """The canonical line of one submission."""
    told = {
        "item": item.id,
        "evidence_type": item.evidence_type,
        "control_id": item.control_id,
        "part": f"{item.part}/{item.parts}",
        "bytes": item.size,
        "attempt": item.attempts,
        "seconds": round(seconds, 3),
    }
    match settlement:
        case Accept(_, evidence_id, _, request_id):
            log.info("evidence.accepted", **told, evidence_id=evidence_id, request_id=request_id)
        case Defer(_, answer, due):
            wait = round(due - time.time(), 1)
            log.warning("evidence.deferred", **told, wait=wait, status=answer.status, reason=answer.reason)
        case Reject(_, answer):
            log.error("evidence.rejected", **told, status=answer.status, code=answer.code, reason=answer.reason)
        case Release():
            log.debug("evidence.released", **told)
