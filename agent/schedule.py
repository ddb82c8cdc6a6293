"""When a collector is due: words and cron expressions as APScheduler triggers. Pure; the clock is an argument."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

if TYPE_CHECKING:
    from agent.trigger import WallClock

WORDS = ("hourly", "daily", "weekly", "monthly", "quarterly", "annual")
_NIGHT = 6 * 60  # minutes after midnight in which daily and weekly runs start
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")  # cron's 0 to 6; APScheduler's 0 is Monday
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAY = f"[0-7]|{'|'.join(_DAYS)}"
_WEEKDAYS = re.compile(rf"(?:\*|(?P<first>{_DAY})(?:-(?P<last>{_DAY}))?)(?:/(?P<step>[1-7]))?")
_FIELDS = 5
_SHORTEST_MONTH = 28


class InvalidSchedule(ValueError):
    """Not a schedule: the message says why and what would be."""


def check_timezone(name: str) -> str:
    """The name itself. Raises InvalidSchedule."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidSchedule(f"no time zone is called {name!r}; names look like Europe/Berlin or UTC") from error
    return name


def trigger(name: str, schedule: str, timezone: str, *, host: str) -> "WallClock":
    """The trigger of the collector `name` on `host`. Raises InvalidSchedule.

    `daily` is a minute between midnight and six, and what is rarer such a minute of one day, that follow from the two
    names: a collector always starts at the same time, and collectors and agents do not all start at once.
    """
    from agent.trigger import WallClock

    draw = int.from_bytes(hashlib.sha256(f"{name}@{host}".encode()).digest()[:8])
    hour, minute = divmod(draw % _NIGHT, 60)
    zone = ZoneInfo(check_timezone(timezone))
    match schedule:
        case "hourly":
            return WallClock(zone, minute=minute)
        case "daily":
            return WallClock(zone, hour=hour, minute=minute)
        case "weekly":
            return WallClock(zone, day_of_week=draw // _NIGHT % 7, hour=hour, minute=minute)
        case "monthly" | "quarterly" | "annual":
            months = {"monthly": "*", "quarterly": "1,4,7,10", "annual": "1"}[schedule]
            return WallClock(zone, month=months, day=draw // _NIGHT % _SHORTEST_MONTH + 1, hour=hour, minute=minute)
    return _cron(schedule, zone)


def _cron(schedule: str, zone: ZoneInfo) -> "WallClock":
    from agent.trigger import WallClock

    fields = schedule.split()
    if len(fields) != _FIELDS:
        raise InvalidSchedule(f"{schedule!r} is neither {', '.join(WORDS)} nor a cron expression of five fields")
    minute, hour, day, month, weekday = fields
    if day != "*" and weekday != "*":
        raise InvalidSchedule(
            f"{schedule!r} restricts both the day of the month and the day of the week; use one of them"
        )
    try:
        _check_cron(minute, hour, day)  # APScheduler has words of its own, and passes over what follows a name
        days = _weekdays(weekday)
        due = WallClock(zone, minute=minute, hour=hour, day=day, month=_months(month), day_of_week=days)
    except ValueError as error:
        raise InvalidSchedule(f"{schedule!r} is no cron expression: {error}") from error
    if due.get_next_fire_time(None, datetime(2024, 1, 1, tzinfo=UTC)) is None:
        raise InvalidSchedule(f"{schedule!r} never comes")
    return due


def _check_cron(*fields: str) -> None:
    for field in fields:
        if not re.fullmatch(r"[\d*,/-]+", field):
            raise ValueError(f"{field!r} is not made of numbers, * , - and /")


def _months(field: str) -> str:
    """Names as numbers. Raises ValueError."""
    names = {name: str(number) for number, name in enumerate(_MONTHS, 1)}
    numbers = re.sub("[a-z]+", lambda found: names.get(found[0], found[0]), field.lower())
    _check_cron(numbers)
    return numbers


def _weekdays(field: str) -> str:
    """Cron's days of the week as a list of names, which mean the same to APScheduler. Raises ValueError."""
    if field == "*":
        return field
    wanted = {day for part in field.lower().split(",") for day in _days(part)}
    return ",".join(name for number, name in enumerate(_DAYS) if number in wanted)


def _days(part: str) -> set[int]:
    """`1-5`, `mon-fri`, `*/2`, `7`, and ranges over the end of the week such as `fri-mon`."""
    form = _WEEKDAYS.fullmatch(part)
    if form is None:
        raise ValueError(f"{part!r} is no day of the week: 0 to 7, sun to sat, ranges of them, and steps")
    step = int(form["step"] or 1)
    if form["first"] is None:
        return set(range(0, 7, step))
    first = _day(form["first"])
    last = _day(form["last"]) if form["last"] else 6 if form["step"] else first
    return {day % 7 for day in range(first, last + 1 if last >= first else last + 8, step)}


def _day(name: str) -> int:
    return int(name) if name.isdecimal() else _DAYS.index(name)


def is_missed(due: "WallClock", last_started: datetime | None, now: datetime) -> bool:
    """Whether a run should have started since the last one. What never ran is due at once."""
    if last_started is None:
        return True
    following = due.get_next_fire_time(None, last_started + timedelta(microseconds=1))
    return following is not None and following <= now


def next_start(due: "WallClock", now: datetime) -> datetime | None:
    return due.get_next_fire_time(None, now)
