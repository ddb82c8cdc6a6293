"""How fast a service is asked, and how often again: of one account and region, as AWS's own limits are."""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from collectors.contract import Cancelled, Run

THROTTLED = frozenset({
    "BandwidthLimitExceeded", "EC2ThrottledException", "LimitExceededException", "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException", "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException",
    "SlowDown", "ThrottledException", "Throttling", "ThrottlingException", "TooManyRequests",
    "TooManyRequestsException", "TransactionInProgressException",
})  # fmt: skip
TRANSIENT = frozenset({"InternalError", "InternalFailure", "RequestTimeout", "RequestTimeoutException"})

THROTTLED_ATTEMPTS = 10  # each at a pace that others were just served at
FAILED_ATTEMPTS = 5
UNANSWERED_ATTEMPTS = 3  # an endpoint that does not answer will not do so sooner for being asked more often
BACK_OFF = 0.8  # of what was served within the last second
FASTER = 0.02  # calls a second that each answer adds: 2 % in a second
SLOWEST = 0.5  # calls a second
LONGEST_PAUSE = 20.0  # seconds


class Pace:
    """As fast as it goes until AWS refuses; from then on as fast as it served, and slowly faster.

    botocore's adaptive retries slow down with each refusal, those of a burst as well that was sent before the first
    came back, and wait whatever happens. Here only what was sent at the new pace slows it again, and a stop ends it.
    """

    def __init__(self, run: Run, name: str, *, is_expected: bool = True) -> None:
        """`is_expected` says whether the endpoint is known to be there."""
        self._run = run
        self._name = name
        self._rate: float | None = None
        self._turn = 0.0  # when the next call may begin, as all instants here in monotonic seconds
        self._slowed = 0.0
        self._served: deque[float] = deque()
        self._unanswered = UNANSWERED_ATTEMPTS if is_expected else 1
        self._lock = threading.Lock()

    def ask(self, call: Callable[..., Any], parameters: Mapping[str, Any]) -> Any:
        """The answer of `call`, asked again where that is worth it. Raises what it raised last, Cancelled."""
        from botocore import exceptions as aws
        from botocore.parsers import ResponseParserError

        attempt = 0
        while True:
            attempt += 1
            begun = self._await_turn()
            try:
                answer = call(**parameters)
            except (aws.ClientError, aws.ConnectionError, aws.HTTPClientError, ResponseParserError) as error:
                if _is_refusal(error):
                    self._slow_down(begun)
                if attempt >= self._attempts(error):
                    if isinstance(error, aws.ConnectionError):
                        self._unanswered = 1  # once lost, it is asked once a read
                    raise
                self._sleep(random.uniform(0, min(LONGEST_PAUSE, 2 ** (attempt - 1))))  # noqa: S311 - not a secret
            else:
                self._note_answer()
                return answer

    def _attempts(self, error: Exception) -> int:
        """How many there are in all, after a failure like this one."""
        if _is_refusal(error):
            return THROTTLED_ATTEMPTS
        code, status = _told(error)
        if not status:
            return self._unanswered
        return FAILED_ATTEMPTS if code in TRANSIENT or status >= HTTPStatus.INTERNAL_SERVER_ERROR else 1

    def _await_turn(self) -> float:
        with self._lock:
            now = time.monotonic()
            if self._rate is None:
                return now
            begins = max(now, self._turn)
            self._turn = begins + 1 / self._rate
        self._sleep(begins - now)
        return time.monotonic()

    def _sleep(self, seconds: float) -> None:
        if seconds > 0 and self._run.cancelled.wait(seconds):
            raise Cancelled

    def _note_answer(self) -> None:
        with self._lock:
            self._served.append(time.monotonic())
            self._forget(self._served[-1])
            if self._rate is not None:
                self._rate += FASTER

    def _slow_down(self, begun: float) -> None:
        with self._lock:
            if begun < self._slowed:
                return
            self._slowed = now = time.monotonic()
            self._forget(now)
            self._rate = rate = max(SLOWEST, BACK_OFF * len(self._served), BACK_OFF * BACK_OFF * (self._rate or 0))
            self._turn = max(self._turn, now)
        self._run.waiting(f"AWS throttles {self._name}", 1 / rate)

    def _forget(self, now: float) -> None:
        while self._served and self._served[0] < now - 1:
            self._served.popleft()


def _is_refusal(error: Exception) -> bool:
    code, status = _told(error)
    return code in THROTTLED or status == HTTPStatus.TOO_MANY_REQUESTS


def _told(error: Exception) -> tuple[str, int]:
    """AWS's code and HTTP's status; neither where no answer came that botocore can read."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", "")), response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
