"""When to ask again, and how much of Okta's rate limit to leave to the org's own users. Pure but for one lock."""

import math
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from collectors.okta.requests import Answer, Lost

LONGEST_WAIT = 90.0
SHARE_FOR_USERS = 0.5
_TRIES_WHEN_LIMITED = 5
_TRIES_WHEN_BROKEN = 3
_LIMITED = frozenset({429, 503})
_BROKEN = frozenset({500, 502, 504})
SILENT = _LIMITED | _BROKEN


def delay(answer: Answer | Lost, tries: int, now: float) -> float | None:
    """Seconds until the read is worth another try, or None where the answer stands.

    `tries` counts the ones made; `now` is the local time in seconds since 1970, for answers without a Date.
    """
    if isinstance(answer, Answer) and answer.status in _LIMITED:
        return _asked_wait(answer.headers, tries, now) if tries < _TRIES_WHEN_LIMITED else None
    if isinstance(answer, Lost) or answer.status in _BROKEN:
        return 0.5 * 2 ** (tries - 1) if tries < _TRIES_WHEN_BROKEN else None
    return None


def _asked_wait(headers: Mapping[str, str], tries: int, now: float) -> float:
    asked = _retry_after(headers, now)
    if asked is None:
        asked = until_reset(headers, now)
    seconds = 2.0 ** (tries - 1) if asked is None else asked
    return min(max(seconds, 1.0), LONGEST_WAIT)


def until_reset(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds until the limit is full again, by the server's own clock where it tells the time."""
    reset = _number(headers.get("X-Rate-Limit-Reset"))
    if reset is None:
        return None
    date = _date(headers.get("Date"))
    # Reset is cut to whole seconds: one more is surely behind it.
    return reset - (now if date is None else date.timestamp()) + 1


def stamp(headers: Mapping[str, str]) -> str:
    """When an answer was given, UTC, by the server's clock where it tells the time."""
    told = _date(headers.get("Date")) or datetime.now(UTC)
    return f"{told.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    value = headers.get("Retry-After")
    seconds = _number(value)
    if seconds is not None:
        return seconds
    date = _date(value)
    return None if date is None else date.timestamp() - now


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "nan")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _date(value: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(value) if value else None
    except ValueError:
        return None


@dataclass(frozen=True)
class _Window:
    remaining: int
    reserve: int
    ends: float


class Room:
    """What is left of each operation's limit, beyond the share that the org's own users keep. Safe over threads."""

    def __init__(self, share: float = SHARE_FOR_USERS) -> None:
        self._share = share
        self._windows: dict[str, _Window] = {}
        self._in_flight: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, operation: str, clock: float) -> float:
        """Seconds to wait before a call of `operation`, 0 where there is room; each take ends with a `give_back`.

        `clock` is monotonic.
        """
        with self._lock:
            window = self._windows.get(operation)
            others = self._in_flight[operation]
            self._in_flight[operation] += 1
            if window is None or clock >= window.ends or window.remaining - others > window.reserve:
                return 0.0
            return window.ends - clock

    def give_back(self, operation: str, headers: Mapping[str, str], now: float, clock: float) -> None:
        """Notes what an answer says of the limit. A limit of 0 speaks of concurrency, not of this operation."""
        limit, remaining = _number(headers.get("X-Rate-Limit-Limit")), _number(headers.get("X-Rate-Limit-Remaining"))
        reset = until_reset(headers, now)
        with self._lock:
            self._in_flight[operation] -= 1
            if limit and remaining is not None and reset is not None:
                self._windows[operation] = _Window(int(remaining), int(limit * self._share), clock + reset)
