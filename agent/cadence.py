"""How often a control wants its evidence, by the word of its test policy; and when a collector's schedule is too rare.

A collector's schedule always reads all of its types: it is the default, and the least. A type that one of its controls
wants more often is read in between as well.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from agent.controls import ControlMap
from agent.schedule import WORDS
from collectors.contract import EvidenceType

if TYPE_CHECKING:
    from agent.trigger import WallClock

Freshness = Literal["fresh", "due", "stale"]

_LENGTHS = {
    "hourly": timedelta(hours=1),
    "daily": timedelta(days=1),
    "weekly": timedelta(weeks=1),
    "monthly": timedelta(days=31),
    "quarterly": timedelta(days=92),
    "annual": timedelta(days=366),
}
_ALSO = {"annually": "annual", "yearly": "annual", "every hour": "hourly", "every day": "daily", "every week": "weekly"}
_PATIENCE = 1.5  # cadences until evidence is stale
_EVER = datetime.max.replace(tzinfo=UTC)
_FIRINGS = 48  # of a schedule that are looked at: the longest time between two counts


def word(told: str | None) -> str | None:
    """A cadence in our own word, one of `agent.schedule`'s; None where it is not known."""
    plain = " ".join((told or "").lower().split())
    plain = _ALSO.get(plain, plain)
    return plain if plain in WORDS else None


def length(told: str | None) -> timedelta | None:
    """The longest that a cadence lasts; None where the word is not known."""
    known = word(told)
    return _LENGTHS[known] if known else None


def freshness(age: timedelta, cadence: timedelta) -> Freshness:
    """`due` where it is older than the cadence, `stale` from one and a half of it on."""
    if age <= cadence:
        return "fresh"
    return "due" if age <= cadence * _PATIENCE else "stale"


def more_often(
    types: Iterable[EvidenceType[Any]], controls: ControlMap, due: "WallClock", now: datetime
) -> Mapping[str, list[EvidenceType[Any]]]:
    """The types that a control wants more often than a schedule reads them, by our word for how often."""
    interval = _longest(due, now)
    found: dict[str, list[EvidenceType[Any]]] = defaultdict(list)
    for kind in types:
        words = {known for told in controls.cadences(kind.id) if (known := word(told))}
        shortest = min(words, key=_LENGTHS.__getitem__, default=None)
        if shortest and _LENGTHS[shortest] < interval:
            found[shortest].append(kind)
    return found


def _longest(due: "WallClock", now: datetime) -> timedelta:
    """The longest time between two of the next starts."""
    longest, last = timedelta(0), due.get_next_fire_time(None, now)
    for _ in range(_FIRINGS):
        following = due.get_next_fire_time(last, _EVER) if last else None
        if last is None or following is None:
            break
        longest, last = max(longest, following - last), following
    return longest
