"""How long to wait and how fast to send, on clocks of the tests' own."""

import heapq
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.pacing import Pace, backoff, retry_after

NOON = datetime(2026, 4, 15, 12, tzinfo=UTC)


def http_date(seconds: float) -> str:
    """A date of the API's clock, so many seconds from noon."""
    return format_datetime(NOON + timedelta(seconds=seconds), usegmt=True)


# ── Retry-After and backoff ──


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        ("0.35", 0.35),
        (" 2 ", 2),
        ("-5", 0),
        ("3601", 3600),
        ("1000000", 3600),
        (http_date(30), 30),
        (http_date(-30), 0),
        (http_date(7200), 3600),
        ("Wednesday, 15-Apr-26 12:00:30 GMT", 30),
        ("", None),
        ("soon", None),
        ("1e3", None),
        ("1,5", None),
        ("5 s", None),
        ("inf", None),
        ("nan", None),
        ("٣", None),
        ("9" * 400, None),
        ("Wed, 99 Apr 2026 12:00:00 GMT", None),
    ],
)
def test_retry_after(value, seconds):
    """Integers, fractions and dates are read, the past is now, an hour is the most, and nonsense says nothing."""
    assert retry_after({"retry-after": value}, now=NOON) == seconds


def test_a_date_is_judged_by_the_clock_that_wrote_it():
    """With our clock a day off, the wait is still the API's."""
    headers = {"retry-after": http_date(20), "date": http_date(0)}
    for wrong in (timedelta(days=1), timedelta(days=-1)):
        assert retry_after(headers, now=NOON + wrong) == 20


def test_a_429_falls_back_to_the_end_of_the_window():
    """X-RateLimit-Reset counts only for a 429 that says nothing better, and by the API's clock."""
    headers = {"x-ratelimit-reset": f"{NOON.timestamp() + 1.25}", "date": http_date(0)}
    wrong = NOON + timedelta(hours=5)
    assert retry_after(headers, now=wrong, status=429) == 1.25
    assert retry_after(headers, now=wrong, status=503) is None
    assert retry_after(headers | {"retry-after": "0.5"}, now=wrong, status=429) == 0.5
    assert retry_after({}, now=wrong, status=429) is None


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["retry-after", "date", "x-ratelimit-reset"]), st.text(max_size=40)),
    st.sampled_from([200, 429, 503]),
)
def test_no_header_breaks_it(headers, status):
    """Whatever the headers hold, the answer is None or 0 to 3600 seconds."""
    wait = retry_after(headers, now=NOON, status=status)
    assert wait is None or 0 <= wait <= 3600


@settings(deadline=None)
@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_backoff_has_full_jitter(attempt, chance):
    """The wait is anything from nothing to a doubling ceiling, and never more than the cap."""
    assert 0 <= backoff(attempt, chance=chance) <= min(300, 0.5 * 2 ** min(attempt - 1, 20))


def test_backoff_doubles():
    """The ceiling is 0.5, 1, 2 … 300 seconds."""
    nearly = 1 - 2**-53
    assert [round(backoff(attempt, chance=nearly), 6) for attempt in (1, 2, 3, 9, 10, 11, 99)] == [
        *(0.5, 1, 2),
        *(128, 256, 300, 300),
    ]


# ── One agent ──


def answer(*, limit: float = 100, remaining: float = 150, reset: float = 0.5, **others: str) -> dict[str, str]:
    return {
        "x-ratelimit-limit": f"{limit:g}",
        "x-ratelimit-remaining": f"{remaining}",
        "x-ratelimit-reset": f"{NOON.timestamp() + reset:.3f}",
        "date": http_date(0),
        **others,
    }


def test_places_are_an_interval_apart():
    """Reservations made at once are spread over time, at the rate."""
    pace = Pace(cap=4)
    assert [pace.reserve(100.0) for _ in range(3)] == [0, 0.25, 0.5]


def test_idleness_saves_up_a_quarter_of_a_second():
    """After an hour of rest a fast agent sends a quarter of a second's worth at once, not an hour's."""
    pace = Pace()
    for second in range(10):
        pace.learn(200, answer(), float(second), NOON)
    assert pace.rate == 100
    assert 24 <= sum(pace.reserve(3600.0) == 0 for _ in range(200)) <= 26


def test_the_first_answer_names_the_limit():
    """Before it the pace is slow, with it a quarter of the limit, and the limit after a few seconds of plenty."""
    pace = Pace()
    assert pace.rate == 5
    pace.learn(200, answer(), 0.0, NOON)
    assert 25 <= pace.rate <= 100
    pace.learn(200, answer(), 1.0, NOON)
    pace.learn(200, answer(), 2.0, NOON)
    assert pace.rate == pace.ceiling == 100


