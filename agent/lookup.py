"""Whether evidence is at its control already: asked where neither an answer nor its key can tell."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from agent import endpoints
from agent.arrival import LISTED, is_same
from agent.client import AsyncClient
from agent.errors import NotFound
from agent.items import Item, Kin
from agent.outbox import Outbox


@dataclass(frozen=True)
class Found:
    """It is there, under this id."""

    evidence_id: str


@dataclass(frozen=True)
class Absent:
    """It certainly is not."""


@dataclass(frozen=True)
class Untold:
    """What is there does not tell; `passes` where that is about to change by itself."""

    reason: str
    passes: bool


Finding = Found | Absent | Untold


async def look_up(item: Item, outbox: Outbox, client: AsyncClient, *, remembered: float) -> Finding:
    """Looks at the control of an item that may have arrived. Raises ChequrError.

    The API can be expected to remember keys that were first sent after `remembered`, in seconds since the epoch.
    """
    try:
        control = await client.perform(endpoints.retrieve_control(item.control_id))
    except NotFound as error:
        if error.code:  # in the API's own words: there is nothing at a control that is not there
            return Absent()
        raise
    collected_at = datetime.fromisoformat(item.collected_at)
    alike = [
        each for each in control.evidence if each.source == item.source and is_same(each.collected_at, collected_at)
    ]
    in_seconds = any(each.collected_at != collected_at for each in alike)
    listed = [each.id for each in control.evidence]
    kin = await asyncio.to_thread(outbox.kin, item, listed, in_seconds=in_seconds)
    return find(item, [each.id for each in alike], listed, kin, remembered=remembered)


def find(item: Item, alike: Sequence[str], listed: Sequence[str], kin: Kin, *, remembered: float) -> Finding:
    """What the evidence `listed` at a control says of an item; those `alike` have its source and instant.

    A control names no more of what it has, so the parts of one snapshot look alike there. Those with a receipt are
    known. Of the others there must be one for each item that may have arrived, or it may be another's.
    """
    strange = [evidence_id for evidence_id in alike if evidence_id not in kin.receipts]
    if not strange:
        sent = item.unsure_since or math.inf
        if len(listed) < LISTED or any(accepted < sent for accepted in kin.receipts.values()):
            return Absent()
        reason = (
            f"what {item.control_id} shows, its last {len(listed)} pieces of evidence, does not reach back far enough"
        )
        return Untold(f"{reason} to tell whether this one arrived", passes=False)
    if len(strange) >= len(kin.unsure):
        rank = sum(twin < item.id for twin in kin.unsure)
        return Found(strange[min(rank, len(strange) - 1)])
    reason = f"{item.control_id} has evidence that may be this or another part of the snapshot {item.snapshot_id}"
    others = (since for twin, since in kin.unsure.items() if twin != item.id)
    return Untold(reason, passes=any(since > remembered for since in others))
