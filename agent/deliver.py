"""Sends what the outbox owes, at the pace that the API allows, and writes down each answer.

Items are claimed, sent one after the other at that pace, and settled; a slot is free only once that is committed.
One deliverer per state directory: whoever runs one holds the lock `deliver`.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal

import structlog

from agent.client import AsyncClient
from agent.errors import TokenUnusable
from agent.gate import Gate
from agent.items import Accept, Claimed, Item, Release, Settlement
from agent.outbox import Outbox
from agent.pacing import Pace
from agent.settle import Settling, tell
from agent.submit import Limits, Submission
from agent.token import Token

log = structlog.get_logger()

Outcome = Literal["delivered", "unfinished", "held"]

_EARLY = 0.03  # seconds that a request may go before its place: to wake for each alone costs more than to send it
_IDLE = 0.2  # seconds between looks into an outbox that other processes may have put into
_TIDY = 2.0  # seconds without anything to do after which the state directory is looked after
_LOOK = 5.0  # seconds between looks at the token
_SHORTEST_PATIENCE = 1.0  # seconds that a first try has, however little patience there is
_VACUUMS = 50  # of what a delivery by hand gives back at its end


class Deliverer:
    """Delivers one outbox over one client, which uses `token`.

    `observe` is told of each settled item; `concurrency` bounds the requests under way at once.
    """

    def __init__(
        self,
        outbox: Outbox,
        client: AsyncClient,
        token: Token,
        pace: Pace,
        *,
        concurrency: int,
        limits: Limits | None = None,
        observe: Callable[[Item, Settlement], None] = lambda _item, _settlement: None,
    ) -> None:
        self._outbox = outbox
        self._token = token
        self._pace = pace
        self._concurrency = concurrency
        self._observe = observe
        self._gate = Gate(outbox, pace)
        self._submission = Submission(outbox, client, self._gate, self._turn, limits or Limits())
        self._settling = Settling(outbox)
        self._in_hand: deque[Claimed] = deque()  # claimed, and waiting for their place
        self._place: float | None = None  # the instant reserved for the next of them
        self._under_way: set[asyncio.Task[None]] = set()
        self._fingerprint: str | None = None
        self._look_at = 0.0
        self._busy_at = self._progress_at = time.monotonic()
        self.turned_at = time.monotonic()
        """When it last looked for something to do, in monotonic seconds: several times a second while it lives."""
        self._is_tidy = False
        self._stopping, self._woken = asyncio.Event(), asyncio.Event()
        self._wakes = True  # whether the end of a request is waited for
        self._failure: BaseException | None = None

    @property
    def rate(self) -> float:
        """Requests a second that it sends at most, as it has learned."""
        return self._pace.rate

    def stop(self) -> None:
        """Sends nothing more; what is under way gets its answer."""
        self._stopping.set()
        self._settling.hurry()
        self._woken.set()

    def probe(self) -> None:
        """Tries a held outbox at once, as after a token was renewed."""
        self._look_at = 0.0
        self._gate.probe_now()

    async def run(self) -> None:
        """Delivers until `stop`."""
        await self._deliver(patience=None)

    async def drain(self, *, patience: float) -> Outcome:
        """Delivers until nothing is owed, the token is refused, or nothing was accepted for `patience` seconds."""
        await self._deliver(patience=max(patience, _SHORTEST_PATIENCE))
        if await asyncio.to_thread(self._outbox.next_due) is not None:
            return "held" if self._gate.is_refused else "unfinished"
        for _ in range(_VACUUMS):
            if not await asyncio.to_thread(self._outbox.tidy):
                break
        return "delivered"

    async def _deliver(self, *, patience: float | None) -> None:
        await asyncio.to_thread(self._outbox.reclaim)
        self._gate.take_up()
        self._busy_at = self._progress_at = time.monotonic()
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
            self.turned_at = time.monotonic()
            await self._look_at_token()
            await self._claim()
            wait = self._send_next()
            if patience is not None and await self._is_drained(patience):
                return
            await self._look_after()
            await self._pause(wait)

    async def _is_drained(self, patience: float) -> bool:
        if self._gate.is_refused or time.monotonic() - self._progress_at > patience:
            return True
        return not self._is_busy() and await asyncio.to_thread(self._outbox.next_due) is None

    async def _look_at_token(self) -> None:
        """Takes up a token that was put in the place of the one before."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + _LOOK
        await asyncio.to_thread(self._token.look)
        before, self._fingerprint = self._fingerprint, _fingerprint(self._token)
        if self._fingerprint is None or self._fingerprint == before:
            return
        await asyncio.to_thread(self._outbox.see_token, self._fingerprint, now=time.time())
        self._gate.found_token()
        if before is not None:
            log.info("token.renewed", fingerprint=self._fingerprint, before=before)
            self._gate.probe_now()

    # ── what is sent next ──

    async def _claim(self) -> None:
        """Takes some items in hand; while the gate is shut, one now and then."""
        wanted = self._gate.allowed(self._concurrency)
        if len(self._in_hand) > wanted:
            await self._put_back()
        if self._in_hand or len(self._under_way) >= wanted:
            return
        now, token = time.time(), self._fingerprint
        self._in_hand.extend(await asyncio.to_thread(self._outbox.claim, wanted, now=now, token=token))

    async def _put_back(self) -> None:
        """What is in hand was not sent: it is pending as before."""
        releases = [Release(claimed.item.id, None, claimed.item.unsure_since) for claimed in self._in_hand]
        self._in_hand.clear()
        if releases:
            await asyncio.to_thread(self._outbox.settle, releases, now=time.time())

    def _send_next(self) -> float:
        """Starts what has its place and a slot; how many seconds until there may be more."""
        while self._in_hand and len(self._under_way) < self._gate.allowed(self._concurrency):
            now = time.monotonic()
            if self._place is None:
                self._place = now + self._pace.reserve(now)
            wait = max(self._place, self._pace.pause_until) - now
            if self._pace.pause_until > now or wait > _EARLY:
                return min(wait, _IDLE)
            self._place = None
            self._start(self._in_hand.popleft())
        return _IDLE

    async def _turn(self) -> bool:
        """Waits for a place beside those of the items in hand; False where nothing more is sent meanwhile."""
        place = time.monotonic() + self._pace.reserve(time.monotonic())
        while (wait := max(place, self._pace.pause_until) - time.monotonic()) > 0 and not self._stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)
        return not self._stopping.is_set() and self._gate.allowed(1) > 0

    def _start(self, claimed: Claimed) -> None:
        task = asyncio.create_task(self._send(claimed))
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and task.exception():
            self._failure = task.exception()
        if self._failure or self._wakes:
            self._woken.set()

    async def _pause(self, seconds: float) -> None:
        """Until a slot is free, the next place has come, the outbox may have something new, or the end is wanted."""
        self._wakes = len(self._under_way) >= self._gate.allowed(self._concurrency) or not self._in_hand
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()

    # ── one item, and none ──

    async def _send(self, claimed: Claimed) -> None:
        started = time.monotonic()
        settlement = await self._submission.submit(claimed, _fingerprint(self._token))
        await self._settling.commit(settlement, claimed.item.size)
        if isinstance(settlement, Accept):
            self._progress_at = time.monotonic()
        tell(claimed.item, settlement, time.monotonic() - started)
        self._observe(claimed.item, settlement)

    def _is_busy(self) -> bool:
        return bool(self._under_way or self._in_hand)

    async def _look_after(self) -> None:
        """Uses an idle moment: looks whether the outbox still knows of all that is in it, and gives back room."""
        now = time.monotonic()
        if self._is_busy():
            self._busy_at, self._is_tidy = now, False
        elif not self._is_tidy and now - self._busy_at > _TIDY:
            self._is_tidy = not await asyncio.to_thread(self._outbox.tidy)


def pacing_observer(pace: Pace) -> Callable[[int, Mapping[str, str]], None]:
    """What an AsyncClient tells of each answer, told to the pace."""
    return lambda status, headers: pace.learn(status, headers, time.monotonic(), datetime.now(UTC))


def _fingerprint(token: Token) -> str | None:
    try:
        return token.fingerprint
    except TokenUnusable:
        return None