def test_neither_the_limit_nor_the_cap_is_exceeded():
    """The lower of the two is the ceiling, at once when a new key has a lower limit."""
    pace = Pace(cap=40)
    for second in range(10):
        pace.learn(200, answer(), float(second), NOON)
    assert pace.rate == 40
    pace.learn(200, answer(limit=10, remaining=20), 11.0, NOON)
    assert pace.rate == pace.ceiling == 10


def test_retry_after_pauses_everybody():
    """After a Retry-After no place is given before its end; one who was told a place before sees it, too."""
    pace = Pace()
    assert pace.reserve(0.0) == 0
    pace.learn(503, {"retry-after": "2.5"}, 1.0, NOON)
    assert pace.pause_until == 3.5
    assert [pace.reserve(1.0), pace.reserve(1.0)] == [2.5, 2.5 + 1 / pace.rate]


def test_a_burst_of_429s_is_one_cut():
    """Answers to what was already under way cut the rate once in half a second, and never below the floor."""
    pace = Pace()
    for second in range(10):
        pace.learn(200, answer(), float(second), NOON)
    for moment in (10.0, 10.1, 10.2, 10.49):
        pace.learn(429, answer(remaining=0, **{"retry-after": "0.01"}), moment, NOON)
    assert pace.rate == pytest.approx(70)
    for moment in range(11, 100):
        pace.learn(429, answer(remaining=0), float(moment), NOON)
    assert pace.rate == 0.2
    assert pace.reserve(200.0) >= 0


def test_scarcity_slows_down_before_a_429():
    """Half of the limit left halves the speed; less than a quarter left shrinks the rate as well."""
    pace = Pace()
    for second in range(10):
        pace.learn(200, answer(), float(second), NOON)
    pace.learn(200, answer(remaining=50), 10.0, NOON)
    *_, before, last = [pace.reserve(10.0) for _ in range(100)]
    assert (pace.rate, last - before) == (100, pytest.approx(0.02))
    pace.learn(200, answer(remaining=20), 10.5, NOON)
    *_, before, last = [pace.reserve(10.5) for _ in range(100)]
    assert pace.rate < 100
    assert last - before == pytest.approx(0.05, rel=0.3)


@pytest.mark.parametrize("headers", [{}, {"x-ratelimit-limit": "many"}, {"x-ratelimit-limit": "0"}])
def test_without_headers_the_documented_limit_holds(headers):
    """An API that tells no limit is sent at most what is documented."""
    pace = Pace()
    for second in range(60):
        pace.learn(200, headers, float(second), NOON)
    assert pace.rate == pace.ceiling == 100


def test_a_longer_window_is_inferred_and_forgotten():
    """A reset that is clearly farther off than a second means a longer window, for as long as that window is."""
    pace = Pace()
    pace.learn(200, answer(limit=600, remaining=599, reset=60), 0.0, NOON)
    assert pace.ceiling == 10
    pace.learn(200, answer(limit=600, remaining=300, reset=2), 58.0, NOON)
    assert pace.ceiling == 10
    pace.learn(200, answer(limit=600, remaining=600, reset=1), 61.0, NOON)
    assert pace.ceiling == 600


def test_a_wrong_clock_is_no_window():
    """A reset hours away or in the past changes nothing."""
    for reset in (7200, -7200):
        pace = Pace()
        pace.learn(200, answer(reset=reset), 0.0, NOON)
        assert pace.ceiling == 100


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([200, 429, 500]),
            st.dictionaries(
                st.sampled_from(
                    ["retry-after", "date", *(f"x-ratelimit-{n}" for n in ("limit", "remaining", "reset"))]
                ),
                st.from_regex(r"-?[0-9]{1,12}(\.[0-9]{1,3})?", fullmatch=True) | st.text(max_size=20),
            ),
            st.floats(0, 100),
        ),
        max_size=20,
    )
)
def test_whatever_the_api_says_the_agent_goes_on(answers):
    """No headers stop the agent for more than an hour, or make it exceed its cap."""
    pace, now = Pace(cap=50), 0.0
    for status, headers, passed in answers:
        now += passed
        pace.learn(status, headers, now, NOON)
        assert 0.2 <= pace.rate <= 50
        assert 0 <= pace.reserve(now) <= 3600 + 25 * 5


def test_after_an_outage_it_starts_slowly():
    """What comes back is not run over: the rate is that of a first request, and some answers later the limit again."""
    pace = Pace()
    for second in range(10):
        pace.learn(200, answer(), float(second), NOON)
    pace.start_slowly(100.0)
    assert (pace.rate, pace.ceiling) == (5, 100)
    for tenth in range(1, 31):
        pace.learn(200, answer(), 100 + tenth / 10, NOON)
    assert pace.rate == 100


