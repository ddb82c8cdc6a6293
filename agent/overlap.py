"""How runs of one collector stand to each other: what one leaves to another that is wanted meanwhile. Pure.

Runs are told by the evidence types that they read; None are all of a collector, `()` is no run at all.
"""

from collections.abc import Sequence
from typing import Any, Literal

from collectors.contract import EvidenceType

Kinds = Sequence[EvidenceType[Any]]

Ending = Literal["over", "failed", "put off"]
"""What became of a run that was wanted: it read what it could, it broke and would again, or it could not be as yet."""


def rest(wanted: Kinds | None, under_way: Kinds | None) -> Kinds | None:
    """What is still to be read behind the run under way. A run of all types is only in the place of itself."""
    if under_way is None:
        return ()
    if wanted is None:
        return None
    return tuple(kind for kind in wanted if kind not in under_way)


def together(one: Kinds | None, other: Kinds | None) -> Kinds | None:
    """One run that reads what both do."""
    return None if one is None or other is None else tuple(dict.fromkeys((*one, *other)))
