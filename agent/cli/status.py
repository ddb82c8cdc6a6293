"""`status`: what is owed, what holds it, and when each collector ran and will run."""

import socket
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.options import ConfigPath, Json, start

if TYPE_CHECKING:
    from agent.config import Collector, Loaded
    from agent.outbox import Outbox
    from agent.store import Store


Watch = Annotated[bool, typer.Option("--watch", "-w", help="Show it again every two seconds, until Ctrl-C.")]

_AGAIN = 2.0  # seconds


def status(config: ConfigPath = None, *, json: Json = False, watch: Watch = False) -> None:
    """Shows the outbox by state, each collector's last and next run, and what holds delivery."""
    from agent.cli.output import clear, print_json
    from agent.store import Store

    loaded = start(config, quiet=True)
    show = print_json if json else _print
    with Store(loaded.config.state_dir, loaded.config.outbox.room) as store:
        show(standing(loaded, store))
        with suppress(KeyboardInterrupt):
            while watch:
                sys.stdout.flush()
                time.sleep(_AGAIN)
                facts = standing(loaded, store)
                clear()
                show(facts)


def standing(loaded: "Loaded", store: "Store") -> dict[str, Any]:
    """What `status` shows, for programs."""
    from agent.ledger import Ledger
    from agent.outbox import Outbox

    outbox = Outbox(store)
    hold = outbox.hold()
    return {
        "state_dir": str(loaded.config.state_dir),
        "outbox": {state: asdict(count) for state, count in outbox.counts().items()},
        "accepted": Ledger(store).count(),
        "lost": sum(loss.items for loss in outbox.losses()),
        "hold": asdict(hold) if hold else None,
        "token": _token(loaded, outbox),
        "collectors": [_collector(collector, store) for collector in loaded.collectors.values()],
    }


def _token(loaded: "Loaded", outbox: "Outbox") -> dict[str, Any]:
    """Which token is in its place, and when it was first used here; the secret itself is never shown."""
    from agent.errors import TokenUnusable
    from agent.token import Token

    try:
        fingerprint = Token(loaded.config.chequr.token_file).fingerprint
    except TokenUnusable as error:
        return {"fingerprint": None, "first_seen": None, "problem": str(error)}
    return {"fingerprint": fingerprint, "first_seen": outbox.token_seen(fingerprint), "problem": None}


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
    from agent.cli.output import count, say, size, table, when
    from agent.cli.states import STATES, about_hold
    from agent.items import Hold

    rows = [
        (state, f"{held['items']:,}", size(held["bytes"]), when(held["oldest"]), STATES[state])
        for state, held in facts["outbox"].items()
    ]
    if rows:
        table(("outbox", "items", "size", "oldest", "which means"), rows, right=("items", "size"))
    else:
        say("The outbox is empty: nothing is owed.")
    say(f"Accepted by the API so far: {facts['accepted']:,}.")
    if facts["lost"]:
        say(f"LOST: {count(facts['lost'], 'item')}; `chequr-agent outbox losses` says which, and why.")
    if facts["hold"]:
        hold = Hold(**facts["hold"])
        say(f"HELD since {when(hold.since)}: {hold.reason}")
        say(f"{about_hold(hold)} A running agent takes it up by itself; nothing is lost meanwhile.")
    say(_about_token(facts["token"]))
    say()
    headings = ("collector", "schedule", "last run", "outcome", "records", "gaps", "next run")
    table(headings, map(_row, facts["collectors"]), right=("records", "gaps"))


def _about_token(token: dict[str, Any]) -> str:
    from agent.cli.output import when
    from agent.token import is_due_for_rotation

    if token["problem"]:
        return f"Token: {token['problem']}"
    seen = token["first_seen"]
    told = f"Token {token['fingerprint']}, {f'first used here {when(seen)}' if seen else 'not used here yet'}."
    return f"{told} Rotate it: it is older than 90 days." if is_due_for_rotation(seen, now=time.time()) else told


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
