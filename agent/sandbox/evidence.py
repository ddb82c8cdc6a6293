"""Evidence: checked, judged and kept; the control, the audit log and the webhooks follow in one transaction."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.sandbox import audit, controls, payload, verdict, webhooks
from agent.sandbox.call import Call
from agent.sandbox.clock import instant, stamp
from agent.sandbox.identifier import identifier
from agent.sandbox.refusal import Refusal, encode, invalid
from agent.sandbox.verdict import Signal
from agent.sandbox.workspace import Workspace

AHEAD = 5 * 60
"""Seconds by which `collected_at` may be ahead of the server's clock."""


@dataclass(frozen=True)
class Submission:
    """The body of POST /v1/evidence, read and found to keep the rules that do not need the workspace."""

    control_id: str
    source: str
    collected_at: str
    payload: dict[str, Any]


@dataclass(frozen=True)
class Evidence:
    """An evidence item as it was taken. `created_at` is in seconds since the epoch, `body` the request's bytes."""

    id: str
    control_id: str
    source: str
    collected_at: str
    signal: Signal
    created_at: int
    key_id: str
    idempotency_key: str | None
    body: bytes

    @property
    def payload(self) -> dict[str, Any]:
        payload: dict[str, Any] = json.loads(self.body)["payload"]
        return payload


def read(body: bytes, *, now: float, too_large: int) -> Submission:
    """Raises Refusal. `too_large` is the status of a payload over the limit."""
    text, document = payload.parse(body)
    submission = Submission(
        payload.member(document, "control_id", str, "Pass a control ID like ctrl_ac_02."),
        payload.member(document, "source", str, "Pass the origin system, such as aws, okta, github or manual."),
        payload.member(document, "collected_at", str, "Pass an ISO-8601 timestamp like 2026-04-15T09:14:22Z."),
        payload.member(document, "payload", dict, "Pass the raw evidence as a JSON object of at most 1 MB."),
    )
    if not submission.source:
        raise invalid("source", 'Field "source" is empty.', "Pass the origin system, such as aws.")
    _check_time(submission.collected_at, now)
    _check_size(payload.size(text, "payload", submission.payload), too_large)
    return submission


def _check_time(collected_at: str, now: float) -> None:
    hint = "Pass an ISO-8601 timestamp with its offset, like 2026-04-15T09:14:22Z."
    try:
        collected = instant(collected_at)
    except ValueError:
        raise invalid("collected_at", 'Field "collected_at" is not an ISO-8601 timestamp.', hint) from None
    if collected > now + AHEAD:
        message = f'"collected_at" is {collected - now:.0f} seconds in the future.'
        hint = f"It may be {AHEAD} seconds ahead of the server, whose time is {stamp(now)}."
        raise Refusal(422, "collected_in_future", message, field="collected_at", hint=hint)


def _check_size(size: int, status: int) -> None:
    if size > payload.MAX_PAYLOAD:
        message = f"The payload has {size} bytes; {payload.MAX_PAYLOAD} are allowed."
        hint = "Split it. The size counts as sent, and with everything but ASCII escaped."
        raise Refusal(status, "payload_too_large", message, field="payload", hint=hint)


def submit(workspace: Workspace, submission: Submission, call: Call, keep: Callable[[bytes], None]) -> None:
    """Takes the evidence and hands the answer to `keep`, all in one transaction. Raises Refusal (404)."""
    with workspace.transaction():
        control = controls.find(workspace, submission.control_id)
        signal = control["verdict"] or verdict.signal(submission.payload, control["evaluator"])
        at = workspace.clock.second()
        made = identifier("ev")
        workspace.write(
            "INSERT INTO evidence (id, control_id, source, collected_at, signal, created_at, key_id, idempotency_key, "
            "body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(made, submission.control_id, submission.source, submission.collected_at, signal, at, call.key.id),
            *(call.idempotency_key, call.body),
        )
        status = controls.follow(workspace, control, signal, stamp(at))
        audit.append(workspace, audit.Actor("api_key", call.key.id), "evidence.submitted", made)
        _tell(workspace, control, submission, {"evidence_id": made, "signal": signal, "status": status}, stamp(at))
        keep(encode({"id": made, "status": "accepted", "created_at": stamp(at)}))


def _tell(
    workspace: Workspace, control: Mapping[str, Any], submission: Submission, outcome: Mapping[str, str], at: str
) -> None:
    collected = {
        "evidence_id": outcome["evidence_id"],
        "control_id": control["id"],
        "source": submission.source,
        "collected_at": submission.collected_at,
        "test_result": {
            "evaluator": control["evaluator"],
            "signal": outcome["signal"],
            "control_status": outcome["status"],
            "tested_at": at,
        },
    }
    webhooks.fire(workspace, "evidence.collected", collected)
    if outcome["status"] == "drifted" and control["status"] != "drifted":
        drifted = {"control_id": control["id"], "previous_status": control["status"], "current_status": "drifted"}
        webhooks.fire(workspace, "control.drifted", drifted | {"detected_at": at})


def taken(workspace: Workspace) -> list[Evidence]:
    """All evidence, oldest first."""
    rows = workspace.rows(
        "SELECT id, control_id, source, collected_at, signal, created_at, key_id, idempotency_key, body "
        "FROM evidence ORDER BY seq"
    )
    return [Evidence(**dict(row)) for row in rows]
