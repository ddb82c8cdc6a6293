"""How often a control wants its evidence, by the words of its test policy."""

from datetime import timedelta
from typing import Literal

Freshness = Literal["fresh", "due", "stale"]

_LENGTHS = {
    "hourly": timedelta(hours=1),
    "daily": timedelta(days=1),
    "weekly": timedelta(weeks=1),
    "monthly": timedelta(days=31),
    "quarterly": timedelta(days=92),
    "annual": timedelta(days=366),
    "annually": timedelta(days=366),
    "yearly": timedelta(days=366),
}
_PATIENCE = 1.5  # cadences until evidence is stale


def length(word: str | None) -> timedelta | None:
    """The longest that a cadence lasts; None where the word is not known."""
    return _LENGTHS.get(word.strip().lower()) if word else None


def freshness(age: timedelta, cadence: timedelta) -> Freshness:
    """`due` where it is older than the cadence, `stale` from one and a half of it on."""
    if age <= cadence:
        return "fresh"
    return "due" if age <= cadence * _PATIENCE else "stale"
