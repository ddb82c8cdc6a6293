"""A request to the API and its answer: what both clients share, whoever does the waiting."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib.metadata import version
from typing import Any, TypeVar
from urllib.parse import urlencode

import httpx
from pydantic import ValidationError

from agent.endpoints import Operation, check_base_url
from agent.errors import ApiError, NoAnswer, UnreadableAnswer, kind_of
from agent.models import Receipt, Refusal
from agent.pacing import retry_after
from agent.token import Token

T = TypeVar("T")

Observe = Callable[[int, Mapping[str, str]], None]
"""Is told the status and the headers of every answer, as it comes."""

# What httpx raises before a request is on its way; all else may come after the API has taken it.
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)

_UNAUTHORIZED = 401
_FIRST_REFUSAL = 400


class Exchange:
    """A request as both clients make it: with the token, and once more if the API refuses it and there is a new one."""

    def __init__(self, base_url: str, token: Token, observe: Observe | None) -> None:
        self._base_url = check_base_url(base_url)
        self._token = token
        self._observe = observe

    def request(self, operation: Operation[Any]) -> httpx.Request:
        query = "?" + urlencode(operation.query, errors="replace") if operation.query else ""
        headers = {"User-Agent": _user_agent(), "Accept": "application/json"}
        if operation.body is not None:
            headers["Content-Type"] = "application/json"
        if operation.idempotency_key is not None:
            headers["Idempotency-Key"] = operation.idempotency_key
        url = _url(self._base_url + operation.path + query)
        return httpx.Request(operation.method, url, headers=headers, content=operation.body)

    def flow(self, request: httpx.Request, *, renews: bool = True) -> Generator[httpx.Request, httpx.Response, None]:
        """The request; where the token is refused and there is another one by now, once more, if it `renews` it."""
        tried = self._token.value
        response = yield from self._send(request, tried)
        is_refused = renews and response.status_code == _UNAUTHORIZED
        if is_refused and (self._token.value != tried or self._token.renew()):
            yield from self._send(request, self._token.value)

    def _send(self, request: httpx.Request, token: str) -> Generator[httpx.Request, httpx.Response, httpx.Response]:
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if self._observe is not None:
            self._observe(response.status_code, response.headers)
        return response


@contextmanager
def reaching(operation: Operation[Any], request: httpx.Request) -> Iterator[None]:
    """Turns every way of getting no answer into NoAnswer."""
    try:
        yield
    except (httpx.RequestError, OSError) as error:
        reason = f"{type(error).__name__} {error}".strip()
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            reason += "; if its certificate comes from a private authority, name that one's file in ca_file"
        sent = not isinstance(error, _NEVER_SENT)
        raise NoAnswer(f"no answer from {request.url.host} to {operation}: {reason}", sent=sent) from error


def read_answer(operation: Operation[T], response: httpx.Response) -> T:
    """What an answer says. Raises UnreadableAnswer and ApiError."""
    if response.status_code >= _FIRST_REFUSAL:
        raise _refusal(operation, response)
    if not response.is_success:
        raise _unreadable(operation, response, "is a redirect, which the token does not follow: mend base_url")
    try:
        return _signed(operation.parse(response.content), response)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
    where = ", ".join(".".join(map(str, fault["loc"])) or fault["type"] for fault in faults[:3])
    raise _unreadable(operation, response, f"is not what the API documents ({where}): is a proxy in between?")


def _signed(answer: T, response: httpx.Response) -> T:
    """A receipt also says under which request id it was given."""
    if isinstance(answer, Receipt):
        return answer.model_copy(update={"request_id": response.headers.get("x-request-id")})
    return answer


def _unreadable(operation: Operation[Any], response: httpx.Response, problem: str) -> UnreadableAnswer:
    media = response.headers.get("content-type", "")
    message = f"the answer to {operation}, of type {media or 'unknown'}, {problem}"
    request_id = response.headers.get("x-request-id")
    return UnreadableAnswer(message, status=response.status_code, request_id=request_id, media=media)


def _refusal(operation: Operation[Any], response: httpx.Response) -> ApiError:
    status, headers = response.status_code, response.headers
    try:
        body = Refusal.model_validate_json(response.content)
    except ValidationError:
        media = headers.get("content-type", "unknown")
        body = Refusal(code="", message=f"the answer to {operation}, of type {media}, is not the API's error body")
    return kind_of(status)(
        body.message,
        status=status,
        code=body.code,
        detail=body.detail,
        request_id=headers.get("x-request-id"),
        retry_after=retry_after(headers, now=datetime.now(UTC), status=status),
    )


@lru_cache(maxsize=64)
def _url(text: str) -> httpx.URL:
    """Evidence always goes to the same one, and reading it takes httpx as long as all else about a request."""
    return httpx.URL(text)


@cache
def _user_agent() -> str:
    return f"chequr-agent/{version('chequr-agent')}"
