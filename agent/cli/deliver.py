"""Delivering once, from a command: by this process, or by the agent that is at it already."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from agent import connect
from agent.config import Loaded
from agent.deliver import Outcome
from agent.exit import Exit
from agent.items import Accept, Item, Lose, Settlement
from agent.lock import Locked, lock
from agent.outbox import Outbox, UnknownItem
from agent.store import Store

_LOOK = 0.2  # seconds between looks at what another process delivers


@dataclass(frozen=True)
class Delivery:
    """What a delivery came to: `accepted` by it, still `owed`, and `rejected` in all."""

    outcome: Outcome
    accepted: int
    owed: int
    rejected: int
    exit: Exit
    sentence: str

    @classmethod
    def none(cls) -> Self:
        return cls("delivered", 0, 0, 0, Exit.WELL, "Nothing was delivered, as wished: `chequr-agent deliver` does it.")


def delivered(
    loaded: Loaded,
    store: Store,
    items: Sequence[int] | None = None,
    *,
    patience: float,
    watch: Callable[[Item, Settlement], None] | None = None,
) -> Delivery:
    """Delivers all that is owed; or, where another process is at it, waits until it has delivered `items`.

    `watch` is told what became of each item.
    """
    outbox = Outbox(store)
    settled: Counter[type] = Counter()
    before = outbox.count("rejected")
    try:
        with lock(store.directory, "deliver"):
            is_owed = outbox.next_due() is not None or outbox.count("in_flight")
            outcome = asyncio.run(_drain(loaded, store, patience, settled, watch)) if is_owed else "delivered"
        owed, accepted = outbox.owed(), settled[Accept]
    except Locked:
        outcome = _wait(store, items, patience)
        owed, accepted = _owed(outbox, items), _accepted(outbox, items)
    rejected = outbox.count("rejected")
    ours = {_state(outbox, item) for item in items or ()}
    undelivered = owed or settled[Lose] or rejected > before or ours & {"rejected", "lost"}
    code = Exit.REFUSED if outcome == "held" else Exit.UNDELIVERED if undelivered else Exit.WELL
    sentence = _sentence(outbox, outcome, accepted, owed, rejected)
    return Delivery(outcome, accepted, owed, rejected, code, sentence)


async def _drain(
    loaded: Loaded,
    store: Store,
    patience: float,
    settled: Counter[type],
    watch: Callable[[Item, Settlement], None] | None,
) -> Outcome:
    from agent.cli.output import span, warn

    def observe(item: Item, settlement: Settlement) -> None:
        settled[type(settlement)] += 1
        if watch:
            watch(item, settlement)

    def stop() -> None:
        longest = span(loaded.config.chequr.timeout.total_seconds())
        warn(f"stopping; what is under way gets its answer first, which takes {longest} at most")
        deliverer.stop()

    deliverer, client = connect.deliverer(loaded, store, connect.token(loaded), observe)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    async with client:
        return await deliverer.drain(patience=patience)


def _wait(store: Store, items: Sequence[int] | None, patience: float) -> Outcome:
    outbox = Outbox(store)
    owed, since = _owed(outbox, items), time.monotonic()
    while owed and time.monotonic() - since <= patience:
        time.sleep(_LOOK)
        left = _owed(outbox, items)
        if left < owed:
            owed, since = left, time.monotonic()
    if not owed:
        return "delivered"
    return "held" if outbox.hold() else "unfinished"


def _owed(outbox: Outbox, items: Sequence[int] | None) -> int:
    if items is None:
        return outbox.owed()
    return sum(_state(outbox, item) in ("pending", "in_flight", "deferred") for item in items)


def _accepted(outbox: Outbox, items: Sequence[int] | None) -> int:
    return sum(_state(outbox, item) == "accepted" for item in items or ())


def _state(outbox: Outbox, item_id: int) -> str:
    try:
        return outbox.item(item_id).state
    except UnknownItem:
        return "lost" if outbox.is_lost(item_id) else "accepted"


def _sentence(outbox: Outbox, outcome: Outcome, accepted: int, owed: int, rejected: int) -> str:
    from agent.cli.output import count
    from agent.states import about_hold

    told = [f"{count(accepted, 'item')} accepted."]
    hold = outbox.hold()
    if outcome == "held" and hold:
        told.append(f"{count(owed, 'item')} held: {hold.reason}.")
        told.append(f"{about_hold(hold)} Then run `chequr-agent deliver`, or leave it to `chequr-agent run`.")
    elif owed:
        why = next((item.reason for item in outbox.items(["deferred"], limit=1)), None)
        told.append(f"{count(owed, 'item')} still owed and safe in the outbox{f': {why}' if why else ''}.")
        told.append("Run `chequr-agent deliver` again, or leave it to `chequr-agent run`.")
    if rejected:
        told.append(f"{count(rejected, 'item')} rejected: `chequr-agent outbox list --state rejected` says why.")
    losses = outbox.losses()
    if losses:
        told.append(
            f"{count(sum(loss.items for loss in losses), 'item')} lost: `chequr-agent outbox losses` says which."
        )
    return " ".join(told)
