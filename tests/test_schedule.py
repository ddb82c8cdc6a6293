"""When collectors are due."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.schedule import InvalidSchedule, check_timezone, is_missed, next_start, trigger

MONDAY = datetime(2026, 4, 13, tzinfo=UTC)
names = st.text("abcdefghijklmnopqrstuvwxyz-0123456789", min_size=1, max_size=20)
instants = st.integers(1_700_000_000, 1_900_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


def starts(schedule, since, number, zone="UTC"):
    """The first starts of a collector from `since` on."""
    due = trigger("aws", schedule, zone, host="host")
    found = []
    for _ in range(number):
        following = next_start(due, since)
        found.append(following)
        since = following + timedelta(seconds=1)
    return found


def weekdays(field):
    """The days of the week of one week, as cron numbers them."""
    return sorted({start.isoweekday() % 7 for start in starts(f"0 12 * * {field}", MONDAY, 14)})


@given(names, names)
def test_a_daily_run_is_at_a_stable_minute_of_the_night(name, host):
    """`daily` is a minute between midnight and six that follows from the collector's and the host's names."""
    first = next_start(trigger(name, "daily", "UTC", host=host), MONDAY)
    again = next_start(trigger(name, "daily", "UTC", host=host), first + timedelta(seconds=1))
    assert first.hour < 6
    assert again - first == timedelta(days=1)


@given(names, names)
def test_a_weekly_run_is_once_a_week_in_the_night(name, host):
    """`weekly` is one minute of one night of the week."""
    first = next_start(trigger(name, "weekly", "UTC", host=host), MONDAY)
    again = next_start(trigger(name, "weekly", "UTC", host=host), first + timedelta(seconds=1))
    assert first.hour < 6
    assert again - first == timedelta(days=7)


def test_an_hourly_run_is_at_the_same_minute_of_each_hour():
    """`hourly` is one minute of each hour."""
    first, second, third = starts("hourly", MONDAY, 3)
    assert second - first == third - second == timedelta(hours=1)


def test_collectors_and_hosts_do_not_all_start_together():
    """A hundred collectors of one host, and one collector of a hundred hosts, start at many different minutes."""
    by_name = {next_start(trigger(f"c{number}", "daily", "UTC", host="h"), MONDAY) for number in range(100)}
    by_host = {next_start(trigger("c", "daily", "UTC", host=f"h{number}"), MONDAY) for number in range(100)}
    assert len(by_name) > 60
    assert len(by_host) > 60


@pytest.mark.parametrize(
    ("field", "days"),
    [
        ("0", [0]),
        ("7", [0]),
        ("sun", [0]),
        ("1", [1]),
        ("MON", [1]),
        ("Mon-Fri", [1, 2, 3, 4, 5]),
        ("1-5", [1, 2, 3, 4, 5]),
        ("0-5", [0, 1, 2, 3, 4, 5]),
        ("5-7", [0, 5, 6]),
        ("0-7", [0, 1, 2, 3, 4, 5, 6]),
        ("fri-mon", [0, 1, 5, 6]),
        ("6,0", [0, 6]),
        ("sat,sun,3", [0, 3, 6]),
        ("*/2", [0, 2, 4, 6]),
        ("1-5/2", [1, 3, 5]),
        ("2/3", [2, 5]),
        ("*", [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_days_of_the_week_are_those_of_cron(field, days):
    """0 and 7 are Sunday; names, ranges, lists and steps mean what crontab(5) says."""
    assert weekdays(field) == days


@pytest.mark.parametrize(
    ("schedule", "since", "expected"),
    [
        ("30 2 * * *", "2026-04-13T02:30", "2026-04-13T02:30"),
        ("30 2 * * *", "2026-04-13T02:31", "2026-04-14T02:30"),
        ("*/15 * * * *", "2026-04-13T02:31", "2026-04-13T02:45"),
        ("5/15 * * * *", "2026-04-13T02:51", "2026-04-13T03:05"),
        ("0 0 1 * *", "2026-04-13T00:00", "2026-05-01T00:00"),
        ("0 6 1 jan,JUL *", "2026-04-13T00:00", "2026-07-01T06:00"),
        ("0 6 1 1-12/6 *", "2026-04-13T00:00", "2026-07-01T06:00"),
        ("0 0 29 2 *", "2026-04-13T00:00", "2028-02-29T00:00"),
    ],
)
def test_cron_expressions_mean_what_cron_says(schedule, since, expected):
    """Minutes, hours, days and months, with names, lists, ranges and steps."""
    start = starts(schedule, datetime.fromisoformat(since).replace(tzinfo=UTC), 1)[0]
    assert start.strftime("%Y-%m-%dT%H:%M") == expected


@pytest.mark.parametrize(
    ("schedule", "reason"),
    [
        ("", "neither hourly, daily, weekly, monthly, quarterly, annual nor a cron expression of five fields"),
        ("dayly", "neither hourly, daily, weekly, monthly, quarterly, annual nor"),
        ("@daily", "neither hourly, daily, weekly, monthly, quarterly, annual nor"),
        ("* * * *", "neither hourly, daily, weekly, monthly, quarterly, annual nor"),
        ("0 0 * * * *", "neither hourly, daily, weekly, monthly, quarterly, annual nor"),
        ("60 * * * *", "higher than the maximum value (59)"),
        ("0 24 * * *", "higher than the maximum value (23)"),
        ("0 0 0 * *", "is no cron expression"),
        ("0 0 * 13 *", "higher than the maximum value (12)"),
        ("0 0 * smarch *", "'smarch' is not made of numbers"),
        ("0 0 * jan#2 *", "'1#2' is not made of numbers"),
        ("0 0 * * 8", "'8' is no day of the week"),
        ("0 0 * * 1#2", "'1#2' is no day of the week"),
        ("0 0 * * mon,", "'' is no day of the week"),
        ("0 0 * * 1-", "'1-' is no day of the week"),
        ("0 0 L * *", "'L' is not made of numbers"),
        ("0 0 last * *", "'last' is not made of numbers"),
        ("*/0 * * * *", "is no cron expression"),
        ("5-1 * * * *", "is no cron expression"),
        ("0 0 1 * 1", "restricts both"),
        ("0 0 31 2 *", "never comes"),
    ],
)
def test_what_is_no_schedule_is_refused(schedule, reason):
    """A word that is none, a field out of range, or a day that never comes is refused with its reason."""
    with pytest.raises(InvalidSchedule) as refused:
        trigger("aws", schedule, "UTC", host="host")
    assert reason in str(refused.value)
    assert repr(schedule) in str(refused.value)


@given(st.text(max_size=12))
def test_any_text_is_a_schedule_or_refused(text):
    """Whatever is written there, it either comes some day or is refused as no schedule."""
    try:
        due = trigger("aws", text, "UTC", host="host")
    except InvalidSchedule:
        return
    assert next_start(due, MONDAY) is not None


@given(
    st.lists(
        st.sampled_from(["*", "0", "5", "7", "*/2", "1-5", "mon", "fri-sun", "8", "x", "3/2"]), min_size=5, max_size=5
    )
)
def test_any_five_fields_are_a_schedule_or_refused(fields):
    """Fields in the right place and out of place either make a schedule or are refused as none."""
    try:
        due = trigger("aws", " ".join(fields), "UTC", host="host")
    except InvalidSchedule:
        return
    assert next_start(due, MONDAY) is not None


@pytest.mark.parametrize("name", ["Europe/Berln", "", "../etc/passwd", "/etc/localtime", "Europe", "UTC+1"])
def test_a_time_zone_must_exist(name):
    """A time zone that is not known is refused by its name."""
    with pytest.raises(InvalidSchedule, match="no time zone is called"):
        check_timezone(name)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"])
@pytest.mark.parametrize("schedule", ["30 2 * * *", "0 3 * * *", "15 0 * * *", "daily"])
def test_a_day_has_one_daily_run_through_all_clock_changes(zone, schedule):
    """Over three years, each local day has its run: none is left out in spring, none comes twice in autumn."""
    found = starts(schedule, datetime(2026, 1, 1, tzinfo=ZoneInfo(zone)), 3 * 365, zone)
    days = [start.astimezone(ZoneInfo(zone)).date() for start in found]
    assert days == [days[0] + timedelta(days=number) for number in range(len(days))]


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("2026-03-28T12:00+01:00", "2026-03-29T03:30+02:00"),  # the clock skips half past two
        ("2026-03-29T03:10+02:00", "2026-03-29T03:30+02:00"),  # as a start between the two finds it
        ("2026-03-29T03:31+02:00", "2026-03-30T02:30+02:00"),
        ("2026-10-24T12:00+02:00", "2026-10-25T02:30+02:00"),  # half past two comes twice
        ("2026-10-25T02:31+02:00", "2026-10-26T02:30+01:00"),
        ("2026-10-25T02:10+01:00", "2026-10-26T02:30+01:00"),
    ],
)
def test_a_time_that_the_clock_skips_or_repeats_comes_once(since, expected):
    """What the clock skips comes an hour later, and of what it shows twice only the first counts."""
    start = starts("30 2 * * *", datetime.fromisoformat(since), 1, "Europe/Berlin")[0]
    assert start.isoformat(timespec="minutes") == expected


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize(
    ("schedule", "minutes"), [("hourly", 60), ("0 * * * *", 60), ("*/5 * * * *", 5), ("7/20 * * * *", 20)]
)
@pytest.mark.parametrize("day", ["2026-03-08", "2026-03-29", "2026-10-25", "2026-11-01"])
def test_what_starts_in_any_hour_starts_in_each(zone, schedule, minutes, day):
    """On a day with a clock change the time between two starts is always the same, as the scheduler asks for them."""
    since = datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(hours=4)
    due = trigger("aws", schedule, zone, host="host")
    found = [due.get_next_fire_time(None, since)]
    for _ in range(20 * 60 // minutes):
        found.append(due.get_next_fire_time(found[-1], found[0] + timedelta(days=60)))
    instants = [start.astimezone(UTC) for start in found]
    assert {after - before for before, after in pairwise(instants)} == {timedelta(minutes=minutes)}


def test_a_clock_change_of_half_an_hour():
    """Half past to the full hour comes twice, half past to the full hour is skipped: a start is never far away."""
    zone = "Australia/Lord_Howe"
    due = trigger("aws", "45 * * * *", zone, host="host")
    found = [due.get_next_fire_time(None, datetime(2026, 4, 4, 11, 50, tzinfo=UTC))]
    for _ in range(5):
        found.append(due.get_next_fire_time(found[-1], datetime(2026, 6, 1, tzinfo=UTC)))
    told = [start.isoformat(timespec="minutes") for start in found]
    assert told == [
        "2026-04-04T23:45+11:00", "2026-04-05T00:45+11:00", "2026-04-05T01:45+11:00", "2026-04-05T01:45+10:30",
        "2026-04-05T02:45+10:30", "2026-04-05T03:45+10:30",
    ]  # fmt: skip


def test_what_is_due_since_a_start_in_the_past_is_told_one_by_one():
    """As the scheduler asks after a pause: each start after the previous one, though all of them are past."""
    due = trigger("aws", "0 * * * *", "Europe/Berlin", host="host")
    previous = datetime(2026, 3, 28, 23, tzinfo=UTC)
    assert due.get_next_fire_time(previous, MONDAY) == previous + timedelta(hours=1)


@pytest.mark.parametrize(
    ("last", "now", "missed"),
    [
        (None, "2026-04-13T00:00", True),
        ("2026-04-13T02:30", "2026-04-13T02:31", False),
        ("2026-04-13T02:30", "2026-04-14T02:29", False),
        ("2026-04-13T02:30", "2026-04-14T02:30", True),
        ("2026-04-13T02:30", "2026-04-20T00:00", True),
        ("2026-04-13T02:29", "2026-04-13T02:31", True),
        ("2026-04-13T12:00", "2026-04-13T13:00", False),
        ("2026-04-13T12:00", "2026-04-14T03:00", True),
        ("2027-01-01T00:00", "2026-04-13T13:00", False),
    ],
)
def test_a_run_is_missed_once_its_time_has_passed_since_the_last_one(last, now, missed):
    """Half past two every night: whether a run is owed, given when the last one started."""
    due = trigger("aws", "30 2 * * *", "UTC", host="host")
    started = datetime.fromisoformat(last).replace(tzinfo=UTC) if last else None
    assert is_missed(due, started, datetime.fromisoformat(now).replace(tzinfo=UTC)) is missed


@given(instants, instants, st.sampled_from(["hourly", "daily", "weekly", "*/7 * * * *", "0 0 1 * *", "0 4 * * 1-5"]))
def test_a_run_is_missed_exactly_where_a_start_lies_between(last, now, schedule):
    """A run is missed if and only if the next start after the last run is not in the future."""
    due = trigger("aws", schedule, "Europe/Berlin", host="host")
    following = next_start(due, last + timedelta(microseconds=1))
    assert is_missed(due, last, now) is (following <= now)
