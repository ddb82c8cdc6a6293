"""What an answer of the API means for the item that was sent: pure functions of the answer."""

from typing import Literal

from agent.errors import ApiError, ChequrError, Forbidden, NoAnswer, TokenRefused, TokenUnusable, Unauthorized
from agent.items import Answer, Item

Verdict = Literal["defer", "reject", "hold", "look_up"]
Health = Literal["taken", "answered", "failed", "unknown"]

CONFLICT = 409
FAILURES = 500
"""The first status of those that are the API's own fault."""
_TOO_LARGE = 413
_RETRIABLE = frozenset({408, 425, 429})
_TOO_EARLY = frozenset({425, 429})


def judge(error: ChequrError) -> Verdict:
    """What becomes of an item that was not accepted. The status and the code decide, never the text.

    No answer, or none that can be read, says nothing about the item. 401 and 403 are about the token, 408, 425, 429
    and 5xx about the moment, 409 may mean that the item was taken before, and all else is about the item: where the
    API says it in its own words, or where it is too large for whoever is in between.
    """
    if isinstance(error, TokenRefused):
        return "hold"
    if not isinstance(error, ApiError) or error.status >= FAILURES or error.status in _RETRIABLE:
        return "defer"
    if error.status == _TOO_LARGE:
        return "reject"
    if not error.code:
        return "defer"
    if error.status == CONFLICT:
        return "defer" if "progress" in error.code else "look_up"
    return "reject"


def certainly_not_taken(error: ChequrError) -> bool:
    """Whether the API cannot have taken what was answered like this.

    It never came to the API, or was turned away before anybody looked at it, or was looked at and refused. A 409 is
    about what came before, and what a proxy answers is no word of the API's.
    """
    if isinstance(error, NoAnswer):
        return not error.sent
    if isinstance(error, TokenRefused):
        return True
    if not isinstance(error, ApiError) or error.status >= FAILURES:
        return False
    return error.status in _TOO_EARLY or error.status == _TOO_LARGE or (bool(error.code) and judge(error) == "reject")


def health(error: ChequrError) -> Health:
    """What an answer says about the API as a whole.

    taken      it works, and took the token: it judged the item
    answered   it works
    failed     it does not, or is not what answers
    unknown    neither
    """
    if isinstance(error, TokenUnusable):
        return "unknown"
    if not isinstance(error, ApiError) or error.status >= FAILURES:
        return "failed"
    if error.status in _RETRIABLE or isinstance(error, Unauthorized | Forbidden):
        return "answered" if error.code else "unknown"
    return "taken" if error.code else "failed"


def needs_another_key(item: Item) -> str | None:
    """Why a rejected item would get the same answer again under its key; None where it may fare better."""
    if item.state != "rejected":
        return None
    if item.status == CONFLICT:
        return "the API has something else under their key"
    if item.status is not None and item.refused_as == refused_as(item):
        return "they were retried and refused as before, so the API may have that answer stored with their key"
    return None


def refused_as(item: Item) -> str:
    """A refusal as it is remembered when its item is retried."""
    return f"{item.status or ''} {item.code or ''}"


def answer_of(error: ChequrError) -> Answer:
    """The answer as it is kept with the item."""
    if isinstance(error, ApiError):
        return Answer(error.status, error.code or None, str(error), error.request_id)
    return Answer(getattr(error, "status", None), None, str(error), getattr(error, "request_id", None))
