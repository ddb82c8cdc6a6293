"""When a collector is due: words and cron expressions as APScheduler triggers. Pure; the clock is an argument."""

import hashlib
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

if TYPE_CHECKING:
    from apscheduler.triggers.cron import CronTrigger

WORDS = ("hourly", "daily", "weekly")
_NIGHT = 6 * 60  # minutes after midnight in which daily and weekly runs start
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")  # cron's 0 to 7; APScheduler's 0 is Monday
_FIELDS = 5


class InvalidSchedule(ValueError):
    """Not a schedule: the message says why and what would be."""


def check_timezone(name: str) -> str:
    """The name itself. Raises InvalidSchedule."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidSchedule(f"no time zone is called {name!r}; names look like Europe/Berlin or UTC") from error
    return name


def trigger(name: str, schedule: str, timezone: str, *, host: str) -> "CronTrigger":
    """The trigger of the collector `name` on `host`. Raises InvalidSchedule.

    `daily` is a minute between midnight and six, and `weekly` such a minute of one day, that follow from the two
    names: a collector always starts at the same time, and collectors and agents do not all start at once.
    """
    from apscheduler.triggers.cron import CronTrigger

    draw = int.from_bytes(hashlib.sha256(f"{name}@{host}".encode()).digest()[:8])
    hour, minute = divmod(draw % _NIGHT, 60)
    zone = ZoneInfo(check_timezone(timezone))
    match schedule:
        case "hourly":
            return CronTrigger(minute=minute, timezone=zone)
        case "daily":
            return CronTrigger(hour=hour, minute=minute, timezone=zone)
        case "weekly":
            return CronTrigger(day_of_week=draw // _NIGHT % 7, hour=hour, minute=minute, timezone=zone)
    return _cron(schedule, zone)


def _cron(schedule: str, zone: ZoneInfo) -> "CronTrigger":
    from apscheduler.triggers.cron import CronTrigger

    fields = schedule.split()
    if len(fields) != _FIELDS:
        raise InvalidSchedule(f"{schedule!r} is neither {', '.join(WORDS)} nor a cron expression of five fields")
    minute, hour, day, month, weekday = fields
    if day != "*" and weekday != "*":
        raise InvalidSchedule(
            f"{schedule!r} restricts both the day of the month and the day of the week; use one of them"
        )
    try:
        return CronTrigger(
            minute=minute, hour=hour, day=day, month=month, day_of_week=_weekdays(weekday), timezone=zone
        )
    except ValueError as error:
        raise InvalidSchedule(f"{schedule!r} is no cron expression: {error}") from error


def _weekdays(field: str) -> str:
    """Cron's numbers as names; a `/step` is a count and stays a number."""
    return re.sub(r"(?<![/\d])[0-7](?!\d)", lambda match: _DAYS[int(match[0])], field.lower())


def is_missed(due: "CronTrigger", last_started: datetime | None, now: datetime) -> bool:
    """Whether a run should have started since the last one. What never ran is due at once."""
    if last_started is None:
        return True
    following = due.get_next_fire_time(None, last_started + timedelta(microseconds=1))
    return following is not None and following <= now


def next_start(due: "CronTrigger", now: datetime) -> datetime | None:
    following: datetime | None = due.get_next_fire_time(None, now)
    return following
