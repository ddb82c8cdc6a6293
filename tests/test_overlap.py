"""What a run leaves to another one that is wanted meanwhile."""

import pytest

from agent.overlap import rest, together
from collectors.registry import evidence_types

ONE, TWO, THREE = evidence_types("aws")[:3]


@pytest.mark.parametrize(
    ("wanted", "under_way", "left"),
    [
        (None, None, ()),
        ((ONE,), None, ()),
        (None, (ONE,), None),
        ((ONE, TWO), (ONE,), (TWO,)),
        ((ONE,), (ONE, TWO), ()),
    ],
)
def test_what_is_left(wanted, under_way, left):
    """A run of all types leaves nothing; one of some leaves the others, and the collector's own run as a whole."""
    assert rest(wanted, under_way) == left


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [((), (ONE,), (ONE,)), ((ONE, TWO), (TWO, THREE), (ONE, TWO, THREE)), ((ONE,), None, None), (None, (), None)],
)
def test_what_two_want_is_one_run(one, other, both):
    """What waits is read in one run, each type once, and is a run of all where one of them was."""
    assert together(one, other) == both
