"""`collect`, `deliver` and `run`: the work itself."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.counted import Instance, MetricsFile, Pushgateway, counted
from agent.cli.options import ConfigPath, Json, Verbose, start
from agent.exit import Exit

if TYPE_CHECKING:
    from agent.config import Collector, Loaded
    from agent.controls import ControlMap
    from agent.metrics import Metrics
    from agent.report import Observed, Progress, Report
    from agent.shard import Shard
    from collectors.contract import EvidenceType

_PATIENCE = 30.0

Names = Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Collectors; all enabled ones without it.")]
Types = Annotated[
    list[str] | None, typer.Option("--type", "-t", metavar="TYPE", help="Only these evidence types, by id or pattern.")
]
Wait = Annotated[
    float, typer.Option(metavar="SECONDS", min=0, help="Give up delivering once nothing was accepted for so long.")
]


def run(config: ConfigPath = None, *, verbose: Verbose = False) -> None:
    """Runs the agent as a service: collects on schedule, delivers all the time.

    SIGTERM ends it in order, SIGHUP reads the configuration and the token again.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the daemon listens; it would end the process
    loaded = start(config, verbose=verbose)
    if not loaded.collectors:
        _refuse_idleness(loaded)
    from agent import daemon

    daemon.run(loaded)


def collect(
    names: Names = None,
    config: ConfigPath = None,
    *,
    type_: Types = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print payloads as JSON Lines; touch neither the outbox nor the API.")
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="[I/]N", help="Only the places of shard I of N, from 0; without I, of $JOB_COMPLETION_INDEX."
        ),
    ] = None,
    no_deliver: Annotated[bool, typer.Option("--no-deliver", help="Queue only; something else delivers.")] = False,
    wait: Wait = _PATIENCE,
    accept_gaps: Annotated[
        bool,
        typer.Option(
            "--accept-gaps",
            help="Exit with 0 where only gaps were found that are delivered; one that has nowhere to go is still 3.",
        ),
    ] = False,
    metrics_file: MetricsFile = None,
    pushgateway: Pushgateway = None,
    instance: Instance = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Collects now, and waits until the evidence is delivered.

    Exit codes: 0 all well, 3 collected with gaps, 75 not everything was delivered (it is safe in the outbox), 77 the
    API refuses the token, 78 the configuration cannot be used.
    """
    part = _shard(shard)
    loaded = start(config, verbose=verbose, quiet=True)
    collectors = _chosen(loaded, names or [])
    types = _narrowed(collectors, type_ or [])
    collectors = [collector for collector in collectors if types[collector.name]]
    from collectors.contract import Cancelled

    try:
        if dry_run:
            code = int(_exit(_dry_run(loaded, collectors, types, part), accept_gaps=accept_gaps))
        else:
            from agent.store import Store

            with (
                Store(loaded.config.state_dir, loaded.config.outbox.room) as store,
                counted(loaded, store, metrics_file, pushgateway, instance) as metrics,
            ):
                work = _Work(loaded, store, metrics, part, accept_gaps)
                code = int(_collect(work, collectors, types, deliver_too=not no_deliver, wait=wait, as_json=json))
    except Cancelled:
        code = _stopped()
    raise typer.Exit(code)


def deliver(
    config: ConfigPath = None,
    *,
    wait: Wait = _PATIENCE,
    metrics_file: MetricsFile = None,
    pushgateway: Pushgateway = None,
    instance: Instance = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Sends what the outbox owes, then stops.

    Exit codes: 0 nothing is owed any more, 75 something still is, 77 the API refuses the token.
    """
    from agent.cli.deliver import delivered
    from agent.cli.output import print_json, say
    from agent.store import Store
    from agent.upkeep import upkeep

    loaded = start(config, verbose=verbose, quiet=True)
    with (
        Store(loaded.config.state_dir, loaded.config.outbox.room) as store,
        counted(loaded, store, metrics_file, pushgateway, instance) as metrics,
    ):
        delivery = delivered(loaded, store, patience=wait, watch=metrics.settled if metrics else None)
        upkeep(loaded, store, now=time.time())
    if json:
        print_json(asdict(delivery))
    else:
        say(delivery.sentence)
    raise typer.Exit(delivery.exit)


def _chosen(loaded: "Loaded", names: Sequence[str]) -> list["Collector"]:
    from agent.config import nearest

    for name in names:
        if name not in loaded.collectors:
            known = list(loaded.collectors)
            hint = nearest(name, known) + (f"; there are {', '.join(known)}" if known else "; there is none at all")
            raise typer.BadParameter(f"no collector is called {name}{hint}")
    chosen = [loaded.collectors[name] for name in dict.fromkeys(names)] if names else loaded.enabled
    if not chosen:
        _refuse_idleness(loaded)
    return chosen


def _shard(text: str | None) -> "Shard":
    from agent.shard import WHOLE, Shard

    if text is None:
        return WHOLE
    try:
        return Shard.parse(text, os.environ)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--shard") from error


def _refuse_idleness(loaded: "Loaded") -> None:
    from agent.config import ConfigurationInvalid

    if loaded.collectors:
        raise ConfigurationInvalid(["collectors: none is enabled; set enabled = true for one"], path=loaded.path)
    raise ConfigurationInvalid(["collectors: there is none; add a [collectors.<name>] table"], path=loaded.path)


