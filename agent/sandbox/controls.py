"""Controls: what the workspace must keep to, ordered by id."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from agent.sandbox import cursor, seed
from agent.sandbox.options import InvalidOption
from agent.sandbox.refusal import invalid, unknown_control
from agent.sandbox.verdict import STATUSES, Signal, Status, following
from agent.sandbox.workspace import Workspace

Framework = Literal["soc2", "iso_27001", "hipaa", "pci_dss", "gdpr", "nist_csf"]
FRAMEWORKS: tuple[Framework, ...] = get_args(Framework)
NEWEST = 50


class Owner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str
    name: str


class Policy(BaseModel):
    model_config = ConfigDict(extra="forbid")

    cadence: str
    evaluator: str


class Control(BaseModel):
    """One control as in a controls file, in the words of GET /v1/controls/:id."""

    model_config = ConfigDict(extra="forbid")

    id: str
    framework: Framework
    code: str
    name: str
    owner: Owner
    test_policy: Policy
    status: Status = "not_tested"
    last_tested_at: str | None = None


def load(path: Path | None) -> list[Control]:
    """The controls of a JSON file, a list of them; without one, the seed. Raises InvalidOption."""
    if path is None:
        return _seeded()
    try:
        return TypeAdapter(list[Control]).validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidOption(f"The controls file {path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        told = ([".".join(map(str, fault["loc"])), fault["msg"]] for fault in error.errors())
        faults = "; ".join(": ".join(filter(None, parts)) for parts in told)
        raise InvalidOption(f"The controls file {path} must hold a JSON list of controls: {faults}.") from error


def _seeded() -> list[Control]:
    return [
        Control(
            id=id_,
            framework=TypeAdapter(Framework).validate_python(framework),
            code=code,
            name=name,
            owner=Owner(id=owner_id, name=owner_name),
            test_policy=Policy(cadence=cadence, evaluator=evaluator),
            status="passing" if id_ in seed.TESTED else "not_tested",
            last_tested_at=seed.TESTED.get(id_),
        )
        for id_, framework, code, name, (owner_id, owner_name), cadence, evaluator in seed.CONTROLS
    ]


def install(workspace: Workspace, controls: list[Control]) -> None:
    """Adds controls and brings their descriptions up to date; the status of those known already stays."""
    with workspace.transaction():
        for control in controls:
            workspace.write(
                "INSERT INTO control VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL) ON CONFLICT (id) DO UPDATE SET "
                "framework = excluded.framework, code = excluded.code, name = excluded.name, "
                "owner_id = excluded.owner_id, owner_name = excluded.owner_name, cadence = excluded.cadence, "
                "evaluator = excluded.evaluator",
                *(control.id, control.framework, control.code, control.name, control.owner.id, control.owner.name),
                *(control.test_policy.cadence, control.test_policy.evaluator, control.status, control.last_tested_at),
            )


def page(workspace: Workspace, query: Mapping[str, str]) -> dict[str, Any]:
    """One page for the parameters framework, status, limit and cursor. Raises Refusal."""
    cursor.refuse_deprecated(query)
    limit = cursor.limit(query, most=100, default=25)
    given = {"framework": _one_of(query, "framework", FRAMEWORKS), "status": _one_of(query, "status", STATUSES)}
    filters, (after,) = cursor.decode(query["cursor"], "controls", given) if "cursor" in query else (given, [""])
    found = workspace.rows(
        "SELECT id, framework, code, name, status, last_tested_at FROM control WHERE id > ? "
        "AND framework = coalesce(?, framework) AND status = coalesce(?, status) ORDER BY id LIMIT ?",
        *(after, filters["framework"], filters["status"], limit + 1),
    )
    following = cursor.encode("controls", filters, [found[limit - 1]["id"]]) if len(found) > limit else None
    return {"data": [dict(row) for row in found[:limit]], "next_cursor": following}


def retrieve(workspace: Workspace, control_id: str) -> dict[str, Any]:
    """A control with its owner, its policy and its 50 newest evidence items. Raises Refusal (404)."""
    row = find(workspace, control_id)
    newest = workspace.rows(
        "SELECT id, source, signal AS status, collected_at FROM evidence WHERE control_id = ? "
        "ORDER BY seq DESC LIMIT ?",
        *(control_id, NEWEST),
    )
    return {
        **{name: row[name] for name in ("id", "framework", "code", "name")},
        "owner": {"id": row["owner_id"], "name": row["owner_name"]},
        "status": row["status"],
        "test_policy": {"cadence": row["cadence"], "evaluator": row["evaluator"]},
        "evidence": [dict(item) for item in newest],
    }


def find(workspace: Workspace, control_id: str) -> Mapping[str, Any]:
    row = workspace.row("SELECT * FROM control WHERE id = ?", control_id)
    if row is None:
        raise unknown_control(control_id)
    return dict(row)


def follow(workspace: Workspace, control: Mapping[str, Any], signal: Signal, at: str) -> Status:
    """Moves the control to the status after `signal`, and gives it."""
    status = following(control["status"], signal)
    if signal != "review":
        statement = "UPDATE control SET status = ?, last_tested_at = ? WHERE id = ?"
        workspace.write(statement, status, at, control["id"])
    return status


def dictate(workspace: Workspace, control_id: str, signal: Signal | None) -> None:
    """From now on evidence of the control gets `signal`; None lets the rules decide. Raises Refusal (404)."""
    find(workspace, control_id)
    workspace.write("UPDATE control SET verdict = ? WHERE id = ?", signal, control_id)


def _one_of(query: Mapping[str, str], name: str, known: tuple[str, ...]) -> str | None:
    value = query.get(name)
    if value is not None and value not in known:
        raise invalid(name, f'"{name}" does not know {json.dumps(value)}.', f"Use one of {', '.join(known)}.")
    return value
