"""Looks at everything that collecting and delivering need, and says what is wrong and what to do about it."""

import shutil
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any

from pydantic import ValidationError

from agent import connect
from agent.client import Client
from agent.config import Collector, Loaded
from agent.controls import ControlMap, Discovery
from agent.coverage import Known, cover
from agent.endpoints import submit_evidence
from agent.errors import BadRequest, ChequrError, Forbidden, TokenUnusable, Unauthorized, UnprocessableEntity
from agent.findings import Level
from agent.observe import failure
from agent.outbox import Outbox
from agent.seal import fingerprint, public_half, signing_key
from agent.store import StateUnusable, Store
from agent.token import Token, is_due_for_rotation
from agent.verified import Verified
from agent.webhook_secret import secrets
from collectors import registry
from collectors.contract import EvidenceType, Period, Run, Target, Unreachable, explain
from collectors.errors import AccessDenied, CollectionError, Gap, Invalid
from collectors.secret import SecretMissing

_SCARCE = 500_000_000  # bytes of free space below which an outbox may not last through an outage
_LISTED = "Take a control id from `chequr-agent controls list`."
_BY_CONFIGURATION = ("evaluator", "collector", "control", "cadence")  # kinds of what lacks
_TARGETS = 250  # places of one collector that are looked at
_AT_ONCE = 8  # places
_NAMED = 3  # evidence types that one cause is told of


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
    state = _state(loaded)
    yield state
    key = connect.token(loaded)
    workspace, findings = _api(loaded, key, keep=state.level != "bad")
    yield from findings
    if state.level != "bad":
        yield from _age(loaded, key)
        yield from _arrival(loaded)
    yield from _signing(loaded)
    yield from _hearing(loaded)
    controls = ControlMap(loaded.config.controls.map, workspace if loaded.config.controls.discover else None)
    if not loaded.enabled:
        yield Finding("bad", "collectors", "none is enabled", "Add a [collectors.<name>] table.")
    yield from _mapping(loaded, controls)
    yield from _misnamed(loaded, workspace)
    for collector in loaded.enabled:
        yield from _collector(collector, controls)


def _state(loaded: Loaded) -> Finding:
    directory = loaded.config.state_dir
    try:
        with Store(directory, loaded.config.outbox.room) as store:
            kind, lack = store.shared_kind, Outbox(store).lack()
        free = shutil.disk_usage(directory).free
    except StateUnusable as error:
        return Finding("bad", "state", str(error), f"{error.remedy[0].upper()}{error.remedy[1:]}.")
    except (OSError, sqlite3.Error) as error:
        return Finding("bad", "state", str(error), f"Let the agent's user write to {directory}, or set state_dir.")
    if kind:
        remedy = "It is used with care, and slower; better set state_dir to a disk of this machine."
        return Finding("note", "state", f"{directory} is on a file system of the kind {kind}", remedy)
    if lack:
        remedy = "Let `chequr-agent deliver` empty it, make room on the disk, or raise outbox.max_bytes."
        return Finding("bad", "state", f"{directory} can queue nothing more: {lack}", remedy)
    if free < _SCARCE:
        return Finding("note", "state", f"{directory} has {free / 1e6:.0f} MB left", "Make room, or set state_dir.")
    return Finding("good", "state", f"{directory} is writable, {free / 1e9:.0f} GB free")


def _api(loaded: Loaded, key: Token, *, keep: bool) -> tuple[Discovery | None, list[Finding]]:
    """The controls, read anew and kept for the next collection, and what the API says to the token."""
    base_url = loaded.config.chequr.base_url
    kept = Discovery.load(loaded.config.state_dir, base_url)
    try:
        with connect.client(loaded, key, attempts=2) as client:
            fresh = Discovery.fetch(client, base_url)
            _try_to_write(client)
    except TokenUnusable as error:
        return kept, [
            Finding("bad", "token", str(error), "Create a key with write scope in Chequr's settings, and put it there.")
        ]
    except Unauthorized as error:
        return kept, [Finding("bad", "token", f"refused: {error}", "Renew the key in Chequr's settings.")]
    except Forbidden as error:
        return kept, [Finding("bad", "token", f"its scope is too small: {error}", "Use a key with write scope.")]
    except ChequrError as error:
        remedy = "Check chequr.base_url, the proxy (HTTPS_PROXY, NO_PROXY) and chequr.ca_file."
        return kept, [Finding("bad", "API", f"{base_url} gives no good answer: {error}", remedy)]
    if keep:
        fresh.save(loaded.config.state_dir)
    told = [Finding("good", "API", f"{base_url} answers, and takes the token {key.fingerprint} for writing")]
    if not fresh.controls:
        told.append(Finding("note", "API", "the workspace has no control", "Add controls in Chequr."))
    return fresh, told


