"""The console: what a dashboard would do, and a hand on the sandbox. JSON over HTTP, from loopback only.

GET  /_sandbox/state                     counters, faults, keys, clock
GET  /_sandbox/evidence                  every evidence item taken, oldest first, without payloads
POST /_sandbox/faults                    {"faults": ["500:0.1", …], "seed": 0}: these and no others
POST /_sandbox/rate                      {"rate": 10}: requests a second and a key
POST /_sandbox/clock                     {"offset": 3600}: seconds by which the server's clock is ahead
POST /_sandbox/tokens                    {"scope": "write", "token": …, "rate": …}: a new key; both optional
POST /_sandbox/tokens/KEY/rotate         {"token": …}: a new token; the old ones work for 24 hours more
POST /_sandbox/tokens/KEY/revoke         {}
POST /_sandbox/controls/CONTROL          {"signal": "fail"}: of its evidence from now on; null for the rules
POST /_sandbox/events                    {"type": "risk.scored", "data": {…}}: to the webhooks that asked for it
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.sandbox import controls, keys, webhooks
from agent.sandbox.faults import Faults
from agent.sandbox.gate import Traffic
from agent.sandbox.keys import Scope
from agent.sandbox.options import InvalidOption, loopback
from agent.sandbox.refusal import Refusal, encode
from agent.sandbox.verdict import Signal
from agent.sandbox.webhooks import Courier
from agent.sandbox.workspace import Workspace

Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Token = Annotated[str, Field(min_length=1, pattern=r"^[!-~]+$")]
Document = Mapping[str, Any]


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FaultsOrder(Order):
    faults: list[str]
    seed: int = 0


class RateOrder(Order):
    rate: Rate


class ClockOrder(Order):
    offset: Annotated[float, Field(allow_inf_nan=False)]


class IssueOrder(Order):
    scope: Scope
    token: Token | None = None
    rate: Rate | None = None


class RotateOrder(Order):
    token: Token | None = None


class SignalOrder(Order):
    signal: Signal | None


class EventOrder(Order):
    type: Literal[
        "evidence.collected", "control.drifted", "audit.readiness_changed", "risk.scored", "vendor.posture_changed"
    ]
    data: dict[str, Any] = {}


Given = TypeVar("Given", bound=Order)


class Console:
    """The routes under /_sandbox."""

    def __init__(self, workspace: Workspace, traffic: Traffic, courier: Courier) -> None:
        self._workspace = workspace
        self._traffic = traffic
        self._courier = courier

    def routes(self) -> list[Route]:
        return [
            _get("/state", self._state),
            _get("/evidence", self._evidence),
            _post("/faults", FaultsOrder, self._set_faults),
            _post("/rate", RateOrder, self._set_rate),
            _post("/clock", ClockOrder, self._set_clock),
            _post("/tokens", IssueOrder, self._issue),
            _post("/tokens/{key}/rotate", RotateOrder, self._rotate),
            _post("/tokens/{key}/revoke", Order, self._revoke),
            _post("/controls/{id}", SignalOrder, self._dictate),
            _post("/events", EventOrder, self._fire),
        ]

    def _state(self) -> Document:
        taken = self._workspace.row("SELECT count(*) AS number FROM evidence")
        known = self._workspace.rows("SELECT id, scope, rate, revoked_at IS NOT NULL AS revoked FROM key")
        return {
            "evidence": taken and taken["number"],
            "faults": self._traffic.faults.texts,
            "rate": self._traffic.rate,
            "clock": {"offset": self._workspace.clock.offset},
            "keys": [dict(row) | {"revoked": bool(row["revoked"])} for row in known],
            "statuses": self._traffic.statuses,
            "calls": self._traffic.calls,
            "struck": self._traffic.struck,
        }

    def _evidence(self) -> Document:
        columns = "id, control_id, source, collected_at, signal, created_at, key_id, idempotency_key"
        rows = self._workspace.rows(f"SELECT {columns} FROM evidence ORDER BY seq")  # noqa: S608 - a constant
        return {"data": [dict(row) for row in rows]}

    def _set_faults(self, order: FaultsOrder, _: Document) -> Document:
        self._traffic.faults = Faults(order.faults, order.seed)
        return {"faults": order.faults}

    def _set_rate(self, order: RateOrder, _: Document) -> Document:
        self._traffic.rate = order.rate
        return {"rate": order.rate}

    def _set_clock(self, order: ClockOrder, _: Document) -> Document:
        self._workspace.clock.offset = order.offset
        self._courier.wake()
        return {"offset": order.offset}

    def _issue(self, order: IssueOrder, _: Document) -> Document:
        key, token = keys.issue(self._workspace, order.scope, order.token, order.rate)
        return {"id": key, "scope": order.scope, "token": token}

    def _rotate(self, order: RotateOrder, path: Document) -> Document:
        return {"id": path["key"], "token": keys.rotate(self._workspace, path["key"], order.token)}

    def _revoke(self, _: Order, path: Document) -> Document:
        keys.revoke(self._workspace, path["key"])
        return {"id": path["key"], "revoked": True}

    def _dictate(self, order: SignalOrder, path: Document) -> Document:
        controls.dictate(self._workspace, path["id"], order.signal)
        return {"id": path["id"], "signal": order.signal}

    def _fire(self, order: EventOrder, _: Document) -> Document:
        made = webhooks.fire(self._workspace, order.type, order.data)
        self._courier.wake()
        return {"id": made}


def _get(path: str, find: Callable[[], Document]) -> Route:
    async def respond(request: Request) -> Response:
        _check_near(request)
        return Response(encode(find()), media_type="application/json")

    return Route(f"/_sandbox{path}", respond, methods=["GET"])


def _post(path: str, kind: type[Given], obey: Callable[[Given, Document], Document]) -> Route:
    async def respond(request: Request) -> Response:
        _check_near(request)
        try:
            done = obey(await _order(request, kind), request.path_params)
        except InvalidOption as error:
            raise Refusal(400, "validation_error", str(error)) from error
        return Response(encode(done), media_type="application/json")

    endpoint: Callable[[Request], Awaitable[Response]] = respond
    return Route(f"/_sandbox{path}", endpoint, methods=["POST"])


async def _order(request: Request, kind: type[Given]) -> Given:
    try:
        return kind.model_validate_json(await request.body() or b"{}")
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise Refusal(400, "validation_error", f"The order is not understood: {faults}.") from error


def _check_near(request: Request) -> None:
    if request.client is None or not loopback(request.client.host):
        raise Refusal(404, "not_found", "The console answers on loopback only.")
