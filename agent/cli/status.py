"""`status`: what is owed, what holds it, and when each collector ran and will run."""

import sys
import time
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any

import typer

from agent.cli.options import ConfigPath, Json, start

Watch = Annotated[bool, typer.Option("--watch", "-w", help="Show it again every two seconds, until Ctrl-C.")]

_AGAIN = 2.0  # seconds
_FACTS = 5


def status(config: ConfigPath = None, *, json: Json = False, watch: Watch = False) -> None:
    """Shows the outbox by state, each collector's last and next run, and what holds delivery."""
    from agent.cli.output import clear, print_json
    from agent.standing import standing
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


def _print(facts: dict[str, Any]) -> None:
    from agent.cli.output import count, say, size, table, when
    from agent.items import Hold
    from agent.states import STATES, about_hold, about_token

    rows = [
        (state, f"{held['items']:,}", size(held["bytes"]), when(held["oldest"]), STATES[state])
        for state, held in facts["outbox"].items()
    ]
    if rows:
        table(("outbox", "items", "size", "oldest", "which means"), rows, right=("items", "size"))
    else:
        say("The outbox is empty: nothing is owed.")
    say(f"Accepted by the API so far: {facts['accepted']:,}. {_about_verified(facts['verified'])}")
    if facts["lost"]:
        say(f"LOST: {count(facts['lost'], 'item')}; `chequr-agent outbox losses` says which, and why.")
    if facts["hold"]:
        hold = Hold(**facts["hold"])
        say(f"HELD since {when(hold.since)}: {hold.reason}")
        say(f"{about_hold(hold)} A running agent takes it up by itself; nothing is lost meanwhile.")
    say(about_token(facts["token"], now=time.time()))
    _print_events(facts)
    say()
    headings = ("collector", "schedule", "last run", "outcome", "records", "gaps", "next run")
    table(headings, map(_row, facts["collectors"]), right=("records", "gaps"))


def _print_events(facts: dict[str, Any]) -> None:
    """What Chequr told by webhook, where it did."""
    from agent.cli.output import count, say, when

    if facts["signals"]:
        told = ", ".join(f"{number:,} {signal}" for signal, number in facts["signals"].items())
        say(f"Chequr's tests of it: {told}.")
    if facts["events_waiting"]:
        say(f"{count(facts['events_waiting'], 'event')} of Chequr's to be acted upon: `chequr-agent run` does.")
    for fact in facts["facts"][:_FACTS]:
        said = ", ".join(f"{name} {value}" for name, value in (fact["facts"] or {}).items())
        say(f"Chequr told {when(fact['at'])}: {fact['type']}{f': {said}' if said else ''}")


def _about_verified(verified: dict[str, Any] | None) -> str:
    from agent.cli.output import count, when

    if verified is None:
        return "Never verified: `chequr-agent verify` does it."
    at, differences = when(verified["verified_at"]), verified["differences"]
    if differences:
        return f"Verified {at}: {count(differences, 'difference').upper()}; `chequr-agent verify` says which."
    return f"Verified {at}: all {verified['compared']:,} since {verified['since'][:10]} are there."


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
