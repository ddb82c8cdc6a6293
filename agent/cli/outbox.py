"""`outbox`: what is owed, one item at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.options import ConfigPath, Json, start, writing

if TYPE_CHECKING:
    from agent.items import Item
    from agent.store import Store

app = typer.Typer(help="What is owed to the API, and what it refused.", no_args_is_help=True)

_LAST = 2**63 - 1  # the largest number that SQLite counts to
ItemId = Annotated[int, typer.Argument(metavar="ID", min=1, max=_LAST, help="The item's number.")]
_SHOWN = 50


@app.command("list")
def list_(
    config: ConfigPath = None,
    *,
    state: Annotated[
        str | None, typer.Option(help="Only pending, in_flight, deferred, rejected or discarded items.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=_LAST, help="How many at most.")] = _SHOWN,
    json: Json = False,
) -> None:
    """Lists items, oldest first."""
    from agent.cli.output import print_line, say, table, when
    from agent.outbox import Outbox

    with _store(config) as store:
        outbox = Outbox(store)
        items = list(outbox.items([_state(state)] if state else [], limit=limit))
        there = sum(count.items for name, count in outbox.counts().items() if state in (None, name))
    if json:
        for item in items:
            print_line(asdict(item))
        return
    if not items:
        say("No such items." if state else "The outbox is empty: nothing is owed.")
        return
    headings = ("id", "state", "evidence type", "control", "part", "queued", "tries", "last answer")
    rows = (
        (
            item.id, item.state, item.evidence_type, item.control_id, f"{item.part}/{item.parts}", when(item.queued_at),
            item.attempts, item.reason,
        )
        for item in items
    )  # fmt: skip
    table(headings, rows, right=("id", "tries"))
    if there > len(items):
        say(f"These are the first {len(items):,} of {there:,}; --limit shows more.")


@app.command()
def show(item_id: ItemId, config: ConfigPath = None, *, json: Json = False) -> None:
    """Shows one item: its state, the API's last answer, its receipt, and its body while it has one."""
    from agent.cli.output import print_json
    from agent.events import Events
    from agent.ledger import Ledger
    from agent.outbox import Outbox

    with _store(config) as store:
        receipts = Ledger(store).receipts(item_id)
        if receipts:
            signal = Events(store).signal(receipts[0].evidence_id)
            facts: dict[str, Any] = {"state": "accepted", "signal": signal, **asdict(receipts[0])}
        else:
            facts = _facts(Outbox(store), item_id)
    if json:
        print_json(facts)
    else:
        _print(facts)


@app.command()
def retry(
    item_ids: Annotated[
        list[int] | None, typer.Argument(metavar="ID", min=1, max=_LAST, help="All rejected items without it.")
    ] = None,
    config: ConfigPath = None,
    *,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Send under another Idempotency-Key, as the API has one more to judge.")
    ] = False,
) -> None:
    """Makes rejected or deferred items due now, with the same body and, as a rule, the same Idempotency-Key.

    What the API would only answer as before needs --new-key; what may have arrived is looked up at its control first.
    """
    import time
    from collections import Counter

    from agent.cli.output import count, say
    from agent.outbox import Outbox
    from agent.verdict import needs_another_key

    why: Counter[str] = Counter()
    with _store(config) as store:
        outbox = Outbox(store)
        items = [_owed(store, item_id) for item_id in item_ids] if item_ids else outbox.items(["rejected"])
        chosen = []
        for item in items:
            reason = None if new_key else needs_another_key(item)
            if reason:
                why[reason] += 1
            else:
                chosen.append(item.id)
        retried = outbox.retry(chosen, now=time.time(), renewed=new_key)
    for reason, items_of_it in why.items():
        say(f"{count(items_of_it, 'item')} not retried: {reason}; --new-key sends under another one.")
    if retried:
        say(f"{count(retried, 'item')} due now. `chequr-agent deliver` sends at once; a running agent does by itself.")
    elif not why:
        say("There is nothing to retry: only rejected and deferred items are.")


