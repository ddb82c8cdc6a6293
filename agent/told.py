"""What an event says, in the few words that the agent acts upon or shows.

The API documents the data of `control.drifted` alone. So the data of all others is read by what it would be called: a
name that is not there, or is something else, says nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from agent.webhook import Event

Signal = Literal["pass", "fail", "review"]

COLLECTED = "evidence.collected"
DRIFTED = "control.drifted"

_WORST_FIRST: tuple[Signal, ...] = ("fail", "review", "pass")
_SIGNALS: dict[str, Signal] = {
    "pass": "pass", "passed": "pass", "passing": "pass",
    "fail": "fail", "failed": "fail", "failing": "fail",
    "review": "review", "in_review": "review", "needs_review": "review",
}  # fmt: skip
_SAID_IN = ("signal", "verdict", "status", "result", "outcome")
_WITHIN = ("test_result", "test_results", "control_test_result", "control_test_results", "result", "results", "test")
_DEEPEST = 4
_LONGEST = 200  # characters of a text
_MOST = 20  # facts of one event


def subject(event: Event) -> str | None:
    """The id of what an event is about: of the control, the evidence, the risk, the vendor, or the audit."""
    noun = event.type.partition(".")[0]
    inner = event.data.get(noun)
    named = inner.get("id") if isinstance(inner, Mapping) else inner
    found = (event.data.get(f"{noun}_id"), named, event.data.get("id"), event.data.get("framework"))
    return next((value for value in found if isinstance(value, str) and _is_plain(value)), None)


def signal(data: Mapping[str, Any]) -> Signal | None:
    """What the API made of the evidence in `evidence.collected`: of several test results the worst."""
    said = set(_signals(data, 0))
    return next((each for each in _WORST_FIRST if each in said), None)


def facts(data: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of an event's data, those that a line can show."""
    plain = {name: value for name, value in data.items() if _is_plain(name) and _is_plain(value)}
    return dict(list(plain.items())[:_MOST])


def _signals(value: object, depth: int) -> Iterator[Signal]:
    if isinstance(value, list) and depth < _DEEPEST:
        for each in value:
            yield from _signals(each, depth + 1)
    elif isinstance(value, Mapping) and depth < _DEEPEST:
        words = (value.get(name) for name in _SAID_IN)
        yield from (_SIGNALS[word.lower()] for word in words if isinstance(word, str) and word.lower() in _SIGNALS)
        for name in _WITHIN:
            yield from _signals(value.get(name), depth + 1)


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return 0 < len(value) <= _LONGEST and value.isprintable()
    return isinstance(value, bool | int | float)
