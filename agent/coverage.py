"""What the workspace needs and whether it gets it: each control with its evidence, and what lacks."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal, Self

from agent.cadence import freshness, length, word
from agent.config import Loaded, nearest
from agent.controls import ControlMap, KnownControl
from agent.ledger import Latest
from agent.words import count
from collectors import registry

State = Literal["fresh", "due", "stale", "never", "unknown"]

_NEAR = timedelta(days=30)  # to the end of a piece of manual evidence


@dataclass(frozen=True)
class Expiring:
    """A place whose content says until when it holds."""

    collector: str
    place: str
    controls: Sequence[str]
    expires: date


@dataclass(frozen=True)
class Known:
    """What is there to compare: `types` are all that are installed, `collectors` by the types that they collect.

    `self_spoken` are types whose places name their controls themselves, as files do: an evaluator may name their
    sources, of which `enabled` ones have a collector. `statuses` are Chequr's, by control.
    """

    controls: ControlMap
    latest: Sequence[Latest]
    types: frozenset[str]
    collectors: Mapping[str, Sequence[str]]
    self_spoken: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    enabled: frozenset[str] = frozenset()
    statuses: Mapping[str, str] = field(default_factory=dict)
    expiring: Sequence[Expiring] = ()

    @classmethod
    def of(cls, loaded: Loaded, controls: ControlMap, latest: Sequence[Latest] = (), **more: Any) -> Self:
        """By a configuration, and what is installed."""
        kinds = registry.all_evidence_types()
        speaking = [kind for kind in kinds if kind.speaks_for_itself]
        return cls(
            controls,
            latest,
            types=frozenset(kind.id for kind in kinds),
            collectors=loaded.by_type,
            self_spoken=frozenset(kind.id for kind in speaking),
            sources=frozenset(kind.source for kind in speaking),
            enabled=frozenset(collector.source_name for collector in loaded.enabled),
            **more,
        )


@dataclass(frozen=True)
class Coverage:
    """One control. `collected_at` is when what is oldest of its last evidence was, `state` that against its cadence.

    `gaps` are those in the last evidence of each type.
    """

    control_id: str
    framework: str
    code: str
    name: str
    evaluator: str | None
    cadence: str | None
    types: Sequence[str]
    collectors: Sequence[str]
    evidence_id: str | None
    collected_at: str | None
    state: State
    gaps: int
    status: str | None


@dataclass(frozen=True)
class Lack:
    """One thing that is missing, and what to do about it."""

    kind: Literal["evaluator", "control", "collector", "cadence", "evidence", "gaps", "expiry", "mapping"]
    subject: str
    message: str
    remedy: str

    @property
    def is_note(self) -> bool:
        """Whether no control goes without evidence for it: a gap, a type that none asks for, an unknown word."""
        return self.kind in ("control", "cadence", "gaps")


def cover(known: Known, *, now: datetime) -> tuple[list[Coverage], list[Lack]]:
    """Each control of the workspace, and all that lacks."""
    latest: dict[str, list[Latest]] = {}
    for each in current(known.latest, known.collectors):
        latest.setdefault(each.control_id, []).append(each)
    controls = known.controls.discovery.controls if known.controls.discovery else ()
    wanted = _wanted(known)
    rows = [
        _covered(control, wanted.get(control.id, []), latest.get(control.id, []), known, now) for control in controls
    ]
    return rows, list(_lacks(known, rows, now))


def current(latest: Iterable[Latest], collectors: Mapping[str, Sequence[str]]) -> Iterator[Latest]:
    """Without what is of collectors that no longer have a type which others have; `collectors` are by type."""
    for each in latest:
        if each.collector in collectors.get(each.evidence_type, (each.collector,)):
            yield each


def _wanted(known: Known) -> dict[str, list[str]]:
    """The evidence types for each control."""
    found: dict[str, list[str]] = {}
    for kind in sorted(known.types):
        for control in known.controls.controls_for(kind):
            found.setdefault(control, []).append(kind)
    return found


def _covered(
    control: KnownControl, wanted: Sequence[str], latest: Sequence[Latest], known: Known, now: datetime
) -> Coverage:
    types = list(dict.fromkeys([*wanted, *(each.evidence_type for each in latest)]))
    collectors = list(dict.fromkeys(name for kind in types for name in known.collectors.get(kind, ())))
    oldest = _oldest(wanted, latest, known.collectors)
    return Coverage(
        control.id,
        control.framework,
        control.code,
        control.name,
        control.evaluator,
        control.cadence,
        types,
        collectors,
        oldest.evidence_id if oldest else None,
        oldest.collected_at if oldest else None,
        _state(oldest, control.cadence, now),
        sum(each.gaps for each in latest),
        known.statuses.get(control.id),
    )


def _oldest(wanted: Sequence[str], latest: Sequence[Latest], collectors: Mapping[str, Sequence[str]]) -> Latest | None:
    """The last evidence of the type and the collector that is oldest; None where any of them has none at all."""
    counted: list[Latest] = []
    for kind in wanted:
        there = [each for each in latest if each.evidence_type == kind]
        if len(there) < max(1, len(collectors.get(kind, ()))):
            return None
        counted += there
    return min(counted or latest, key=lambda each: each.collected_at, default=None)


def _state(last: Latest | None, told: str | None, now: datetime) -> State:
    if last is None:
        return "never"
    cadence = length(told)
    return freshness(now - last.collected, cadence) if cadence else "unknown"


def _lacks(known: Known, rows: Sequence[Coverage], now: datetime) -> Iterator[Lack]:
    for row in rows:
        yield from _lacks_of(row, known)
    yield from _uncontrolled(known)
    yield from _misnamed(known, {row.control_id for row in rows})
    yield from _expiring(known.expiring, now.date())


def _lacks_of(row: Coverage, known: Known) -> Iterator[Lack]:
    """Of one control, the first thing that keeps evidence from it, and whether its cadence is understood."""
    if row.cadence and word(row.cadence) is None:
        remedy = "It is collected by the collector's schedule; report the word, so that it is understood."
        yield Lack("cadence", row.control_id, f"its cadence {row.cadence!r} is not known", remedy)
    evaluator = row.evaluator
    if not row.types and evaluator and evaluator not in known.types | known.sources:
        message = f"no evidence type is called {evaluator}{_meant(evaluator, known.types)}, which it wants"
        yield Lack("evaluator", row.control_id, message, "Map a type to it in [controls.map], or install its source.")
    elif not row.types and evaluator in known.sources - known.enabled:
        message = f"no collector here is of the source {evaluator}, which it wants"
        yield Lack("collector", row.control_id, message, f"Enable a collector of {evaluator}.")
    elif not row.types:
        wants = f"it wants {evaluator}" if evaluator else "it has no evaluator"
        remedy = "Put a file for it into a manual collector's folder, or map a type to it in [controls.map]."
        yield Lack("evidence", row.control_id, f"{wants}, and no evidence is for it", remedy)
    elif not row.collectors:
        remedy = "Enable a collector of its source, or take the type into its `types`."
        yield Lack("collector", row.control_id, f"no collector here has {', '.join(row.types)}", remedy)
    elif row.state == "never":
        remedy = f"`chequr-agent collect {row.collectors[0]}` collects now; `chequr-agent outbox list` has what waits."
        yield Lack("evidence", row.control_id, "not all of its evidence was ever accepted", remedy)
    elif row.state == "stale":
        remedy = "`chequr-agent status` says when its collector runs, and what holds delivery."
        yield Lack("evidence", row.control_id, f"its evidence is stale: it is wanted {row.cadence}", remedy)
    if row.gaps:
        message = f"its last evidence is incomplete: {count(row.gaps, 'gap')}"
        yield Lack("gaps", row.control_id, message, "`chequr-agent doctor` says what could not be seen, and why.")


def _meant(evaluator: str, types: Iterable[str]) -> str:
    """What is near among the types of its own source: what another provider's are called is no help."""
    source = evaluator.partition("_")[0]
    return nearest(evaluator, [kind for kind in types if kind.partition("_")[0] == source])


def _uncontrolled(known: Known) -> Iterator[Lack]:
    for kind in sorted(set(known.collectors) - known.self_spoken):
        if not known.controls.controls_for(kind):
            remedy = f'Add {kind} = ["<control id>"] to [controls.map], or leave it out of the collector\'s types.'
            yield Lack("control", kind, "it is for no control, and is not collected", remedy)


def _misnamed(known: Known, there: set[str]) -> Iterator[Lack]:
    if known.controls.discovery is None:
        return
    for kind, ids in known.controls.configured.items():
        for control in ids:
            if control not in there:
                message = f"[controls.map] {kind} names it, and the workspace does not have it"
                yield Lack("mapping", control, message, "Take a control id from `chequr-agent controls list`.")


def _expiring(expiring: Iterable[Expiring], today: date) -> Iterator[Lack]:
    for each in sorted(expiring, key=lambda each: each.expires):
        if each.expires <= today + _NEAR:
            when = "has expired" if each.expires <= today else "expires"
            of = f" ({', '.join(each.controls)})" if each.controls else ""
            remedy = f"Put a newer one into the folder of {each.collector}, or move `expires` in its sidecar."
            yield Lack("expiry", each.place, f"it {when} on {each.expires}{of}", remedy)
