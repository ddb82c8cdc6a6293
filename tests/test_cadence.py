"""How often evidence is wanted: the words, how fresh it is, and what is read in between a collector's runs."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import schedule
from agent.cadence import freshness, length, more_often, word
from agent.controls import ControlMap, Discovery, KnownControl
from collectors.registry import evidence_types

NOW = datetime(2026, 4, 15, 9, 14, 22, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PASSWORDS, ROOT_ACCOUNT = "aws_iam_password_policy", "aws_iam_root_account"


@pytest.mark.parametrize(
    ("told", "known", "longest"),
    [
        ("daily", "daily", DAY),
        (" Hourly ", "hourly", HOUR),
        ("WEEKLY", "weekly", 7 * DAY),
        ("monthly", "monthly", 31 * DAY),
        ("quarterly", "quarterly", 92 * DAY),
        ("annual", "annual", 366 * DAY),
        ("Annually", "annual", 366 * DAY),
        ("yearly", "annual", 366 * DAY),
        ("every other moon", None, None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_words(told, known, longest):
    """The words that were seen are read in any case; one that was not says nothing, and is no error."""
    assert (word(told), length(told)) == (known, longest)


@given(st.text())
def test_any_word(told):
    """Whatever the API says, it is one of our words or none."""
    assert word(told) in {*schedule.WORDS, None}
    assert (length(told) is None) == (word(told) is None)


@pytest.mark.parametrize(
    ("age", "state"),
    [(HOUR, "fresh"), (DAY, "fresh"), (DAY + HOUR, "due"), (1.5 * DAY, "due"), (1.5 * DAY + HOUR, "stale")],
)
def test_freshness(age, state):
    """What is older than its cadence is due, and stale from half of it more on."""
    assert freshness(age, DAY) == state


def wanted(cadences, *, schedule_="daily"):
    """What is read more often: the types by the word, where each type has controls of such cadences."""
    known = [
        KnownControl(
            id=f"{kind}{number}", name="n", framework="f", code="c", evaluator=kind, cadence=cadence, status="passing"
        )
        for kind, told in cadences.items()
        for number, cadence in enumerate(told)
    ]
    controls = ControlMap({}, Discovery(base_url="b", fetched_at=time.time(), controls=tuple(known)))
    types = [kind for kind in evidence_types("aws") if kind.id in {PASSWORDS, ROOT_ACCOUNT}]
    found = more_often(types, controls, schedule.trigger("aws", schedule_, "UTC", host="h"), NOW)
    return {word: [kind.id for kind in kinds] for word, kinds in found.items()}


def test_what_is_wanted_more_often():
    """A type is read as often as the most demanding of its controls wants, where that is more than by the schedule."""
    assert wanted({PASSWORDS: ["hourly", "daily"], ROOT_ACCOUNT: ["weekly"]}) == {"hourly": [PASSWORDS]}
    assert wanted({PASSWORDS: ["daily"], ROOT_ACCOUNT: ["hourly"]}, schedule_="weekly") == {
        "daily": [PASSWORDS],
        "hourly": [ROOT_ACCOUNT],
    }


@pytest.mark.parametrize("schedule_", ["hourly", "*/5 * * * *"])
def test_the_schedule_is_the_least(schedule_):
    """What the schedule has as often or more often needs no run of its own; nor does what is not understood."""
    assert wanted({PASSWORDS: ["hourly", "every other moon"], ROOT_ACCOUNT: ["annual"]}, schedule_=schedule_) == {}


def test_a_schedule_with_long_nights():
    """The longest time between two of its runs counts: by day alone is not hourly."""
    assert wanted({PASSWORDS: ["hourly"]}, schedule_="0 8-18 * * *") == {"hourly": [PASSWORDS]}


@pytest.mark.parametrize(("told", "starts"), [("monthly", 12), ("quarterly", 4), ("annual", 1)])
def test_rare_schedules(told, starts):
    """A collector may be scheduled by each of these words, and starts at the same minute of its own each time."""
    due = schedule.trigger("aws", told, "UTC", host="h")
    at, found = datetime(2026, 1, 1, tzinfo=UTC), []
    while (at := due.get_next_fire_time(None, at)) < datetime(2027, 1, 1, tzinfo=UTC):
        found.append(at)
        at += timedelta(minutes=1)
    assert len(found) == starts
    assert len({(each.day, each.hour, each.minute) for each in found}) == 1
