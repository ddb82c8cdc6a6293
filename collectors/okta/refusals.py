"""Okta's answers, translated: what a good one holds, and which CollectionError a bad one is."""

import json
import re
from http import HTTPStatus
from typing import Any

from collectors.errors import AccessDenied, CollectionError, Invalid, NotEnabled, NotFound, Unauthenticated, Unavailable
from collectors.okta.requests import Answer, Ask, Lost

_FEATURE_OFF = frozenset({"E0000015", "E0000060"})
_NOT_ON_CLASSIC = frozenset({400, 404, 405})
_REDIRECTS = range(300, 400)
_KINDS: dict[int, type[CollectionError]] = {401: Unauthenticated, 404: NotFound}
_TOKEN_DENIED = frozenset({"invalid_scope", "unauthorized_client", "consent_required", "access_denied"})
_WORDS = 500


def content(answer: Answer | Lost, ask: Ask) -> Any:
    """The JSON value of a good answer. Raises CollectionError."""
    if isinstance(answer, Lost):
        raise Unavailable(str(answer), operation=ask.operation) from answer
    if not answer.succeeded:
        raise refusal(answer, ask)
    if "json" not in answer.media_type:
        kind = answer.media_type or "no media type"
        message = (
            f"a {answer.status} came with {kind} where JSON should be: a proxy or a sign-in page answered for Okta"
        )
        raise Unavailable(message, operation=ask.operation)
    try:
        return json.loads(answer.body)
    except ValueError as error:
        message = f"the answer is not whole JSON, {len(answer.body)} characters long"
        raise Unavailable(message, operation=ask.operation) from error


def items(answer: Answer | Lost, ask: Ask, within: str | None = None) -> tuple[list[dict[str, Any]], str | None]:
    """The objects of a good page, and the link to the next one that the page itself has. Raises CollectionError.

    `within` is the field that holds them, where they come inside an object.
    """
    page, linked = content(answer, ask), None
    if within is not None:
        links = page.get("_links") if isinstance(page, dict) else None
        following = links.get("next") if isinstance(links, dict) else None
        linked = str(following["href"]) if isinstance(following, dict) and following.get("href") else None
        page = page.get(within) if isinstance(page, dict) else None
    if not isinstance(page, list) or not all(isinstance(item, dict) for item in page):
        place = f"`{within}`" if within else "the answer"
        raise Invalid(f"{place} is not a list of objects", operation=ask.operation)
    return page, linked


def thing(answer: Answer | Lost, ask: Ask) -> dict[str, Any]:
    """The single object of a good answer. Raises CollectionError."""
    found = content(answer, ask)
    if not isinstance(found, dict):
        raise Invalid("the answer is not an object", operation=ask.operation)
    return found


def refusal(answer: Answer, ask: Ask) -> CollectionError:
    """The error that an answer without success is."""
    code, words = _words(answer)
    message = f"{answer.status} {words}"
    if answer.operation is not None:
        return _token_refusal(answer, code, message, ask)
    if code in _FEATURE_OFF:
        return NotEnabled(message, operation=ask.operation)
    if ask.identity_engine and answer.status in _NOT_ON_CLASSIC:
        return NotEnabled(f"the org is not on Identity Engine: {message}", operation=ask.operation)
    if answer.status == HTTPStatus.FORBIDDEN:
        return _denied(answer, message, ask)
    if answer.status in _REDIRECTS:
        message = f"{message}: a redirect, not followed; check org_url"
    return _KINDS.get(answer.status, Unavailable)(message, operation=ask.operation)


def lacks_scope(answer: Answer | Lost | None) -> bool:
    """Whether it is the token endpoint's word for a scope that the app was not granted."""
    return isinstance(answer, Answer) and answer.operation is not None and _words(answer)[0] == "invalid_scope"


def _denied(answer: Answer, message: str, ask: Ask) -> AccessDenied:
    scope = _challenge(answer, "scope") or ask.permission
    if scope:
        message = f"{message.rstrip('.')}. The scope {scope} is needed, and an admin role that may read this"
    return AccessDenied(message, operation=ask.operation, permission=scope)


def _token_refusal(answer: Answer, code: str, message: str, ask: Ask) -> CollectionError:
    if code in _TOKEN_DENIED:
        message = f"{message}. Grant the app what `scopes` asks for, or ask for less"
        return AccessDenied(message, operation=answer.operation, permission=ask.permission)
    if answer.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED}:
        return Unauthenticated(message, operation=answer.operation)
    return Unavailable(message, operation=answer.operation)


def _words(answer: Answer) -> tuple[str, str]:
    """Okta's error code, and its reason in one line."""
    try:
        body = json.loads(answer.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        reason = _challenge(answer, "error_description") or "without a reason"
        return _challenge(answer, "error") or "", reason
    code = str(body.get("errorCode") or body.get("error") or "")
    summary = str(body.get("errorSummary") or body.get("error_description") or "")
    listed = body.get("errorCauses")
    causes = (
        [str(cause.get("errorSummary")) for cause in listed if isinstance(cause, dict)]
        if isinstance(listed, list)
        else []
    )
    return code, " ".join(word for word in (code, summary, *causes) if word)[:_WORDS]


def _challenge(answer: Answer, name: str) -> str | None:
    found = re.search(rf'\b{name}="([^"]*)"', answer.headers.get("WWW-Authenticate", ""))
    return found[1] if found else None
