"""Misbehaving on demand.

    KIND[:PROBABILITY][:DURATION][:retry-after=…][:xTIMES][@CONTROL | @/PATH]

    drop-before      closes the connection, and nothing was done
    drop-after       does what was asked, then closes the connection without an answer
    cut-off          does what was asked, then closes the connection in the middle of the answer
    500              answers 500, and nothing was done
    500-after        does what was asked, then answers 500
    stored-500       answers 500, and the same for ever under that Idempotency-Key
    503              answers 503; without retry-after there is no Retry-After
    429              answers 429 with a Retry-After of 0.5 seconds
    409-in-progress  answers as if the first request with that Idempotency-Key still ran
    slow             waits DURATION (2s if not told) before it does what was asked
    html-200         answers 200 with a page of HTML, as a captive portal does

    0.1              strikes one request in ten; every request without it
    2s, 250ms        how long `slow` waits
    retry-after=     seconds (0.5), date (an HTTP date, in 1 to 2 seconds), none, negative (-1), absurd (1000000),
                     past (an HTTP date an hour ago), or a number as it stands; for 429 and 503
    x3               the first three times only
    @ctrl_ac_02      only evidence for that control, and the retrieval of it
    @/v1/evidence    only requests to that path

As in `drop-after:0.1`, `429:retry-after=date:x3`, `503x2`, `500@ctrl_ac_02`. Faults strike what would else be
served: a request without a valid token, or over the rate limit, gets its own answer. Of several the first that
strikes wins, and `slow` goes with any of them. The same seed draws the same lots.
"""

import json
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from email.utils import formatdate

from agent.sandbox.options import InvalidOption

KINDS = (
    "drop-before", "drop-after", "cut-off", "500", "500-after", "stored-500", "503", "429", "409-in-progress", "slow",
    "html-200",
)  # fmt: skip
_RETRIES = ("seconds", "date", "none", "negative", "absurd", "past")
_FORM = re.compile(r"(?P<rest>[^@]+?)(?:[:\s]*x(?P<times>\d+))?(?:@(?P<where>.+))?")


@dataclass(frozen=True)
class Fault:
    """One fault as told. `times` is None where it never ends, `where` a control id, a path, or None for all."""

    kind: str
    probability: float = 1.0
    delay: float = 2.0
    retry_after: str | None = None
    times: int | None = None
    where: str | None = None

    def aims_at(self, path: str, body: bytes) -> bool:
        if self.where is None or self.where.startswith("/"):
            return self.where in (None, path)
        return path == f"/v1/controls/{self.where}" or (path == "/v1/evidence" and _control(body) == self.where)


@dataclass(frozen=True)
class Strike:
    """What one request meets: seconds to wait, then a fault or none."""

    delay: float = 0.0
    fault: Fault | None = None

    @property
    def kind(self) -> str | None:
        return None if self.fault is None else self.fault.kind

    @property
    def kinds(self) -> list[str]:
        return [kind for kind in ("slow" if self.delay else None, self.kind) if kind]


def fault(text: str) -> Fault:
    """Reads one fault. Raises InvalidOption, which says what is wrong with which part."""
    form = _FORM.fullmatch(text.strip())
    kind, *parts = re.split(r"[:\s]+", form["rest"]) if form else [text]
    if form is None or kind not in KINDS:
        raise InvalidOption(f'There is no fault "{kind}". Use one of {", ".join(KINDS)}.')
    read = Fault(kind, times=int(form["times"]) if form["times"] else None, where=form["where"])
    for part in parts:
        read = _with(read, part, text)
    return read


def _with(fault: Fault, part: str, text: str) -> Fault:
    if fault.kind == "slow" and (duration := re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)", part)):
        return replace(fault, delay=float(duration[1]) * (0.001 if duration[2] == "ms" else 1))
    if re.fullmatch(r"\d*\.?\d+", part) and 0 < float(part) <= 1:
        return replace(fault, probability=float(part))
    name, _, value = part.partition("=")
    if fault.kind in ("429", "503") and name == "retry-after" and (value in _RETRIES or _number(value)):
        return replace(fault, retry_after=value)
    raise InvalidOption(
        f'In the fault "{text}", "{part}" is not understood. A part is a probability (over 0, at most 1), xTIMES, '
        f"a duration for slow (2s, 250ms), or retry-after={'|'.join(_RETRIES)}|NUMBER for 429 and 503."
    )


def retry_after(fault: Fault, now: float) -> str | None:
    """The value of Retry-After, where the answer has one. `now` is the wall clock's, in seconds."""
    told = fault.retry_after or ("seconds" if fault.kind == "429" else "none")
    values = {"seconds": "0.5", "negative": "-1", "absurd": "1000000", "none": None}
    if told in ("date", "past"):
        return formatdate(int(now) + 2 if told == "date" else now - 3600, usegmt=True)
    return values.get(told, told)


class Faults:
    """The faults in force. Drawn in the order of requests, each from its own lots."""

    def __init__(self, texts: Iterable[str] = (), seed: int = 0) -> None:
        self.texts = tuple(texts)
        faults = [fault(text) for text in self.texts]
        self._told = [(each, random.Random(f"{seed}:{number}")) for number, each in enumerate(faults)]  # noqa: S311 - lots, not secrets
        self._left = [each.times for each in faults]

    def strike(self, path: str, body: bytes) -> Strike:
        delay = 0.0
        for number, (each, lots) in enumerate(self._told):
            if not self._strikes(number, each, lots, path, body):
                continue
            if each.kind != "slow":
                return Strike(delay, each)
            delay += each.delay
        return Strike(delay)

    def _strikes(self, number: int, fault: Fault, lots: random.Random, path: str, body: bytes) -> bool:
        left = self._left[number]
        if left == 0 or not fault.aims_at(path, body) or lots.random() >= fault.probability:
            return False
        self._left[number] = None if left is None else left - 1
        return True


def _number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", text) is not None


def _control(body: bytes) -> object:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document.get("control_id") if isinstance(document, dict) else None
