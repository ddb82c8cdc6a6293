"""Time as the sandbox sees it: the machine's, shifted by a settable offset."""

import time
from datetime import UTC, datetime


class Clock:
    """Seconds since the epoch. `offset`, in seconds, makes a server whose clock is wrong, or days go by."""

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> float:
        return time.time() + self.offset

    def second(self) -> int:
        """What is stored and shown: whole seconds, so that a bound copied from an answer includes it."""
        return int(self.now())


def stamp(seconds: float) -> str:
    """As in the API reference: 2026-04-15T09:14:23Z."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def instant(text: str) -> float:
    """Seconds since the epoch of an ISO-8601 date, time and offset. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or "T" not in text:
        raise ValueError("not a date, T, a time and an offset")
    return moment.timestamp()
