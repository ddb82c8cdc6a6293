"""Whether the service lives, and how it stands: for its manager, and for those who ask."""

import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import suppress

import structlog

from agent.outbox import Outbox
from agent.store import StateUnusable, Store
from agent.systemd import ServiceManager

log = structlog.get_logger()

_BEAT = 2.0  # seconds between signs of life of the scheduler, at most a sixth of the watchdog
_TOLD = 5.0  # seconds between what the manager is told, at most a third of its watchdog
_STUCK = 60.0  # seconds without a sign of life after which something is stuck, where no watchdog says otherwise
_LAST = 15.0  # seconds more that an end under way asks for, again and again
_LONGEST_END = 300.0  # seconds after which it asks no more


class Vitals:
    """Signs of life of the scheduler, which beats, and of the deliverer, whose last turn `turned_at` tells."""

    def __init__(self, store: Store, manager: ServiceManager, turned_at: Callable[[], float]) -> None:
        self._store = store
        self._manager = manager
        self._turned_at = turned_at
        self._beat_at = self._restarted_at = time.monotonic()
        self._is_ending = False

    @property
    def pulse(self) -> float:
        """Seconds from one beat to the next."""
        return min(_BEAT, (self._manager.watchdog or _STUCK) / 6)

    async def beat(self) -> None:
        """The scheduler turns."""
        self._beat_at = time.monotonic()

    def restarted(self) -> None:
        """The deliverer begins anew, as after a failure."""
        self._restarted_at = time.monotonic()

    def ending(self) -> None:
        self._is_ending = True

    def stuck(self, *, within: float = _STUCK) -> list[str]:
        """What gave no sign of life for so many seconds."""
        now = time.monotonic()
        delivered = max(self._restarted_at, self._turned_at(), self._store.mending_at)  # which it waits for
        beats = {"the scheduler": self._beat_at, "the deliverer": delivered}
        return [f"{part} is stuck" for part, at in beats.items() if now - at > within]

    def unready(self) -> list[str]:
        """Why evidence is not being delivered now."""
        hold = Outbox(self._store).hold()
        held = [f"held: {hold.reason}"] if hold else []
        return self.stuck() + held + (["it is ending"] if self._is_ending else [])

    async def tell(self, stopping: asyncio.Event, collecting: Collection[str]) -> None:
        """Tells the manager how the service stands, and that it lives while it does, until this is cancelled.

        `collecting` are the collectors whose runs are under way.
        """
        watchdog, ending = self._manager.watchdog, 0.0
        pause = min(_TOLD, (watchdog or _TOLD * 3) / 3)
        while self._manager.listens:
            if stopping.is_set():
                ending += pause
                if ending <= _LONGEST_END:
                    self._manager.stopping("Ending what is under way.", within=_LAST)
                await asyncio.sleep(pause)
                continue
            if stuck := self.stuck(within=(watchdog or _STUCK) / 2):
                log.error("agent.stuck", parts=stuck, remedy="the service manager's watchdog ends it")
            elif self._store.mending_at:
                self._manager.alive("Mending the database.")
            else:
                self._manager.alive(await asyncio.to_thread(self._standing, sorted(collecting)))
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause)

    def _standing(self, collecting: Collection[str]) -> str:
        """In one line for people: what is owed, what is under way, and what keeps it."""
        outbox = Outbox(self._store)
        try:
            hold, owed = outbox.hold(), outbox.owed()
        except StateUnusable as error:  # as while another program locks it: no reason to be killed
            return f"{error}."
        told = f"Held: {hold.reason}." if hold else f"{owed} items owed." if owed else "Nothing is owed."
        return f"{told} Collecting {', '.join(collecting)}." if collecting else told
