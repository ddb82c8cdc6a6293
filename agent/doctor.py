"""Looks at everything that collecting and delivering need, and says what is wrong and what to do about it."""

import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from agent import connect
from agent.config import Collector, Loaded
from agent.controls import ControlMap
from agent.errors import ChequrError, Forbidden, TokenUnusable, Unauthorized
from agent.store import StateUnusable, Store
from agent.token import Token
from collectors import registry
from collectors.contract import Cancelled, EvidenceType, Run, Target, Unreachable
from collectors.errors import CollectionError, Gap

Level = Literal["good", "note", "bad"]

_SCARCE = 500_000_000  # bytes of free space below which an outbox may not last through an outage
_TARGETS = 25  # targets of one collector that are looked at


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `bad` ones keep evidence from being collected or delivered."""

    level: Level
    subject: str
    message: str
    remedy: str = ""


def examine(loaded: Loaded) -> Iterator[Finding]:
    """Each finding as it is made; some need the network."""
    yield Finding("good", "configuration", f"{loaded.path} is good")
    yield from _state(loaded)
    key = connect.token(loaded)
    controls, findings = _api(loaded, key)
    yield from findings
    yield from _mapping(loaded, controls)
    for collector in loaded.enabled:
        yield from _collector(collector)


def _state(loaded: Loaded) -> Iterator[Finding]:
    directory = loaded.config.state_dir
    try:
        Store(directory).close()
    except StateUnusable as error:
        yield Finding("bad", "state", str(error), f"Let the agent's user write to {directory}, or set state_dir.")
        return
    free = shutil.disk_usage(directory).free
    if free < _SCARCE:
        yield Finding("note", "state", f"{directory} has {free / 1e6:.0f} MB left", "Make room, or set state_dir.")
    else:
        yield Finding("good", "state", f"{directory} is writable, {free / 1e9:.0f} GB free")


def _api(loaded: Loaded, key: Token) -> tuple[ControlMap, list[Finding]]:
    """The mapping, and what the API says to the token. Whether it may write is only known once it does."""
    base_url = loaded.config.chequr.base_url
    kept, _ = connect.control_map(loaded, key, refresh=False)
    try:
        with connect.client(loaded, key, attempts=2) as client:
            first = next(iter(client.controls(limit=1)), None)
        fresh, _ = connect.control_map(loaded, key)
    except TokenUnusable as error:
        return kept, [Finding("bad", "token", str(error), "Create a key with write scope in Chequr's settings.")]
    except Unauthorized as error:
        return kept, [Finding("bad", "token", f"refused: {error}", "Renew the key in Chequr's settings.")]
    except Forbidden as error:
        return kept, [Finding("bad", "token", f"its scope is too small: {error}", "Use a key with write scope.")]
    except ChequrError as error:
        remedy = "Check chequr.base_url, the proxy (HTTPS_PROXY, NO_PROXY) and chequr.ca_file."
        return kept, [Finding("bad", "API", f"{base_url} cannot be reached: {error}", remedy)]
    told = [Finding("good", "API", f"{base_url} answers, and takes the token {key.fingerprint}…")]
    if first is None:
        told.append(Finding("note", "API", "the workspace has no control", "Add controls in Chequr."))
    return fresh, told


def _mapping(loaded: Loaded, controls: ControlMap) -> Iterator[Finding]:
    wanted = {kind.id for collector in loaded.enabled for kind in collector.types if not _speaks_for_itself(kind)}
    unmapped = sorted(type_id for type_id in wanted if not controls.controls_for(type_id))
    for type_id in unmapped:
        remedy = f'Add {type_id} = ["<control id>"] to [controls.map], or leave it out of the collector\'s types.'
        yield Finding("note", "mapping", f"{type_id} is for no control, and is not collected", remedy)
    if wanted and not unmapped:
        yield Finding("good", "mapping", f"each of {len(wanted)} evidence types has a control")
    yield from _strangers(loaded, controls)


def _strangers(loaded: Loaded, controls: ControlMap) -> Iterator[Finding]:
    """Controls that want what nobody here collects."""
    served = {kind.id for collector in loaded.enabled for kind in collector.types}
    served |= {collector.source_name for collector in loaded.enabled}  # an evaluator may name a source as a whole
    offered = {kind.id for kind in registry.all_evidence_types()}
    for control in controls.discovery.controls if controls.discovery else ():
        evaluator = control.evaluator
        if evaluator and evaluator not in served:
            remedy = "Enable a collector of its source." if evaluator in offered else "No installed source offers it."
            yield Finding("note", "mapping", f"{control.id} wants {evaluator}, which is not collected", remedy)
    for type_id, ids in loaded.config.controls.map.items():
        for control_id in ids:
            if controls.discovery and control_id not in {control.id for control in controls.discovery.controls}:
                message = f"[controls.map] {type_id} names {control_id}, which the workspace does not have"
                yield Finding("bad", "mapping", message, "Take a control id from `chequr-agent controls list`.")


def _speaks_for_itself(kind: EvidenceType[Any]) -> bool:
    """Places that name their own controls need no mapping."""
    return kind.target.controls is not None


def _collector(collector: Collector) -> Iterator[Finding]:
    """Enters each place, and takes each evidence type's first look at it; no more is read than that."""
    run = Run(collector.name, datetime.now(UTC), None, 1, threading.Event())
    subject = f"collector {collector.name}"
    try:
        for number, target in enumerate(registry.source(collector.source_name).connect(collector.settings, run)):
            if number == _TARGETS:
                yield Finding("note", subject, f"only the first {_TARGETS} places were looked at")
                return
            yield from _target(collector, target, subject)
    except CollectionError as error:
        yield _unseen(subject, error.gap())


def _target(collector: Collector, target: Target | Unreachable, subject: str) -> Iterator[Finding]:
    where = f"{subject}, {target.id}"
    if isinstance(target, Unreachable):
        yield _unseen(where, target.cause.gap())
        return
    kinds = [kind for kind in collector.types if isinstance(target, kind.target)]
    gaps = [(kind, gap) for kind in kinds if (gap := _first_gap(kind, target)) is not None]
    for kind, gap in gaps:
        yield _unseen(f"{where}, {kind.id}", gap)
    if len(gaps) < len(kinds):
        yield Finding("good", where, f"{len(kinds) - len(gaps)} of {len(kinds)} evidence types can be seen")
    target.close()


def _first_gap(kind: EvidenceType[Any], target: Target) -> Gap | None:
    """What the first look at a type's first resource leaves unseen."""
    from collectors.contract import Period

    now = datetime.now(UTC)
    try:
        first = next(kind(target, Period(now - kind.window, now) if kind.window else None), None)
    except CollectionError as error:
        return error.gap()
    except Cancelled:
        return None
    return first if isinstance(first, Gap) else None


def _unseen(subject: str, gap: Gap) -> Finding:
    level: Level = "note" if gap.kind in ("not_enabled", "omitted") else "bad"
    what = f"{gap.operation}: {gap.message}" if gap.operation else gap.message
    return Finding(level, subject, f"{gap.kind}: {what}", gap.remedy)
