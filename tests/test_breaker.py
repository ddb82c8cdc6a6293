"""When nothing is sent because nothing comes back, on clocks of the tests' own."""

from hypothesis import given
from hypothesis import strategies as st

from agent.breaker import Breaker

WHOLE = 1.0  # the chance that makes the wait as long as the gap


def opened(**options: float) -> Breaker:
    breaker = Breaker(**options)
    for item in range(5):
        breaker.failed(item, 0.0, WHOLE)
    return breaker


def test_five_different_items_in_a_row_open_it():
    """The fifth item that fails opens it; until then all may be under way, and afterwards none."""
    breaker = Breaker()
    assert [breaker.failed(item, 0.0, WHOLE) for item in "abcd"] == [False] * 4
    assert (breaker.is_open, breaker.allowed(0.0, 30)) == (False, 30)
    assert breaker.failed("e", 0.0, WHOLE)
    assert (breaker.is_open, breaker.allowed(0.0, 30)) == (True, 0)


def test_one_bad_item_never_opens_it():
    """An item that fails a hundred times in a row is one item."""
    breaker = Breaker()
    assert not any(breaker.failed("poison", float(n), WHOLE) for n in range(100))
    assert breaker.allowed(100.0, 30) == 30


def test_a_success_in_between_starts_the_count_anew():
    """Four failures, a success and four failures do not open it."""
    breaker = Breaker()
    for _ in range(3):
        assert not any(breaker.failed(item, 0.0, WHOLE) for item in "abcd")
        assert not breaker.succeeded()
    assert not breaker.is_open


def test_one_probe_at_a_time_after_the_gap():
    """When the gap is over one request may be under way; a limit of none stays none."""
    breaker = opened()
    assert [breaker.allowed(now, 30) for now in (0.49, 0.5, 9.0)] == [0, 1, 1]
    assert breaker.allowed(9.0, 0) == 0


def test_gaps_double_up_to_a_minute():
    """Each probe that fails, of whatever item, doubles the gap, from half a second to sixty."""
    breaker, now, gaps = opened(), 0.0, []
    for _ in range(10):
        gaps.append(breaker.probe_at - now)
        now = breaker.probe_at
        assert not breaker.failed("poison", now, WHOLE)
    assert gaps == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_what_was_under_way_when_it_opened_tells_nothing_new():
    """Requests that fail before a probe is due change nothing, however many."""
    breaker = opened()
    for item in range(5, 30):
        assert not breaker.failed(item, 0.3, WHOLE)
    assert breaker.probe_at == 0.5


def test_the_first_success_closes_it():
    """With it all may be under way again, and the next time the gaps begin with the shortest."""
    breaker = opened()
    breaker.failed("probe", 0.5, WHOLE)
    assert breaker.succeeded()
    assert (breaker.is_open, breaker.allowed(1.0, 30)) == (False, 30)
    assert not breaker.succeeded()
    assert [breaker.failed(item, 10.0, WHOLE) for item in "abcde"] == [False] * 4 + [True]
    assert breaker.probe_at == 10.5


def test_a_probe_can_be_wanted_at_once():
    """After a new token nobody waits for the gap, and a failure then waits for the next one."""
    breaker = opened(threshold=1, shortest=5.0, longest=300.0)
    breaker.probe_now()
    assert breaker.allowed(0.1, 30) == 1
    breaker.failed("a", 0.1, WHOLE)
    assert (breaker.allowed(0.2, 30), breaker.probe_at) == (0, 10.1)


def test_one_refused_token_is_enough():
    """With a threshold of one the first failure opens it, and gaps go from five seconds to five minutes."""
    breaker, now, gaps = Breaker(threshold=1, shortest=5.0, longest=300.0), 0.0, []
    assert breaker.failed("a", now, WHOLE)
    for _ in range(8):
        gaps.append(breaker.probe_at - now)
        now = breaker.probe_at
        breaker.failed("a", now, WHOLE)
    assert gaps == [5, 10, 20, 40, 80, 160, 300, 300]


def test_one_that_was_open_before_probes_at_once():
    """Found open at a start, it lets one through; if that fails the gaps begin."""
    breaker = Breaker(threshold=1, shortest=5.0, longest=300.0)
    breaker.open()
    assert breaker.allowed(0.0, 30) == 1
    assert not breaker.failed("a", 0.0, WHOLE)
    assert (breaker.allowed(4.9, 30), breaker.allowed(5.0, 30)) == (0, 1)


@given(st.floats(0, 1), st.integers(0, 12))
def test_gaps_are_spread(chance, failures):
    """Whatever the chance, the wait is between half of the gap and the whole: agents do not probe in step."""
    breaker, now = opened(), 0.0
    for _ in range(failures):
        now = breaker.probe_at
        breaker.failed("a", now, chance)
    gap = min(0.5 * 2**failures, 60.0)
    assert gap / 2 <= round(breaker.probe_at - now, 6) <= gap
