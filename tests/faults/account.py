"""What became of each item that was queued: that none is silently gone, and none was taken twice."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.exit import Exit
from agent.sandbox.server import Sandbox
from agent.store import DATABASE
from tests.command import Agent, exactly_once
from tests.faults.tally import Tally

POST = "POST /v1/evidence"
_ALL = "1000000"  # more than any test queues


@dataclass(frozen=True)
class Queued:
    """An item that the agent said was queued."""

    id: int
    key: str
    snapshot_id: str


@dataclass
class Account:
    """Items by what became of them."""

    accepted: list[Queued] = field(default_factory=list)
    owed: list[Queued] = field(default_factory=list)
    rejected: list[Queued] = field(default_factory=list)
    named: list[Queued] = field(default_factory=list)
    numbered: list[Queued] = field(default_factory=list)
    missing: list[Queued] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        names = ("accepted", "owed", "rejected", "named", "numbered")
        counts = {name: len(getattr(self, name)) for name in names}
        return {"items": sum(counts.values()) + len(self.missing), **counts}

    @property
    def problems(self) -> list[str]:
        """What must never be, in words."""
        told = {"silently gone": self.missing, "stuck in the outbox": self.owed}
        found = [f"{len(items)} {what}: {items[:3]}" for what, items in told.items() if items]
        return found + ([f"taken twice: {self.twice[:3]}"] if self.twice else [])


def queued(state: Path) -> list[Queued]:
    """All items that a whole database has, owed or accepted."""
    with closing(sqlite3.connect(state / DATABASE)) as database:
        rows = database.execute(
            "SELECT id, key, snapshot_id FROM item UNION ALL SELECT id, key, snapshot_id FROM ledger ORDER BY id"
        ).fetchall()
    return [Queued(*row) for row in rows]


def account(agent: Agent, sandbox: Sandbox, items: Iterable[Queued]) -> Account:
    """What the API, the outbox and the losses say about `items`, asked as an operator would."""
    taken = Counter(each.idempotency_key for each in sandbox.evidence)
    states = {item["key"]: item["state"] for item in _listed(agent, "list", "--limit", _ALL)}
    losses = _listed(agent, "losses")
    told = Account(twice=[str(key) for key, times in taken.items() if times > 1])
    for item in items:
        became = "accepted" if item.key in taken else _state(states.get(item.key)) or _lost(item, losses) or "missing"
        getattr(told, became).append(item)
    # A loss may know how many went, and not which.
    unnumbered = sum(loss["items"] for loss in losses if loss["first_item"] is None and loss["snapshot_id"] is None)
    told.numbered += told.missing[:unnumbered]
    told.missing = told.missing[unnumbered:]
    return told


def _listed(agent: Agent, *arguments: str) -> list[Any]:
    done = agent.run("outbox", *arguments, "--json")
    assert done.code == Exit.WELL, f"outbox {arguments[0]} ended with {done.code}: {done.told}"
    return done.lines


def _state(state: str | None) -> str | None:
    return state if state in (None, "rejected") else "owed"


def _lost(item: Queued, losses: Iterable[Mapping[str, Any]]) -> str | None:
    if any(loss["snapshot_id"] == item.snapshot_id for loss in losses):
        return "named"
    told = [loss for loss in losses if loss["first_item"] and loss["first_item"] <= item.id <= loss["last_item"]]
    if not told:
        return None
    return "named" if any(loss["collector"] and loss["target"] for loss in told) else "numbered"


def all_once(agent: Agent, sandbox: Sandbox, tally: Tally, items: int, *, repetitions: int = 1) -> None:
    """That the API has each of so many items exactly once, all that the agent ever queued, and counts them."""
    told = account(agent, sandbox, queued(agent.state))
    tally.count(**told.counts)
    tally.repetitions, tally.replays = repetitions, replays(sandbox)
    assert not told.problems
    assert len(told.accepted) == items
    assert exactly_once(sandbox, agent.state) == items


def replays(sandbox: Sandbox) -> int:
    """How many POSTs the sandbox answered from its memory of keys."""
    refused = sum(times for status, times in sandbox.statuses.items() if 400 <= status < 500)
    return sandbox.calls[POST] + sandbox.struck["drop-after"] - refused - len(sandbox.evidence)


def acknowledged(events: Iterable[Mapping[str, Any]]) -> set[str]:
    """The snapshots of which the agent's log says that they are queued."""
    return {told["snapshot"] for told in events if told["event"] == "evidence.collected" and told["state"] == "queued"}
