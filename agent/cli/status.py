"""`status`: what is owed, what holds it, and when each collector ran and will run."""

import socket
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agent.cli.options import ConfigPath, Json, start

if TYPE_CHECKING:
    from agent.config import Collector, Loaded
    from agent.store import Store

_STATES = {
    "pending": "waiting to be sent",
    "in_flight": "being sent",
    "deferred": "will be tried again by itself",
    "rejected": "refused by the API: `chequr-agent outbox show ID` says why, `outbox retry` sends again",
    "discarded": "given up by hand",
}


def status(config: ConfigPath = None, *, json: Json = False) -> None:
    """Shows the outbox by state, each collector's last and next run, and what holds delivery."""
    from agent.cli.output import print_json
    from agent.store import Store

    loaded = start(config, quiet=True)
    with Store(loaded.config.state_dir) as store:
        facts = _facts(loaded, store)
    if json:
        print_json(facts)
    else:
        _print(facts)


def _facts(loaded: "Loaded", store: "Store") -> dict[str, Any]:
    from agent.ledger import Ledger
    from agent.outbox import Outbox

    outbox = Outbox(store)
    hold = outbox.hold()
    return {
        "state_dir": str(loaded.config.state_dir),
        "outbox": {state: asdict(count) for state, count in outbox.counts().items()},
        "accepted": Ledger(store).count(),
        "hold": asdict(hold) if hold else None,
        "collectors": [_collector(collector, store) for collector in loaded.collectors.values()],
    }


def _collector(collector: "Collector", store: "Store") -> dict[str, Any]:
    from agent import schedule
    from agent.runs import Runs

    last = Runs(store).latest(collector.name)
    common = collector.common
    due = schedule.trigger(collector.name, common.schedule, common.timezone, host=socket.gethostname())
    following = schedule.next_start(due, datetime.now(UTC)) if common.enabled else None
    return {
        "collector": collector.name,
        "source": collector.source_name,
        "enabled": common.enabled,
        "schedule": common.schedule,
        "last_run": asdict(last) if last else None,
        "next_run": following.astimezone(UTC).isoformat() if following else None,
    }


def _print(facts: dict[str, Any]) -> None:
    from agent.cli.output import say, size, table, when

    rows = [
        (state, f"{held['items']:,}", size(held["bytes"]), when(held["oldest"]), _STATES[state])
        for state, held in facts["outbox"].items()
    ]
    if rows:
        table(("outbox", "items", "size", "oldest", "which means"), rows, right=("items", "size"))
    else:
        say("The outbox is empty: nothing is owed.")
    say(f"Accepted by the API so far: {facts['accepted']:,}.")
    if facts["hold"]:
        say(f"HELD since {when(facts['hold']['since'])}: {facts['hold']['reason']}")
        say("Nothing is sent until the API takes the token again. Renew it; nothing is lost meanwhile.")
    say()
    headings = ("collector", "schedule", "last run", "outcome", "records", "gaps", "next run")
    table(headings, map(_row, facts["collectors"]), right=("records", "gaps"))


def _row(collector: dict[str, Any]) -> tuple[object, ...]:
    from agent.cli.output import when

    last = collector["last_run"]
    following = collector["next_run"]
    outcome = (last["outcome"] or "under way, or cut short") if last else ""
    return (
        collector["collector"],
        collector["schedule"] if collector["enabled"] else "disabled",
        when(last["started_at"]) if last else "never",
        outcome,
        last["records"] if last else "",
        last["gaps"] if last else "",
        when(datetime.fromisoformat(following)) if following else "never",
    )
