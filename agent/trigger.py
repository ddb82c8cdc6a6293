"""Cron by the clock on the wall of a time zone.

APScheduler's own trigger adds days in UTC: after a clock change it lands an hour into the next day, and the first
hour's run of that day is lost. Here it works on the wall's time, which has no changes, and each start is then placed
in the time zone: a time that the clock skips comes as much later, and of one that comes twice the first counts.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger

_CHANGE = timedelta(hours=2)  # no clock changes by more at once
_NEXT = timedelta(microseconds=1)


class WallClock(CronTrigger):  # type: ignore[misc]  # the library has no types
    """Fires when the wall clock of `zone` shows what the cron fields say."""

    def __init__(self, zone: ZoneInfo, **fields: Any) -> None:
        super().__init__(timezone=UTC, **fields)
        self._zone = zone

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime | None:
        """The first start from `now` on, or after `previous` where that is earlier; None where there is none."""
        since = min(now, previous + _NEXT) if previous else now
        wall = since.astimezone(self._zone).replace(tzinfo=UTC) - _CHANGE
        while (shown := super().get_next_fire_time(None, wall)) is not None:
            start: datetime = shown.replace(tzinfo=self._zone).astimezone(UTC)
            if start >= since:
                return start.astimezone(self._zone)
            wall = shown + _NEXT
        return None
