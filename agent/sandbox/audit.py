"""The audit log: every action, oldest first, never changed.

Bounds are inclusive. The first page fixes `from` and `to`, the defaults too, so paging ends although new entries
arrive.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.sandbox import cursor
from agent.sandbox.clock import instant, stamp
from agent.sandbox.identifier import identifier
from agent.sandbox.refusal import Refusal, invalid
from agent.sandbox.workspace import Workspace

WEEK = 7 * 24 * 3600

_PAGE = "SELECT * FROM audit WHERE (at, seq) > (:at, :seq) AND at <= :to ORDER BY at, seq LIMIT :limit"
_PAGE_OF_ACTOR = (
    "SELECT * FROM audit WHERE (at, seq) > (:at, :seq) AND at <= :to AND actor_id = :actor "
    "ORDER BY at, seq LIMIT :limit"
)


@dataclass(frozen=True)
class Actor:
    type: str
    id: str
    name: str | None = None

    def document(self) -> dict[str, str]:
        named = {} if self.name is None else {"name": self.name}
        return {"type": self.type, "id": self.id, **named}


OPERATOR = Actor("user", "usr_1", "Sandbox operator")
"""Who acts through the console, where the dashboard would be."""


def append(workspace: Workspace, actor: Actor, action: str, target: str) -> None:
    """Called inside the transaction of the action itself."""
    workspace.write(
        "INSERT INTO audit (id, actor_type, actor_id, actor_name, action, target, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        *(identifier("al"), actor.type, actor.id, actor.name, action, target, workspace.clock.second()),
    )


def page(workspace: Workspace, query: Mapping[str, str]) -> dict[str, Any]:
    """One page for the parameters from, to, actor, limit and cursor. Raises Refusal."""
    cursor.refuse_deprecated(query)
    limit = cursor.limit(query, most=250, default=100)
    filters, after = _start(workspace, query)
    found = workspace.rows(
        _PAGE if filters["actor"] is None else _PAGE_OF_ACTOR,
        {"at": after[0], "seq": after[1], "limit": limit + 1} | filters,
    )
    last = found[limit - 1] if len(found) > limit else None
    following = last and cursor.encode("audit-log", filters, [last["at"], last["seq"]])
    return {"data": [_entry(dict(row)) for row in found[:limit]], "next_cursor": following}


def _start(workspace: Workspace, query: Mapping[str, str]) -> tuple[cursor.Filters, list[Any]]:
    given: cursor.Filters = {"from": _bound(query, "from"), "to": _bound(query, "to"), "actor": query.get("actor")}
    if "cursor" in query:
        filters, after = cursor.decode(query["cursor"], "audit-log", given)
        return filters, after
    now = workspace.clock.now()
    filters = given | {
        "from": now - WEEK if given["from"] is None else given["from"],
        "to": now if given["to"] is None else given["to"],
    }
    if filters["from"] > filters["to"]:
        hint = "Without `from` the log starts 7 days ago; without `to` it ends now."
        raise Refusal(422, "invalid_range", '"from" is later than "to".', field="from", hint=hint)
    return filters, [filters["from"], -1]


def _bound(query: Mapping[str, str], name: str) -> float | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        return instant(text)
    except ValueError:
        hint = "Pass a time like 2026-04-01T00:00:00Z; a + must be sent as %2B."
        raise invalid(name, f'"{name}" is not an ISO-8601 timestamp.', hint) from None


def _entry(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "actor": Actor(row["actor_type"], row["actor_id"], row["actor_name"]).document(),
        "action": row["action"],
        "target": row["target"],
        "at": stamp(row["at"]),
    }
