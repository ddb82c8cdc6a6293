"""`controls coverage`: what the workspace needs, and whether it gets it."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import typer

from agent.cli.options import ConfigPath, Json, start
from agent.exit import Exit

if TYPE_CHECKING:
    from agent.client import Client
    from agent.config import Loaded
    from agent.coverage import Coverage, Expiring, Lack


def coverage(config: ConfigPath = None, *, json: Json = False) -> None:
    """Shows for every control which evidence it gets, and how fresh that is; and all that lacks.

    Exit codes: 0 no control goes without, 4 one does.
    """
    from datetime import UTC, datetime

    from agent import connect
    from agent.coverage import Known, cover
    from agent.errors import ChequrError
    from agent.ledger import Ledger
    from agent.store import Store

    loaded = start(config, quiet=True)
    key = connect.token(loaded)
    with Store(loaded.config.state_dir, loaded.config.outbox.room) as store:
        latest = Ledger(store).latest()
    controls, away = connect.control_map(loaded, key)
    if controls.discovery is None:
        raise away or typer.BadParameter("controls.discover is off: which controls there are is not known")
    statuses: dict[str, str] = {}
    if away is None:
        try:
            with connect.client(loaded, key, attempts=2) as client:
                statuses = _statuses(client)
        except ChequrError as error:
            away = error
    known = Known.of(loaded, controls, latest, statuses=statuses, expiring=list(_expiring(loaded)))
    rows, lacks = cover(known, now=datetime.now(UTC))
    _tell(rows, lacks, away, as_json=json)
    raise typer.Exit(Exit.WELL if all(lack.is_note for lack in lacks) else Exit.DIFFERENCE)


def _statuses(client: "Client") -> dict[str, str]:
    return {control.id: control.status for control in client.controls(limit=100)}


def _expiring(loaded: "Loaded") -> "Iterator[Expiring]":
    """What says itself until when it holds; a folder that cannot be read is doctor's to tell."""
    import threading
    from contextlib import suppress
    from datetime import UTC, datetime

    from agent.coverage import Expiring
    from collectors import registry
    from collectors.contract import Run, Target
    from collectors.errors import CollectionError

    for collector in loaded.enabled:
        if not any(kind.speaks_for_itself for kind in collector.types):
            continue
        run = Run(collector.name, datetime.now(UTC), None, 1, threading.Event())
        with suppress(CollectionError):
            for place in registry.source(collector.source_name).connect(collector.settings, run):
                if isinstance(place, Target) and place.expires:
                    yield Expiring(collector.name, place.id, place.controls or (), place.expires)


def _tell(rows: "Sequence[Coverage]", lacks: "Sequence[Lack]", away: Exception | None, *, as_json: bool) -> None:
    from dataclasses import asdict
    from datetime import datetime

    from agent.cli.output import count, print_json, say, table, warn, when

    if away is not None:
        warn(f"the API is away, so the statuses are not known, and the controls are as they were last read: {away}")
    if as_json:
        print_json({"controls": [asdict(row) for row in rows], "lacks": [asdict(lack) for lack in lacks]})
        return
    headings = (
        "control",
        "what it asks for",
        "evidence",
        "by",
        "last collected",
        "wanted",
        "evidence is",
        "gaps",
        "status",
    )
    table(
        headings,
        (
            (
                row.control_id,
                f"{row.code} {row.name}",
                ", ".join(row.types) or row.evaluator or "-",
                ", ".join(row.collectors) or "nobody",
                when(datetime.fromisoformat(row.collected_at) if row.collected_at else None),
                row.cadence or "-",
                row.state,
                row.gaps or "",
                row.status or "-",
            )
            for row in rows
        ),
        right=("gaps",),
    )
    fresh = [row for row in rows if row.state == "fresh"]
    gaps, notes = sum(row.gaps > 0 for row in fresh), sum(lack.is_note for lack in lacks)
    told = f"{len(fresh)} with fresh evidence{f', {gaps} of them with gaps' if gaps else ''}"
    say(f"{count(len(rows), 'control')}: {told}; {count(len(lacks) - notes, 'thing')} lacking, {count(notes, 'note')}.")
    for lack in lacks:
        say(f"  {'(note) ' if lack.is_note else ''}{lack.subject}: {lack.message}")
        say(f"    {lack.remedy}")