def test_an_answer_that_is_told_late_does_no_harm():
    """Processes that share a pace may tell of their answers out of order: none of them slows it down."""
    pace = Pace()
    for second in range(10):
        pace.learn(200, answer(), float(second), NOON)
    pace.learn(200, answer(), 8.0, NOON)
    assert pace.rate == 100


# ── Several agents, one key ──


@dataclass
class Bucket:
    """The API's side: a token bucket of `limit` a second and a burst of twice that; a refusal costs nothing."""

    limit: float
    level: float = field(init=False)
    at: float = 0.0

    def __post_init__(self) -> None:
        self.level = 2 * self.limit

    def take(self, now: float) -> tuple[int, dict[str, str]]:
        self.level = min(2 * self.limit, self.level + (now - self.at) * self.limit)
        self.at = now
        status = 200 if self.level >= 1 else 429
        self.level -= status == 200
        full = now + (2 * self.limit - self.level) / self.limit
        headers = answer(limit=self.limit, remaining=int(self.level), reset=full, date=http_date(int(now)))
        if status == 429:
            headers["retry-after"] = f"{(1 - self.level) / self.limit:.3f}"
        return status, headers


@dataclass
class Outcome:
    accepted: list[int]
    refused: int

    @property
    def refused_share(self) -> float:
        return self.refused / (self.refused + sum(self.accepted))


def simulate(
    limit: float, agents: int, seconds: float, seed: int = 1, hops: tuple[float, float] = (0.02, 0.06)
) -> Outcome:
    """Agents with endless backlogs, `hops` seconds from the API, starting 3 s apart. Only the bucket connects them."""
    chance, order, bucket = random.Random(seed), count(), Bucket(limit)
    paces, outcome = [Pace() for _ in range(agents)], Outcome([0] * agents, 0)
    events = [(3.0 * agent, next(order), "reserve", agent, None) for agent in range(agents)]
    while events:
        now, _, kind, agent, said = heapq.heappop(events)
        pace, hop = paces[agent], now + chance.uniform(*hops)
        if now > seconds:
            break
        if kind == "reserve":
            after = [(now + pace.reserve(now), "go", None)]
        elif kind == "go" and pace.pause_until > now:
            after = [(pace.pause_until, "go", None)]
        elif kind == "go":
            after = [(hop, "serve", None), (now, "reserve", None)]
        elif kind == "serve":
            status, headers = bucket.take(now)
            outcome.accepted[agent] += status == 200
            outcome.refused += status == 429
            after = [(hop, "learn", (status, headers))]
        else:
            pace.learn(*said, now, NOON + timedelta(seconds=now))
            after = []
        for moment, what, carried in after:
            heapq.heappush(events, (moment, next(order), what, agent, carried))
    return outcome


@pytest.mark.parametrize("limit", [10, 100])
def test_an_agent_alone_uses_the_whole_limit(limit):
    """With a full backlog one agent sends at least 98 % of what it may in a minute, and is hardly ever refused."""
    outcome = simulate(limit, agents=1, seconds=60)
    assert sum(outcome.accepted) >= 0.98 * limit * 60
    assert outcome.refused_share <= 0.005


@pytest.mark.parametrize("limit", [10, 100])
def test_a_backlog_goes_out_at_the_limit_over_a_slow_line(limit):
    """200 ms from the API, 2,000 items are accepted at 98 % of the limit at least, and hardly one is refused."""
    outcome = simulate(limit, agents=1, seconds=2000 / limit / 0.98, hops=(0.08, 0.12))
    assert sum(outcome.accepted) >= 2000
    assert outcome.refused_share <= 0.005


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_three_agents_share_a_key_unknowingly(seed):
    """Three agents on a sandbox key use it whole, in fair shares, with under a tenth of their requests refused."""
    outcome = simulate(10, agents=3, seconds=120, seed=seed)
    assert outcome.refused_share < 0.10
    assert sum(outcome.accepted) >= 0.95 * 10 * 120
    assert min(outcome.accepted) >= 0.25 * sum(outcome.accepted)


def test_ten_agents_still_get_on():
    """Ten agents on a sandbox key lose nothing of the limit, and fewer than a third of their requests is refused."""
    outcome = simulate(10, agents=10, seconds=180)
    assert sum(outcome.accepted) >= 0.95 * 10 * 180
    assert outcome.refused_share < 0.33
    assert min(outcome.accepted) >= 0.03 * sum(outcome.accepted)