def _age(loaded: Loaded, key: Token) -> Iterator[Finding]:
    """Says when a token is to be rotated; one that cannot be read was told of before."""
    with suppress(TokenUnusable), Store(loaded.config.state_dir, loaded.config.outbox.room) as store:
        seen = Outbox(store).token_seen(key.fingerprint)
        if seen is not None and is_due_for_rotation(seen, now=time.time()):
            day = datetime.fromtimestamp(seen, UTC)
            remedy = "Rotate it in Chequr's settings, and put the new one in its place: a running agent takes it up."
            yield Finding("note", "token", f"{key.fingerprint} has been in use since {day:%Y-%m-%d}", remedy)


def _signing(loaded: Loaded) -> Iterator[Finding]:
    """A key that cannot be used leaves the ledger's seals unsigned, and keeps nothing from being delivered."""
    try:
        if key := signing_key(loaded.config.ledger.signing_key_file):
            name = fingerprint(public_half(key))
            yield Finding("good", "ledger", f"its seals are signed with the key {name}")
    except SecretMissing as error:
        yield Finding("bad", "ledger", f"its seals cannot be signed: {error}", "Mend the key, or take it out.")


def _hearing(loaded: Loaded) -> Iterator[Finding]:
    """Where webhooks are taken, each is refused without the secret that signs them."""
    webhooks = loaded.config.webhooks
    if webhooks.listen is None:
        return
    try:
        secrets(webhooks.secret_file)
        yield Finding("good", "webhooks", f"taken at {webhooks.listen}, and their secret is there")
    except SecretMissing as error:
        remedy = "Let the agent's user read it; `chequr-agent webhooks register` makes one."
        yield Finding("bad", "webhooks", f"each one is refused: {error}", remedy)


def _arrival(loaded: Loaded) -> Iterator[Finding]:
    """What the last verification came to, if there was one."""
    if last := Verified.load(loaded.config.state_dir).last:
        day = datetime.fromtimestamp(last.verified_at, UTC)
        told = f"verified on {day:%Y-%m-%d}: {last.there:,} of {last.compared:,} are at the API"
        if last.differences:
            message = f"{told}, and there are {last.differences:,} differences"
            yield Finding("note", "ledger", message, "`chequr-agent verify` says which.")
        else:
            yield Finding("good", "ledger", told)


def _try_to_write(client: Client) -> None:
    """Raises Forbidden where the token may not submit. Evidence without a control is never taken, so none is made."""
    with suppress(BadRequest, UnprocessableEntity):
        client.perform(submit_evidence(b"{}", f"chequr-agent-doctor-{uuid.uuid4()}"))


def _mapping(loaded: Loaded, controls: ControlMap) -> Iterator[Finding]:
    """What is not collected by the configuration, whatever was delivered so far."""
    known = Known.of(loaded, controls)
    wanted = set(known.collectors) - known.self_spoken
    lacks = [lack for lack in cover(known, now=datetime.now(UTC))[1] if lack.kind in _BY_CONFIGURATION]
    unmapped = sum(lack.kind == "control" for lack in lacks)
    if unmapped and loaded.config.controls.discover and controls.discovery is None:
        message = f"which controls want {unmapped} evidence types is not known: the API was never read"
        yield Finding("note", "mapping", message, "Mend what keeps the API from answering, or use [controls.map].")
        return
    for lack in lacks:
        yield Finding("note", "mapping", f"{lack.subject}: {lack.message}", lack.remedy)
    if wanted and not unmapped:
        yield Finding("good", "mapping", f"each of {len(wanted)} evidence types has a control")


def _misnamed(loaded: Loaded, workspace: Discovery | None) -> Iterator[Finding]:
    known = {control.id for control in workspace.controls} if workspace else set()
    for type_id, ids in loaded.config.controls.map.items():
        for control_id in ids:
            if workspace and control_id not in known:
                message = f"[controls.map] {type_id} names {control_id}, which the workspace does not have"
                yield Finding("bad", "mapping", message, _LISTED)


