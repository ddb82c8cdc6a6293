"""What is left of GraphQL's limit, as its own answers tell it, so that nothing is asked for which it does not suffice.

A limit that is run into is waited out as well, but who goes on asking then can be shut out for longer.
"""

import threading
from datetime import datetime
from typing import Any

from collectors.github.patience import Reply, server_clock

RATE_LIMIT = "rateLimit { cost remaining resetAt }"
LEAST_COST = 1
SLACK = 1.0  # seconds, since the reset is told in whole ones


class Budget:
    """The points that one identity has left until they are reset. Safe over threads. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._costs: dict[str, int] = {}
        self._left: int | None = None
        self._reset = 0.0

    def wait(self, operation: str, now: float) -> float:
        """The seconds until `operation` can be afforded, by what it cost before. 0 takes its cost off."""
        with self._lock:
            if self._left is None or now >= self._reset:
                self._left = None
                return 0.0
            cost = self._costs.get(operation, LEAST_COST)
            if cost > self._left:
                return self._reset - now
            self._left -= cost
            return 0.0

    def note(self, operation: str, reply: Reply, now: float, clock: float) -> None:
        """Learns from an answer; one without a limit, as of a server that sets none, tells nothing.

        `clock` is the local one in Unix seconds, for answers that do not tell the server's.
        """
        told = _told(reply)
        if told is None:
            return
        reset = now + datetime.fromisoformat(told["resetAt"]).timestamp() - server_clock(reply, clock) + SLACK
        with self._lock:
            self._costs[operation] = told["cost"]
            # Answers overtake one another: until the reset the least that was told holds.
            is_new = self._left is None or reset > self._reset + 2 * SLACK
            self._left = told["remaining"] if is_new else min(self._left or 0, told["remaining"])
            self._reset = reset if is_new else self._reset


def _told(reply: Reply) -> dict[str, Any] | None:
    data = reply.body.get("data") if isinstance(reply.body, dict) else None
    told = data.get("rateLimit") if isinstance(data, dict) else None
    return told if isinstance(told, dict) else None