@app.command()
def losses(config: ConfigPath = None, *, json: Json = False) -> None:
    """Lists what was queued and is known to be gone, as after a disk has failed. It is read anew at the next run."""
    from agent.cli.output import print_line, say, table, when
    from agent.outbox import Outbox

    with _store(config) as store:
        found = Outbox(store).losses()
    if json:
        for loss in found:
            print_line(asdict(loss))
        return
    if not found:
        say("Nothing that was queued is lost.")
        return
    headings = ("found", "items", "count", "collector", "evidence type", "target", "control", "why")
    rows = (
        (
            when(loss.found_at), f"{loss.first_item}-{loss.last_item}" if loss.items > 1 else loss.first_item,
            loss.items, loss.collector or "not known", loss.evidence_type or "not known", loss.target,
            loss.control_id or ("all of it" if loss.collector else "not known"), loss.reason,
        )
        for loss in found
    )  # fmt: skip
    table(headings, rows, right=("items", "count"))
    say(
        "Where a collector is named, what it had read is read anew at its next run; `chequr-agent collect` does it now."
    )
    say("The damaged files are in the state directory, in damaged/; the agent never deletes them.")


@app.command()
def discard(
    item_id: ItemId,
    config: ConfigPath = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Gives one item up for good. Its body is deleted; its row stays, and says that it was discarded."""
    from agent.cli.output import say
    from agent.outbox import Outbox

    with _store(config) as store:
        outbox = Outbox(store)
        item = _owed(store, item_id)
        if not yes:
            what = f"{item.evidence_type} for {item.control_id}, part {item.part} of {item.parts}"
            typer.confirm(f"Discard item {item_id}, {what}?", abort=True)
        outbox.discard(item_id)
    say(f"Item {item_id} is discarded.")


@app.command()
def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; it is created 0700.")],
    config: ConfigPath = None,
) -> None:
    """Writes the body of each item into a JSON file of its own."""
    from agent.cli.output import count, say
    from agent.outbox import Outbox

    with _store(config) as store, writing(directory):
        written = Outbox(store).export(directory)
    say(f"{count(written, 'body')} written to {directory}.")


@contextmanager
def _store(config: Path | None) -> "Iterator[Store]":
    from agent.store import Store

    loaded = start(config, quiet=True)
    with Store(loaded.config.state_dir, loaded.config.outbox.room) as store:
        yield store


def _owed(store: "Store", item_id: int) -> "Item":
    """An item that the API has not taken. Raises UnknownItem, and BadParameter where it has."""
    from agent.ledger import Ledger
    from agent.outbox import Outbox

    if receipts := Ledger(store).receipts(item_id):
        raise typer.BadParameter(
            f"the API has taken item {item_id}, as {receipts[0].evidence_id}: nothing is to be done"
        )
    return Outbox(store).item(item_id)


def _state(state: str) -> Any:
    from typing import get_args

    from agent.config import nearest
    from agent.items import State

    states = get_args(State)
    if state not in states:
        raise typer.BadParameter(f"no state is called {state}{nearest(state, states)}; there are {', '.join(states)}")
    return state


def _facts(outbox: Any, item_id: int) -> dict[str, Any]:
    import json

    from agent.states import next_step

    item, body = outbox.item(item_id), outbox.body(item_id)
    return {**asdict(item), "next_step": next_step(item), "body": json.loads(body) if body else None}


def _print(facts: dict[str, Any]) -> None:
    from agent.cli.output import print_json, say, when

    body = facts.pop("body", None)
    for name, value in facts.items():
        moment = name.endswith(("_at", "_since")) or name == "due"
        if value is not None:
            say(f"{name:>14}  {when(value) if moment and isinstance(value, float) else value}")
    if body is not None:
        say(f"{'body':>14}")
        print_json(body)
