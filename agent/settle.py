"""Writing down what became of items: many in one transaction, and each in one line of the log."""

import asyncio
import time
from contextlib import suppress
from types import TracebackType

import structlog

from agent.items import Accept, Defer, Item, Lose, Reject, Release, Settlement
from agent.outbox import Outbox

log = structlog.get_logger()

_GATHERED = 0.1  # seconds that a commit waits for more: it costs as much for many as for one
_ENOUGH = 8  # settlements that are not kept waiting
_BATCH = 50  # settlements written in one transaction
_BYTES = 8_000_000  # of bodies that one deletes: all of them are overwritten, and so go through the log


class Settling:
    """Commits settlements to the outbox, as many at once as are there, off the event loop, while its context lasts."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._gathers, self._enough = True, asyncio.Event()
        self._waiting: asyncio.Queue[tuple[Settlement, int, asyncio.Future[None]]] = asyncio.Queue()

    async def __aenter__(self) -> None:
        self._work = asyncio.create_task(self._settle())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._work.cancel()
        await asyncio.gather(self._work, return_exceptions=True)

    def hurry(self) -> None:
        """Waits for no more: the end is wanted."""
        self._gathers = False
        self._enough.set()

    async def commit(self, settlement: Settlement, size: int) -> None:
        """Returns once it is durable. Raises what kept it from being so. `size` is the body's, in bytes."""
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._waiting.put((settlement, size, committed))
        if self._waiting.qsize() >= _ENOUGH:
            self._enough.set()
        await committed

    async def _gather(self) -> None:
        if self._gathers and self._waiting.qsize() < _ENOUGH:
            self._enough.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_GATHERED):
                    await self._enough.wait()

    async def _settle(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            await self._gather()
            while not self._waiting.empty() and len(batch) < _BATCH and sum(size for _, size, _ in batch) < _BYTES:
                batch.append(self._waiting.get_nowait())
            try:
                await asyncio.to_thread(self._outbox.settle, [one for one, _, _ in batch], now=time.time())
            except Exception as error:  # whoever waits for this commit gets to know
                for _, _, committed in batch:
                    committed.set_exception(error)
            else:
                for _, _, committed in batch:
                    committed.set_result(None)


def tell(item: Item, settlement: Settlement, seconds: float) -> None:
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
            wait = round(max(0.0, due - time.time()), 1)
            log.warning("evidence.deferred", **told, wait=wait, status=answer.status, reason=answer.reason)
        case Reject(_, answer):
            log.error("evidence.rejected", **told, status=answer.status, code=answer.code, reason=answer.reason)
        case Release():
            log.debug("evidence.released", **told)
        case Lose():  # told where it is taken out of the outbox
            pass