def _narrowed(collectors: Sequence["Collector"], patterns: Sequence[str]) -> dict[str, list["EvidenceType[Any]"]]:
    """The types of each collector that match a pattern; a pattern that matches none at all is a mistake."""
    types = {
        collector.name: [kind for kind in collector.types if not patterns or _matches(kind, patterns)]
        for collector in collectors
    }
    found = [kind for kinds in types.values() for kind in kinds]
    unmatched = [pattern for pattern in patterns if not any(_matches(kind, [pattern]) for kind in found)]
    if unmatched:
        raise typer.BadParameter(f"none of the chosen collectors has an evidence type {', '.join(unmatched)}")
    return types


def _matches(kind: "EvidenceType[Any]", patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(kind.id, pattern) for pattern in patterns)


@contextmanager
def _cancellable() -> Iterator[threading.Event]:
    """Set by the first SIGINT or SIGTERM; the second one ends the process at once."""
    cancelled = threading.Event()

    def cancel(number: int, _frame: FrameType | None) -> None:
        cancelled.set()
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, cancel) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield cancelled
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _dry_run(
    loaded: "Loaded", collectors: Sequence["Collector"], types: dict[str, list[Any]], shard: "Shard"
) -> list["Report"]:
    from agent.collect import Collection
    from agent.controls import ControlMap
    from agent.keep import Printer

    delivery = loaded.config.delivery
    reports = []
    with _cancellable() as cancelled, _watched() as progress:
        for collector in collectors:
            shape = collector.common.payload_shape or delivery.payload_shape
            printer = Printer(sys.stdout.buffer.write, shape=shape, limit=delivery.max_payload_bytes)
            nothing = ControlMap({}, None)
            collection = Collection(
                collector,
                types[collector.name],
                nothing,
                printer,
                cancelled=cancelled,
                progress=progress,
                unmapped=True,
                shard=shard,
            )
            reports.append(collection.run())
    sys.stdout.flush()
    return reports


@dataclass(frozen=True)
class _Work:
    """What a collection works with; `metrics` where somebody wants figures."""

    loaded: "Loaded"
    store: Any
    metrics: "Metrics | None"
    shard: "Shard"
    accepts_gaps: bool


def _collect(
    work: _Work,
    collectors: Sequence["Collector"],
    types: dict[str, list[Any]],
    *,
    deliver_too: bool,
    wait: float,
    as_json: bool,
) -> Exit:
    from agent import connect
    from agent.cli.deliver import Delivery, delivered
    from agent.cli.output import print_json
    from agent.cli.summary import print_summary, summary
    from agent.upkeep import upkeep

    loaded, store = work.loaded, work.store
    controls, api_error = connect.control_map(loaded, connect.token(loaded))
    reports = _run_each(work, collectors, types, controls)
    items = [item for report in reports for item in report.items]
    watch = work.metrics.settled if work.metrics else None
    delivery = delivered(loaded, store, items, patience=wait, watch=watch) if deliver_too else Delivery.none()
    upkeep(loaded, store, now=time.time())
    if as_json:
        print_json(summary(store, reports, delivery))
    else:
        print_summary(store, reports, delivery, controls, api_error)
    unmapped_error = api_error if controls.discovery is None else None
    return _exit(reports, delivery.exit, unmapped_error=unmapped_error, accept_gaps=work.accepts_gaps)


def _run_each(
    work: _Work, collectors: Sequence["Collector"], types: dict[str, list[Any]], controls: "ControlMap"
) -> list["Report"]:
    from agent.run import run_collector

    reports = []
    with _cancellable() as cancelled, _watched() as progress:
        for collector in collectors:
            begun = time.monotonic()
            report = run_collector(
                work.loaded,
                work.store,
                collector,
                controls,
                cancelled=cancelled,
                types=types[collector.name],
                progress=progress,
                shard=work.shard,
            )
            reports.append(report)
            if work.metrics:
                work.metrics.collected(report, time.monotonic() - begun)
    return reports


@contextmanager
def _watched() -> Iterator["Progress"]:
    """A live display on a terminal; nobody elsewhere."""
    from agent.report import Unwatched

    if not sys.stderr.isatty():
        yield Unwatched()
        return
    from agent.cli.progress import Display

    with Display() as display:
        yield display


def _stopped() -> int:
    from agent.cli.output import warn

    warn("stopped; what was being read is not kept, what was queued is safe in the outbox")
    return Exit.STOPPED


def _exit(
    reports: Sequence["Report"],
    delivery: Exit = Exit.WELL,
    *,
    unmapped_error: Exception | None = None,
    accept_gaps: bool,
) -> Exit:
    from agent.errors import TokenRefused

    if delivery is not Exit.WELL:
        return delivery
    if unmapped_error is not None and any(report.unmapped for report in reports):
        refused = isinstance(unmapped_error, TokenRefused)
        return Exit.REFUSED if refused else Exit.UNDELIVERED
    if any(report.failed for report in reports):
        return Exit.FAILURE
    incomplete = [observed for report in reports for observed in report.observed if observed.gaps]
    return Exit.WELL if all(accept_gaps and _is_told(observed) for observed in incomplete) else Exit.GAPS


def _is_told(observed: "Observed") -> bool:
    """Whether somebody gets its gaps. Without an item nobody but this command has said that anything is missing."""
    return bool(observed.items) or observed.state == "printed"