def _collector(collector: Collector, controls: ControlMap) -> Iterator[Finding]:
    """Enters each place, and takes each evidence type's first look at it; no more is read than that."""
    permissions = frozenset(permission for kind in collector.types for permission in kind.permissions)
    run = Run(collector.name, datetime.now(UTC), None, 1, threading.Event(), permissions=permissions)
    subject = f"collector {collector.name}"
    look = partial(_target, collector, controls, permissions)
    seen, whole = 0, 0
    try:
        collector.pseudonym()
    except SecretMissing as error:
        remedy = "Give the collector a pseudonym_key_file, or set pseudonymize = false."
        yield Finding("bad", subject, f"people cannot be given pseudonyms: {error}", remedy)
    try:
        places = _unlike(registry.source(collector.source_name).connect(collector.settings, run))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for findings in pool.map(look, islice(places, _TARGETS)):
                seen, whole = seen + 1, whole + (not findings)
                yield from findings
        if next(places, None):
            yield Finding("note", subject, f"only the first {_TARGETS} places were looked at")
    except CollectionError as error:
        yield _unseen(subject, error.gap())
        return
    if whole:
        yield Finding("good", subject, f"{whole} of {seen} places can be seen in full")
    elif not seen:
        yield Finding("note", subject, "there is no place to look at", "Check what the collector's table names.")


def _unlike(places: Iterator[Target | Unreachable]) -> Iterator[Target | Unreachable]:
    """One place of those that are seen with the same permissions, and one cause of those that cannot be entered."""
    seen: set[str] = set()
    for place in places:
        name = place.id if isinstance(place, Unreachable) else place.alike or place.id
        if name not in seen:
            seen.add(name)
            yield place
        elif isinstance(place, Target):
            place.close()


def _target(
    collector: Collector, controls: ControlMap, permissions: frozenset[str], target: Target | Unreachable
) -> list[Finding]:
    """What is wrong with one place."""
    where = f"collector {collector.name}, {target.id}"
    if isinstance(target, Unreachable):
        return [_unseen(where, target.cause.gap())]
    findings = [
        Finding("bad", where, f"the workspace has no control {control_id}", _LISTED)
        for control_id in target.controls or ()
        if controls.known is not None and control_id not in controls.known
    ]
    unseen = dict.fromkeys(target.unseen())
    findings += [_unseen(where, gap) for gap in unseen]
    causes: dict[Gap, list[str]] = {}
    kinds = [kind for kind in collector.types if isinstance(target, kind.target)]
    refused = target.refused(permissions)
    for kind in kinds:
        for gap in (_first_gap(kind, target), *_refusals(kind, refused)):
            if gap is not None and gap not in unseen and not _is_known(gap, causes, kind):
                causes.setdefault(gap, []).append(kind.id)
    target.close()
    return findings + [_lost(where, gap, kinds) for gap, kinds in causes.items()]


def _refusals(kind: EvidenceType[Any], refused: Mapping[str, str]) -> Iterator[Gap]:
    """What the source says that this type may not do, beyond its first look."""
    for permission in kind.permissions:
        if permission in refused:
            yield AccessDenied(refused[permission], operation=permission, permission=permission).gap()


def _is_known(gap: Gap, causes: Mapping[Gap, Sequence[str]], kind: EvidenceType[Any]) -> bool:
    """Whether the type was told to lack this permission already: having been denied it says more."""
    return bool(gap.permission) and any(
        gap.permission == told.permission and kind.id in kinds for told, kinds in causes.items()
    )


def _lost(where: str, gap: Gap, kinds: Sequence[str]) -> Finding:
    """What one cause keeps from being seen."""
    if len(kinds) == 1:
        return _unseen(f"{where}, {kinds[0]}", gap)
    finding = _unseen(where, gap)
    rest = f" and {len(kinds) - _NAMED} more" if len(kinds) > _NAMED else ""
    return replace(finding, message=f"{finding.message} (so there is no {', '.join(kinds[:_NAMED])}{rest})")


def _first_gap(kind: EvidenceType[Any], target: Target) -> Gap | None:
    """What the first look at a type's first resource leaves unseen."""
    now = datetime.now(UTC)
    try:
        first = next(kind(target, Period(now - kind.window, now) if kind.window else None), None)
    except CollectionError as error:
        return error.gap()
    except ValidationError as error:
        return Invalid(explain(error)).gap()
    except Exception as error:  # around this job: a broken evidence type must not keep the rest from being looked at
        return failure(kind, target, error)
    return first if isinstance(first, Gap) else None


def _unseen(subject: str, gap: Gap) -> Finding:
    level: Level = "note" if gap.kind in ("not_enabled", "omitted") else "bad"
    what = f"{gap.operation}: {gap.message}" if gap.operation else gap.message
    return Finding(level, subject, f"{gap.kind}: {what}", gap.remedy)
