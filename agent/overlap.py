"""What a run of a collector leaves to another one that is wanted meanwhile. Pure.

Runs are told by the evidence types that they read; `None` are all of a collector, `()` is no run at all.
"""

from collections.abc import Sequence
from typing import Any

from collectors.contract import EvidenceType

Kinds = Sequence[EvidenceType[Any]] | None


def rest(wanted: Kinds, under_way: Kinds) -> Kinds:
    """What is still to be read behind the run under way. A run of all types is only in the place of itself."""
    if under_way is None:
        return ()
    if wanted is None:
        return None
    return tuple(kind for kind in wanted if kind not in under_way)


def together(one: Kinds, other: Kinds) -> Kinds:
    """One run that reads what both do."""
    return None if one is None or other is None else tuple(dict.fromkeys((*one, *other)))
