"""The rate limit: one token bucket a key, refilled at its rate, holding two seconds' worth.

`X-RateLimit-Limit` is the rate; `-Remaining` counts the requests that would pass now, so after a rest it is up
to twice the limit; `-Reset` is when the bucket is full again. A request that is refused costs nothing.
"""

import math
import time
from collections.abc import Callable

PRODUCTION = 100.0
SANDBOX = 10.0
BURST = 2


class Bucket:
    """A token bucket of `rate` requests a second."""

    def __init__(self, rate: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._size = max(BURST * rate, 1.0)
        self._level = self._size
        self._monotonic = monotonic
        self._filled = monotonic()

    def take(self) -> float:
        """Takes a token: 0, or the seconds until there will be one."""
        self._fill()
        if self._level < 1:
            return (1 - self._level) / self.rate
        self._level -= 1
        return 0.0

    def headers(self, now: float) -> dict[str, str]:
        """`now` is the wall clock's, in seconds since the epoch."""
        self._fill()
        full = now + (self._size - self._level) / self.rate
        return {
            "x-ratelimit-limit": f"{self.rate:.10g}",
            "x-ratelimit-remaining": str(int(self._level)),
            "x-ratelimit-reset": f"{full:.3f}",
        }

    def _fill(self) -> None:
        now = self._monotonic()
        self._level = min(self._size, self._level + (now - self._filled) * self.rate)
        self._filled = now


def fractional(seconds: float) -> str:
    """Seconds for Retry-After, to the millisecond, never early."""
    return f"{math.ceil(seconds * 1000) / 1000:.3f}"
