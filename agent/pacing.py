"""How fast to send, and how long to wait: pure arithmetic, its clocks passed in.

Monotonic seconds are called `now` in `Pace`; an aware wall clock is needed only where the API speaks in dates.
Headers are looked up in lower case: httpx's own headers will do, and so will a dict with lower-case keys.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
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


class Places:
    """Places in time, one after the other. What nobody took is saved up for a quarter of a second, and no longer."""

    def __init__(self) -> None:
        self.next = -math.inf

    def take(self, now: float, rate: float, *, earliest: float = -math.inf) -> float:
        """Takes the next free place, and returns the seconds until it; the one after it is 1/`rate` later."""
        interval = 1 / rate
        start = max(self.next, now - max(0.25 - interval, 0.0), earliest)
        self.next = start + interval
        return max(0.0, start - now)


@dataclass
class Learned:
    """What is known of a key's limit, and how it is used: floats only. Moments are monotonic seconds."""

    rate: float
    limit: float = 0.0  # as the API names it; 0 until it does
    window: float = 1.0  # the seconds that the limit is for
    window_holds_until: float = -math.inf
    left: float = 1.0  # Remaining as a share of the limit
    learned_at: float = -math.inf
    cut_at: float = -math.inf
    pause_until: float = -math.inf
    next_place: float = -math.inf


class Pace:
    """A token bucket that learns its rate from the answers, so that agents sharing a key share its limit unknowingly.

    The server's bucket is the one thing that all agents on a key see, so what it has left steers them all:

        nearly full (> 150 % of Limit)  send a tenth faster than `rate`: that makes up for a slow start
        plenty (Remaining ≥ Limit)      nobody is short: send at `rate`
        less                            send at that share of `rate`, at least a fifth: many settle on equal shares
        Remaining ≥ 50 % of Limit       `rate` grows fast
        Remaining ≥ 25 %                `rate` grows slowly
        Remaining < 25 %                `rate` shrinks, before anybody is refused
        429                             `rate` is cut, at most once in half a second, and all wait as Retry-After says

    Adding a constant and taking away a share is what makes unequal rates converge. `rate` never exceeds Limit, and
    nothing exceeds `cap`, so an agent alone on a key leaves three quarters of the server's burst to people and to
    other programs. All rates are requests a second.
    """

    START = 5.0  # until the first answer names the limit: half of what the smallest documented key may do
    DOCUMENTED = 100.0  # the ceiling where no answer ever names one
    FLOOR = 0.2

    def __init__(self, *, cap: float | None = None) -> None:
        self._cap = math.inf if cap is None else max(cap, self.FLOOR)
        self.learned = Learned(min(self.START, self._cap))

    @property
    def rate(self) -> float:
        return self.learned.rate

    @property
    def pause_until(self) -> float:
        """Monotonic seconds. Who wakes from a wait that `reserve` named and finds this ahead waits for it, too."""
        return self.learned.pause_until

    @property
    def ceiling(self) -> float:
        """The most that the API's limit and our own cap allow, requests a second."""
        limit = self.learned.limit / self.learned.window if self.learned.limit else self.DOCUMENTED
        return max(min(limit, self._cap), self.FLOOR)

    def reserve(self, now: float) -> float:
        """Takes the next free place, and returns the seconds to wait until it: the caller then sends."""
        places = Places()
        places.next = self.learned.next_place
        speed = min(max(self.rate * _share(self.learned.left), self.FLOOR), self._cap)
        wait = places.take(now, speed, earliest=self.pause_until)
        self.learned.next_place = places.next
        return wait

    def learn(self, status: int, headers: Mapping[str, str], now: float, wall: datetime) -> None:
        """Takes in one answer, whatever its status."""
        self._measure(headers, now, wall)
        wait = retry_after(headers, now=wall, status=status)
        if wait is not None:
            self.learned.pause_until = max(self.pause_until, now + wait)
        if status == TOO_MANY_REQUESTS:
            self._cut(now)
        else:
            self._steer(min(max(now - self.learned.learned_at, 0.0), 1.0))
        self.learned.learned_at = max(now, self.learned.learned_at)

    def start_slowly(self, now: float) -> None:
        """Begins as with the first request, as after an outage: what is known of the limit stays."""
        self._set_rate(min(self.rate, self.START, self.ceiling / 4))
        self.learned.learned_at = now

    def _measure(self, headers: Mapping[str, str], now: float, wall: datetime) -> None:
        known = self.learned
        limit, remaining = (_number(headers.get(f"x-ratelimit-{name}", "")) for name in ("limit", "remaining"))
        if limit is None or limit <= 0:
            return
        is_first, known.limit = not known.limit, limit
        horizon = _window_ahead(headers, wall)
        if horizon >= known.window or now >= known.window_holds_until:
            known.window, known.window_holds_until = horizon, now + horizon
        if remaining is not None:
            known.left = remaining / limit * (known.window / horizon)
        if is_first:
            self._start(now)
        self._set_rate(self.rate)

    def _start(self, now: float) -> None:
        """With the first limit that is known, places that were given too far apart do not hold up those after them."""
        before = self.rate
        self._set_rate(max(before, self.ceiling / 4))
        self.learned.next_place = min(
            self.learned.next_place, now + (self.learned.next_place - now) * before / self.rate
        )

    def _cut(self, now: float) -> None:
        if now - self.learned.cut_at >= 0.5:  # noqa: PLR2004 - answers already under way would tell the same again
            self.learned.cut_at = now
            self._set_rate(self.rate * 0.7)

    def _steer(self, passed: float) -> None:
        left = self.learned.left
        if left < 0.25:  # noqa: PLR2004 - the table above
            self._set_rate(self.rate * (1 - 0.3 * passed))
        else:
            growth = 0.5 if left >= 0.5 else 0.05  # noqa: PLR2004 - the table above
            self._set_rate(self.rate + growth * self.ceiling * passed)

    def _set_rate(self, rate: float) -> None:
        self.learned.rate = max(min(rate, self.ceiling), self.FLOOR)


def _share(left: float) -> float:
    """How much of the rate is used, with so much left of the limit; the table above."""
    return 1.1 if left > 1.5 else min(max(left, 0.2), 1.0)  # noqa: PLR2004 - the table above


def _window_ahead(headers: Mapping[str, str], wall: datetime) -> float:
    """Seconds that are left of the API's window, or a whole second, as is documented.

    A full bucket is two seconds away, and the `Date` header is cut to seconds: only a reset clearly farther off means
    a longer window. Beyond a minute and a half it means a wrong clock.
    """
    horizon = _horizon(headers, wall)
    return horizon if horizon is not None and 5 < horizon <= 90 else 1.0  # noqa: PLR2004 - said above
