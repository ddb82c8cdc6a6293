"""Cron by the clock on the wall of a time zone.

APScheduler's own trigger adds days in UTC: after a clock change it lands an hour into the next day, and the first
hour's run of that day is lost. Here it works on the wall's time, which has no changes, and each start is then placed
in the time zone: a time that the clock skips comes as much later. Of one that comes twice the first counts, but where
the start is in any hour: there the hour that comes twice has its starts twice.
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
        self._is_hourly = fields.get("hour", "*") == "*"

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime | None:
        """The first start from `now` on, or after `previous` where that is earlier; None where there is none."""
        since = min(now, previous.astimezone(UTC) + _NEXT) if previous else now  # in UTC: a sum forgets the fold
        start = self._first(since)
        return start.astimezone(self._zone) if start else None

    def _first(self, since: datetime) -> datetime | None:
        """In UTC."""
        wall = since.astimezone(self._zone).replace(tzinfo=UTC, fold=0) - _CHANGE
        repeated: datetime | None = None
        while (shown := super().get_next_fire_time(None, wall)) is not None:
            start, again = (self._placed(shown, fold) for fold in (0, 1))
            if start >= since:
                return min(start, repeated or start)
            if self._is_hourly and repeated is None and again >= since:
                repeated = again
            wall = shown + _NEXT
        return repeated

    def _placed(self, shown: datetime, fold: int) -> datetime:
        return shown.replace(tzinfo=self._zone, fold=fold).astimezone(UTC)
