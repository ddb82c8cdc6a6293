"""What one entry of the ledger, beside what the API shows of it, comes to."""

from dataclasses import replace

import pytest

from agent.arrival import Case, is_untold, judge

THERE = Case(
    seq=1,
    evidence_id="ev_1",
    control_id="ctrl_a",
    collected_at="2026-04-15T09:14:22.120Z",
    created_at="2026-04-15T09:14:23.000Z",
    accepted_at=0.0,
    request_id="req_1",
    is_superseded=False,
    is_echoed=False,
    is_owed=False,
    logged_at="2026-04-15T09:14:23.000Z",
    shown_at="2026-04-15T09:14:22.120Z",
    elsewhere=None,
    listed=7,
)
NOWHERE = {"logged_at": None, "shown_at": None}
UNDATED = {"created_at": None, **NOWHERE}


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({}, []),
        ({"shown_at": None, "listed": 50}, []),  # the control shows younger ones
        ({"shown_at": None, "listed": 49}, ["detached"]),
        ({"shown_at": None, "listed": None}, []),  # the control is gone
        ({"shown_at": "2026-04-15T09:14:22.000Z"}, []),  # the API shows seconds
        ({"shown_at": "2026-04-15T09:14:22.121Z"}, ["altered"]),
        ({"shown_at": None, "elsewhere": "ctrl_b"}, ["moved"]),
        ({"logged_at": "2026-04-15T09:14:53.000Z"}, []),
        ({"logged_at": "2026-04-15T09:14:54.000Z"}, ["mistimed"]),
        ({"logged_at": "2026-04-15T09:13:52.000Z"}, ["mistimed"]),
        ({"created_at": None}, []),
        ({"logged_at": None}, ["unlogged"]),
        (NOWHERE, ["missing"]),
        (NOWHERE | {"listed": 50}, ["missing"]),
        (NOWHERE | {"listed": None}, ["missing"]),
        (NOWHERE | {"is_superseded": True}, []),
        (UNDATED, ["missing"]),
        (UNDATED | {"listed": 50}, []),  # it may be of before the time that was read
        (UNDATED | {"listed": None}, ["missing"]),
    ],
)
def test_each_case_has_its_findings(changes, kinds):
    """A case is judged by what the log and the control show, and by nothing that they could not show."""
    assert [finding.kind for finding in judge(replace(THERE, **changes))] == kinds


@pytest.mark.parametrize(
    ("changes", "untold"),
    [
        (UNDATED | {"listed": 50}, True),
        (UNDATED | {"listed": 50, "shown_at": THERE.shown_at}, False),
        (UNDATED | {"listed": 49}, False),
        (NOWHERE | {"listed": 50}, False),
    ],
)
def test_what_nothing_tells_of(changes, untold):
    """An entry without a time, whose control shows later ones, is neither there nor missing."""
    assert is_untold(replace(THERE, **changes)) == untold


def test_a_note_is_no_difference():
    """What a control vouches for is noted; all else is a difference."""
    (note,) = judge(replace(THERE, logged_at=None))
    (missing,) = judge(replace(THERE, **NOWHERE))
    assert (note.level, missing.level) == ("note", "difference")
