"""The routes of the API, and the scope that each needs.

    POST /v1/evidence       write     201 with id, status, created_at
    GET  /v1/controls       read      200
    GET  /v1/controls/:id   read      200
    POST /v1/webhooks       admin     201 with id, url, events, created_at
    GET  /v1/audit-log      read      200

The reference does not say which 2xx a POST answers: 201 is taken.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.sandbox import audit, controls, evidence, webhooks
from agent.sandbox.call import Answer, Call, refused
from agent.sandbox.console import Console
from agent.sandbox.gate import Gate, Traffic, broken
from agent.sandbox.idempotency import Claim, Idempotency
from agent.sandbox.keys import Scope
from agent.sandbox.options import Options
from agent.sandbox.refusal import Refusal, encode
from agent.sandbox.webhooks import Courier
from agent.sandbox.workspace import Workspace

Endpoint = Callable[[Request], Awaitable[Response]]


def build(
    workspace: Workspace,
    traffic: Traffic,
    courier: Courier,
    options: Options,
    lifespan: Callable[[], AsyncIterator[None]],
) -> Starlette:
    """The ASGI application. `lifespan` runs around its serving."""
    api = Api(workspace, courier, options)
    app = Starlette(
        routes=[*api.routes(), *Console(workspace, traffic, courier).routes()],
        middleware=[Middleware(Gate, workspace=workspace, traffic=traffic)],
        exception_handlers={Refusal: _refuse, HTTPException: _refuse_route, Exception: _fail},
        lifespan=asynccontextmanager(lambda _: lifespan()),
    )
    app.router.redirect_slashes = False
    return app


class Api:
    """The five endpoints of the reference."""

    def __init__(self, workspace: Workspace, courier: Courier, options: Options) -> None:
        self._workspace = workspace
        self._courier = courier
        self._too_large = options.too_large
        self._idempotency = Idempotency(workspace, options.idempotency_ttl)

    def routes(self) -> list[Route]:
        return [
            Route("/v1/evidence", self._writing("write", self._submit), methods=["POST"]),
            Route("/v1/controls", self._reading(self._list_controls), methods=["GET"]),
            Route("/v1/controls/{id}", self._reading(self._retrieve_control), methods=["GET"]),
            Route("/v1/webhooks", self._writing("admin", self._register), methods=["POST"]),
            Route("/v1/audit-log", self._reading(self._read_audit_log), methods=["GET"]),
        ]

    def _reading(self, find: Callable[[Request], dict[str, Any]]) -> Endpoint:
        async def respond(request: Request) -> Response:
            call: Call = request.scope["call"]
            call.key.require("read")
            await request.scope["wait"](call.strike.delay)
            return _response(broken() if call.strike.kind == "stored-500" else Answer(200, encode(find(request))))

        return respond

    def _writing(self, scope: Scope, act: Callable[[Call, Callable[[bytes], None]], None]) -> Endpoint:
        async def respond(request: Request) -> Response:
            call: Call = request.scope["call"]
            call.key.require(scope)
            with self._idempotency.claim(call) as claim:
                await request.scope["wait"](call.strike.delay)
                return _response(claim.answer or self._act(call, claim, act))

        return respond

    def _act(self, call: Call, claim: Claim, act: Callable[[Call, Callable[[bytes], None]], None]) -> Answer:
        if call.strike.kind == "stored-500":
            claim.keep(broken())
            return broken()
        made: list[Answer] = []

        def keep(body: bytes) -> None:
            made.append(Answer(201, body))
            claim.keep(made[0])

        act(call, keep)
        self._courier.wake()
        return made[0]

    def _submit(self, call: Call, keep: Callable[[bytes], None]) -> None:
        read = evidence.read(call.body, now=self._workspace.clock.now(), too_large=self._too_large)
        evidence.submit(self._workspace, read, call, keep)

    def _register(self, call: Call, keep: Callable[[bytes], None]) -> None:
        webhooks.register(self._workspace, webhooks.read(call.body), call.key.id, keep)

    def _list_controls(self, request: Request) -> dict[str, Any]:
        return controls.page(self._workspace, request.query_params)

    def _retrieve_control(self, request: Request) -> dict[str, Any]:
        return controls.retrieve(self._workspace, request.path_params["id"])

    def _read_audit_log(self, request: Request) -> dict[str, Any]:
        return audit.page(self._workspace, request.query_params)


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, answer.headers, answer.media_type)


async def _refuse(_: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    return _response(refused(refusal))


async def _refuse_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    method, path = request.method, request.url.path
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allow = dict(error.headers or {}).get("Allow", "")
        message = f"{path} does not take {method}."
        refusal = Refusal(405, "method_not_allowed", message, hint=f"Use {allow}.", headers={"allow": allow})
    else:
        refusal = Refusal(404, "not_found", f"There is nothing at {path}.", hint="Paths start with /v1.")
    return await _refuse(request, refusal)


async def _fail(_: Request, __: Exception) -> Response:
    """A mistake of the sandbox itself; the server logs it."""
    return _response(broken())
