"""What an answer of the API means for the item that was sent: a pure function of the answer."""

from typing import Literal

from agent.errors import ApiError, ChequrError, Forbidden, TokenUnusable, Unauthorized
from agent.items import Answer

Verdict = Literal["defer", "reject", "hold", "look_up"]

CONFLICT = 409
_TOO_LARGE = 413
_RETRIABLE = frozenset({408, 425, 429})


def judge(error: ChequrError) -> Verdict:
    """What becomes of an item that was not accepted. The status and the code decide, never the text.

    No answer, or none that can be read, says nothing about the item. 401 and 403 are about the token, 408, 425, 429
    and 5xx about the moment, 409 may mean that the item was taken before, and all else is about the item: where the
    API says it in its own words, or where it is too large for whoever is in between.
    """
    if isinstance(error, TokenUnusable | Unauthorized | Forbidden):
        return "hold"
    if not isinstance(error, ApiError) or error.status >= 500 or error.status in _RETRIABLE:  # noqa: PLR2004 - HTTP's
        return "defer"
    if error.status == _TOO_LARGE:
        return "reject"
    if not error.code:
        return "defer"
    if error.status == CONFLICT:
        return "defer" if "progress" in error.code else "look_up"
    return "reject"


def answer_of(error: ChequrError) -> Answer:
    """The answer as it is kept with the item."""
    if isinstance(error, ApiError):
        return Answer(error.status, error.code or None, str(error), error.request_id)
    return Answer(getattr(error, "status", None), None, str(error), getattr(error, "request_id", None))
