"""The SDK's request executor on one event loop in one thread: a GET in, a whole answer out.

The executor brings Okta's ways of signing in, and token renewal. Its typed client is never used: that one turns
failures into shorter lists. Its own retries are off, because they sleep as long as a header says.
"""

import asyncio
import json
import logging
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from collectors.okta.requests import Answer, Ask, Lost

TOKEN = "POST /oauth2/v1/token"  # noqa: S105 - the name of a call
_AT_ONCE = 4


class Wire:
    """The executor's HTTP client.

    The SDK's own one prints requests with their token, follows redirects to wherever, and does not know NO_PROXY.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._headers = settings["headers"]
        self._proxy = settings["proxy"]
        self._session: Any = None

    def set_session(self, session: Any) -> None:
        self._session = session

    async def send_request(self, request: Mapping[str, Any]) -> tuple[Any, Any, str | None, Exception | None]:
        """Request, response, body and error, as the executor wants them."""
        import aiohttp

        try:
            async with self._session.request(
                request["method"],
                request["url"],
                headers={**self._headers, **request["headers"]},
                data=request["form"] or None,
                proxy=self._proxy,
                allow_redirects=False,
            ) as response:
                return response.request_info, response, _text(response.content_type, await response.read()), None
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return None, None, None, error


def _text(media_type: str, body: bytes) -> str:
    return body.decode("utf-8", "strict" if "json" in media_type else "replace")


class Transport:
    """One session with an org, from its first read to `close`. Its methods may be called from any thread."""

    def __init__(self, client: Mapping[str, Any], timeout: float) -> None:
        """`client` is the SDK's configuration: org, and way of signing in. `timeout` is the seconds an answer may take.

        It is written by hand, so that neither an okta.yaml nor OKTA_CLIENT_* has a say.
        """
        from okta.cache.no_op_cache import NoOpCache
        from okta.request_executor import RequestExecutor

        logging.getLogger("okta-sdk-python").disabled = True  # it prints tokens
        self._org_url = client["orgUrl"]
        self._timeout = timeout
        limits = {"requestTimeout": 0, "rateLimit": {"maxRetries": 0}, "proxy": _proxy(self._org_url)}
        executor: Any = RequestExecutor
        cache: Any = NoOpCache
        self._executor = executor({"client": {**limits, **client}}, cache(), http_client=Wire)
        started: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)), name="okta", daemon=True)
        self._thread.start()
        self._loop = started.result()

    async def _serve(self, started: "Future[asyncio.AbstractEventLoop]") -> None:
        import aiohttp

        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._stop = asyncio.Event()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._timeout)) as session:
            self._executor.set_session(session)
            started.set_result(asyncio.get_running_loop())
            await self._stop.wait()

    def sign_in(self) -> "Future[Answer | Lost | None]":
        """Asks for a token, where that is the way of signing in; the future's result is a refusal, or None."""
        return asyncio.run_coroutine_threadsafe(self._sign_in(), self._loop)

    async def _sign_in(self) -> Answer | Lost | None:
        asked = await self._request("/", {})
        return asked if isinstance(asked, Answer | Lost) else None

    def get(self, ask: Ask) -> "Future[Answer | Lost]":
        """Sends a GET; the future's result is what came back."""
        return asyncio.run_coroutine_threadsafe(self._get(ask), self._loop)

    async def _get(self, ask: Ask) -> Answer | Lost:
        async with self._turns:
            request = await self._request(ask.path, ask.headers)
            if isinstance(request, Answer | Lost):
                return request
            _, response, body, error = await self._executor.fire_request(request)
            return self._lost(error) if response is None else _answer(response, body)

    async def _request(self, path: str, headers: Mapping[str, str]) -> dict[str, Any] | Answer | Lost:
        """A request with a token in it, or what came instead of a token."""
        try:
            request, refused = await self._executor.create_request("GET", self._org_url + path, headers=dict(headers))
        except (ValueError, AttributeError):  # the SDK's way of not understanding what the token call brought
            return Lost(f"{TOKEN}: the answer cannot be understood")
        if refused is not None:
            return _token_answer(refused)
        made: dict[str, Any] = request
        return made

    def _lost(self, error: Exception) -> Lost:
        if isinstance(error, TimeoutError):
            return Lost(f"no whole answer within {self._timeout:g} seconds")
        return Lost(f"no whole answer: {str(error) or type(error).__name__}")

    def close(self) -> None:
        """Ends session, loop and thread."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


def _answer(response: Any, body: str) -> Answer:
    try:
        following = response.links.get("next")
        url = str(following["url"]) if following else None
    except ValueError:
        url = "malformed:"
    return Answer(response.status, response.headers, body, url)


def _token_answer(refused: Any) -> Answer | Lost:
    """The token endpoint's refusal, which the SDK has already taken apart."""
    status = getattr(refused, "status", None)
    if status is None:
        return Lost(f"{TOKEN}: no token came: {str(refused) or type(refused).__name__}")
    headers = getattr(refused, "headers", None) or getattr(refused, "response_headers", {})
    words = {
        "errorCode": getattr(refused, "error_code", ""),
        "errorSummary": getattr(refused, "error_summary", ""),
    }
    return Answer(status, headers, json.dumps(words), operation=TOKEN)


def _proxy(org_url: str) -> str | None:
    """The proxy that the environment names for this org, NO_PROXY honoured."""
    parts = urlsplit(org_url)
    if parts.hostname is None or parts.scheme == "http" or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)
