"""How a question reaches GitHub: a requester for each thread, and patience that is capped, visible and cancellable."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from collectors.contract import Cancelled, Run
from collectors.errors import Unavailable
from collectors.github.budget import Budget
from collectors.github.connection import connect
from collectors.github.credentials import Credentials, NoToken
from collectors.github.patience import LONGEST_WAIT, Overloaded, Reply, wait_after

if TYPE_CHECKING:
    from github.Requester import Requester

ATTEMPTS = 4


@dataclass(frozen=True)
class Question:
    """One HTTP request: a GET of `path`, or, with a `body`, a GraphQL query. `requester` is a speaker of its own."""

    operation: str
    path: str = ""
    parameters: Mapping[str, str] | None = None
    body: Mapping[str, Any] | None = None
    requester: "Callable[[], Requester] | None" = None


class Transport:
    """Sends questions. Each thread has a requester of its own: a shared one can hand out another request's answer."""

    def __init__(
        self,
        base_url: str,
        credentials: Credentials,
        budget: Budget,
        run: Run,
        longest_wait: float = LONGEST_WAIT,
    ) -> None:
        self._base_url = base_url
        self._credentials = credentials
        self._budget = budget
        self._run = run
        self._longest_wait = longest_wait
        self._local = threading.local()
        self._lock = threading.Lock()
        self._opened: list[Requester] = []

    def send(self, question: Question, *, attempts: int = ATTEMPTS) -> Reply:
        """The reply, whatever its status, once asking again would not change it.

        An overloaded server is asked `attempts` times; a rate limit is waited out as long as the waits are short.
        Raises Overloaded, Unavailable, Unauthenticated and Cancelled.
        """
        tried = 0
        while True:
            tried += 1
            self._afford(question)
            reply = self._ask(question)
            wait = wait_after(reply, tried, time.time())
            if wait is None:
                return reply
            if tried >= (attempts if wait.overloaded else ATTEMPTS) or wait.seconds > self._longest_wait:
                state = Overloaded if wait.overloaded else Unavailable
                raise state(f"{wait.reason} (asked {tried} times)", operation=question.operation)
            self._wait(f"GitHub: {wait.reason}", wait.seconds)

    def _afford(self, question: Question) -> None:
        """Waits until what is left of the limit suffices for a query. Raises Unavailable where that would take long."""
        seconds = self._budget.wait(question.operation, time.monotonic()) if question.body else 0.0
        if seconds > self._longest_wait:
            raise Unavailable("too little is left of the rate limit", operation=question.operation)
        if seconds:
            self._wait("GitHub: too little is left of the rate limit", seconds)

    def _ask(self, question: Question) -> Reply:
        if self._run.cancelled.is_set():
            raise Cancelled
        try:
            requester = (question.requester or self._requester)()
            verb, url = ("POST", requester.graphql_url) if question.body else ("GET", question.path)
            # requestJson hands over every status with its headers; requestJsonAndCheck would hide HTML in a dict.
            answer = requester.requestJson(verb, url, dict(question.parameters or {}), input=question.body)
        except NoToken as error:
            return error.reply
        except (OSError, ValueError) as error:  # requests raises OSErrors; a header that is no number a ValueError
            return Reply.missing(error)
        reply = Reply(*answer)
        if question.body:
            self._budget.note(question.operation, reply, time.monotonic(), time.time())
        return reply

    def _requester(self) -> "Requester":
        from github.Auth import Token

        token = self._credentials.token()
        if getattr(self._local, "token", None) != token:
            self._local.requester = connect(self._base_url, Token(token))
            self._local.token = token
            with self._lock:
                self._opened.append(self._local.requester)
        found: Requester = self._local.requester
        return found

    def _wait(self, reason: str, seconds: float) -> None:
        self._run.waiting(reason, seconds)
        if self._run.cancelled.wait(seconds):
            raise Cancelled

    def close(self) -> None:
        """Closes the connections of all threads; a later question opens new ones."""
        with self._lock:
            opened, self._opened = self._opened, []
        self._local = threading.local()
        for requester in opened:
            requester.close()
