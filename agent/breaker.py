"""When to stop knocking at a door that nobody opens: pure, its clock and chance passed in.

    closed ── `threshold` different items failed in a row ──► open: nothing is sent until the gap is over
      ▲                                                         │          ▲
      └── an answer that shows the API at work ── half-open: one at a time ┴─ failed: twice the gap

One bad item alone never opens it, however often it fails.
"""

import math


class Breaker:
    """Counts the different items that failed since the last success.

    `now` is in monotonic seconds, as are the gaps between probes, which double from `shortest` to `longest`.
    """

    def __init__(self, *, threshold: int = 5, shortest: float = 0.5, longest: float = 60.0) -> None:
        self._threshold = threshold
        self._shortest = shortest
        self._longest = longest
        self._gap = shortest
        self._failing: set[object] = set()
        self.is_open = False
        self.probe_at = -math.inf
        """When the next probe is due, while open; minus infinity until a probe failed since `open` or `probe_now`."""

    def allowed(self, now: float, limit: int) -> int:
        """How many requests may be under way, those that already are among them: `limit`, 1 or 0."""
        if not self.is_open:
            return limit
        return min(limit, 1) if now >= self.probe_at else 0

    def failed(self, item: object, now: float, chance: float) -> bool:
        """Takes in a failure of `item`, and returns whether it opened the breaker.

        `chance` is drawn from [0, 1] by the caller: the wait is between half of the gap and the whole.
        """
        self._failing.add(item)
        opens = not self.is_open and len(self._failing) >= self._threshold
        if opens or (self.is_open and now >= self.probe_at):  # what else was under way tells nothing new
            self.is_open = True
            self._failing.clear()
            self.probe_at = now + self._gap * (1 + chance) / 2
            self._gap = min(self._gap * 2, self._longest)
        return opens

    def succeeded(self) -> bool:
        """Takes in an answer that shows the API at work, and returns whether it closed the breaker."""
        closes, self.is_open = self.is_open, False
        self._failing.clear()
        self._gap = self._shortest
        return closes

    def open(self) -> None:
        """Opens it as it was found open by an earlier process; a probe is due at once."""
        self.is_open = True
        self.probe_now()

    def probe_now(self) -> None:
        """Makes a probe due at once, as after a new token."""
        self.probe_at = -math.inf
