"""How fast to send, and how long to wait: pure arithmetic, its clocks passed in.

Monotonic seconds are called `now` in `Pace`; an aware wall clock is needed only where the API speaks in dates.
Headers are looked up in lower case: httpx's own headers will do, and so will a dict with lower-case keys.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

TOO_MANY_REQUESTS = 429
LONGEST_WAIT = 3600.0  # seconds; a server that asks for more is asked again after an hour

_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)


def backoff(attempt: int, *, chance: float, base: float = 0.5, cap: float = 300.0) -> float:
    """Seconds to wait after the `attempt`-th failure in a row, counted from 1: full jitter, doubling from `base`.

    `chance` is drawn from [0, 1) by the caller.
    """
    return chance * min(cap, base * 2.0 ** min(attempt - 1, 60))


def retry_after(headers: Mapping[str, str], *, now: datetime, status: int | None = None) -> float | None:
    """Seconds, 0 to 3600, that an answer asks to wait; None where it does not say, or not so that it can be read.

    `Retry-After` may be an integer, a fraction, or a date. Dates are judged by the server's own clock where it is
    given, since ours may be wrong. A 429 without it is read from `X-RateLimit-Reset`.
    """
    wait = _seconds(headers.get("retry-after", ""), headers, now)
    if wait is None and status == TOO_MANY_REQUESTS:
        wait = _horizon(headers, now)
    return None if wait is None else min(max(wait, 0.0), LONGEST_WAIT)


def _seconds(text: str, headers: Mapping[str, str], now: datetime) -> float | None:
    number = _number(text)
    if number is not None:
        return number
    date = _date(text)
    return None if date is None else (date - _server_clock(headers, now)).total_seconds()


def _horizon(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds until the window resets, by the server's clock."""
    reset = _number(headers.get("x-ratelimit-reset", ""))
    return None if reset is None else reset - _server_clock(headers, now).timestamp()


def _server_clock(headers: Mapping[str, str], now: datetime) -> datetime:
    return _date(headers.get("date", "")) or now


def _number(text: str) -> float | None:
    number = float(text) if _NUMBER.fullmatch(text.strip()) else math.nan
    return number if math.isfinite(number) else None


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
        return date if date.tzinfo else date.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


class Pace:
    """A token bucket that learns its rate from the answers, so that agents sharing a key share its limit unknowingly.

    The server's bucket is the one thing that all agents on a key see, so what it has left steers them all:

        plenty (Remaining ≥ Limit)   nobody is short: send at `rate`
        less                         send at that share of `rate`, at least a fifth: many agents settle on equal shares
        Remaining ≥ 50 % of Limit    `rate` grows fast
        Remaining ≥ 25 %             `rate` grows slowly
        Remaining < 25 %             `rate` shrinks, before anybody is refused
        429                          `rate` is cut, at most once in half a second, and all wait as Retry-After says

    Adding a constant and taking away a share is what makes unequal rates converge. `rate` never exceeds Limit or
    `cap`, so an agent alone on a key never empties the bucket. Our own bucket holds a quarter of a second only: the
    server's burst is left to people and to other programs. All rates are requests a second.
    """

    START = 5.0  # until the first answer names the limit: half of what the smallest documented key may do
    DOCUMENTED = 100.0  # the ceiling where no answer ever names one
    FLOOR = 0.2

    def __init__(self, *, cap: float | None = None) -> None:
        self._cap = math.inf if cap is None else max(cap, self.FLOOR)
        self._limit: float | None = None
        self._window = 1.0
        self._window_holds_until = -math.inf
        self._left = 1.0
        self._learned_at = -math.inf
        self._cut_at = -math.inf
        self._next = -math.inf
        self.rate = min(self.START, self._cap)
        self.pause_until = -math.inf
        """Monotonic seconds. Who wakes from a wait that `reserve` named and finds this ahead waits for it, too."""

    @property
    def ceiling(self) -> float:
        """The most that the API's limit and our own cap allow, requests a second."""
        limit = self.DOCUMENTED if self._limit is None else self._limit / self._window
        return max(min(limit, self._cap), self.FLOOR)

    def reserve(self, now: float) -> float:
        """Takes the next free place, and returns the seconds to wait until it: the caller then sends."""
        interval = 1 / max(self.rate * min(max(self._left, 0.2), 1.0), self.FLOOR)
        start = max(self._next, now - max(0.25 - interval, 0.0), self.pause_until)
        self._next = start + interval
        return max(0.0, start - now)

    def learn(self, status: int, headers: Mapping[str, str], now: float, wall: datetime) -> None:
        """Takes in one answer, whatever its status."""
        self._measure(headers, now, wall)
        wait = retry_after(headers, now=wall, status=status)
        if wait is not None:
            self.pause_until = max(self.pause_until, now + wait)
        if status == TOO_MANY_REQUESTS:
            self._cut(now)
        else:
            self._steer(min(now - self._learned_at, 1.0))
        self._learned_at = now

    def _measure(self, headers: Mapping[str, str], now: float, wall: datetime) -> None:
        limit, remaining = (_number(headers.get(f"x-ratelimit-{name}", "")) for name in ("limit", "remaining"))
        if limit is None or limit <= 0:
            return
        known, self._limit = self._limit is not None, limit
        horizon = _window_ahead(headers, wall)
        if horizon >= self._window or now >= self._window_holds_until:
            self._window, self._window_holds_until = horizon, now + horizon
        if remaining is not None:
            self._left = remaining / limit * (self._window / horizon)
        self.rate = min(self.rate if known else max(self.rate, self.ceiling / 4), self.ceiling)

    def _cut(self, now: float) -> None:
        if now - self._cut_at >= 0.5:  # noqa: PLR2004 - answers already under way would tell the same again
            self._cut_at = now
            self.rate = max(self.rate * 0.7, self.FLOOR)

    def _steer(self, passed: float) -> None:
        if self._left < 0.25:  # noqa: PLR2004 - the table above
            self.rate = max(self.rate * (1 - 0.3 * passed), self.FLOOR)
        else:
            growth = 0.5 if self._left >= 0.5 else 0.05  # noqa: PLR2004 - the table above
            self.rate = min(self.rate + growth * self.ceiling * passed, self.ceiling)


def _window_ahead(headers: Mapping[str, str], wall: datetime) -> float:
    """Seconds that are left of the API's window, or a whole second, as is documented.

    A full bucket is two seconds away, and the `Date` header is cut to seconds: only a reset clearly farther off means
    a longer window. Beyond a minute and a half it means a wrong clock.
    """
    horizon = _horizon(headers, wall)
    return horizon if horizon is not None and 5 < horizon <= 90 else 1.0  # noqa: PLR2004 - said above
