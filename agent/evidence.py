"""From a snapshot to evidence: payloads of at most the API's size, their request bytes and their keys.

    Snapshot   what was observed, and how it was obtained
    Evidence   one POST: bytes and Idempotency-Key fixed here, the same however often they are sent

Splitting is a pure function of the snapshot and the limit.
"""

import base64
import gzip
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal

from agent import __version__
from agent.canonical import canonical, carriable, digest, widest
from agent.redaction import redact
from agent.spool import Line, Spool
from collectors.contract import Journal, Period, Use

PayloadShape = Literal["snapshot", "record"]

_PARAMETERS_SHOWN = 5  # distinct parameter sets written out for an operation; more are counted and digested
_PARAMETERS_LENGTH = 500  # characters of them; longer ones are digested, too
_OPERATIONS_SHOWN = 50  # those called most; the rest are told as one
_PART_DIGITS = 9_999_999  # stands for both part numbers while an envelope is measured


@dataclass(frozen=True)
class Snapshot:
    """All records of one evidence type, one target, one instant, and what an auditor needs to trust them."""

    collector: str
    evidence_type: str
    schema_version: int
    source: str
    target: Mapping[str, Any]
    identity: str | None
    period: Period | None
    started: datetime
    finished: datetime
    journal: Journal
    config_digest: str
    observations: Spool
    supersedes: str | None = None

    @cached_property
    def id(self) -> str:
        """Follows from what was seen, where and when."""
        seen = [
            self.evidence_type,
            carriable(dict(self.target)),
            stamp(self.finished),
            self.observations.records_digest,
        ]
        return "snap_" + base64.b32encode(hashlib.sha256(canonical(seen)).digest()).decode()[:24]

    @property
    def complete(self) -> bool:
        return self.observations.gaps == 0

    @cached_property
    def collection(self) -> dict[str, Any]:
        """How the records were obtained: the `collection` of every part, its part numbers aside."""
        told: dict[str, Any] = {
            "snapshot_id": self.id,
            "collector": self.collector,
            "started_at": stamp(self.started),
            "finished_at": stamp(self.finished),
            "complete": self.complete,
            "records": self.observations.records,
            "gaps": self.observations.gaps,
            "records_digest": self.observations.records_digest,
            "redactions": self.observations.redactions,
            "operations": _operations(self.journal.uses, _count if self.observations.pseudonym else _use),
            "identity": self.identity,
            "agent": {"name": "chequr-agent", "version": __version__},
            "config_digest": self.config_digest,
        }
        if self.period:
            told["period"] = {"since": stamp(self.period.since), "until": stamp(self.period.until)}
        if self.observations.pseudonym:
            told["pseudonymized"] = True
        if self.supersedes:
            told["supersedes"] = self.supersedes
        clean: dict[str, Any] = redact(carriable(told))[0]
        return clean

    def heading(self) -> dict[str, Any]:
        return {
            "evidence_type": self.evidence_type,
            "schema_version": self.schema_version,
            "target": redact(carriable(dict(self.target)))[0],
        }


@dataclass(frozen=True)
class Evidence:
    """One item to POST. `body` and `key` never change once made."""

    control_id: str
    source: str
    evidence_type: str
    snapshot_id: str
    collected_at: datetime
    part: int
    parts: int
    records: int
    gaps: int
    body: bytes = field(repr=False)

    @cached_property
    def key(self) -> str:
        """The Idempotency-Key: the same body has the same key, whoever makes it and however often."""
        return f"chequr-agent-{hashlib.sha256(self.body).hexdigest()[:40]}"


@dataclass(frozen=True)
class Payload:
    """One part of a snapshot in canonical JSON."""

    part: int
    parts: int
    records: int
    gaps: int
    content: bytes = field(repr=False)


class PayloadLimitTooSmall(ValueError):
    """Not even the account of how a snapshot was obtained fits into one payload."""


def payloads(snapshot: Snapshot, controls: Sequence[str], *, shape: PayloadShape, limit: int) -> Iterator[Payload]:
    """The payload of each part, one in memory at a time. No request to any of the controls is larger than `limit`.

    Raises PayloadLimitTooSmall.
    """
    cutter = _Cutter(snapshot, shape, limit, room_for=max(map(widest, controls), default=0))
    total = sum(1 for _ in cutter.cut())
    for number, lines in enumerate(cutter.cut(), 1):
        gaps = sum(line.is_gap for line in lines)
        yield Payload(number, total, len(lines) - gaps, gaps, cutter.write(lines, number, total))


def evidence(snapshot: Snapshot, controls: Sequence[str], *, shape: PayloadShape, limit: int) -> Iterator[Evidence]:
    """The evidence of a snapshot: each of its parts for each control. Raises PayloadLimitTooSmall."""
    for payload in payloads(snapshot, controls, shape=shape, limit=limit):
        for control_id in controls:
            yield Evidence(
                control_id=control_id,
                source=snapshot.source,
                evidence_type=snapshot.evidence_type,
                snapshot_id=snapshot.id,
                collected_at=snapshot.finished,
                part=payload.part,
                parts=payload.parts,
                records=payload.records,
                gaps=payload.gaps,
                body=_body(control_id, snapshot, payload.content),
            )


def stamp(instant: datetime) -> str:
    """UTC in ISO 8601 to the millisecond, as in `2026-04-15T09:14:22.120Z`."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Cutter:
    """Cuts a snapshot's lines into parts and writes each part's payload."""

    def __init__(self, snapshot: Snapshot, shape: PayloadShape, limit: int, *, room_for: int) -> None:
        self._snapshot = snapshot
        self._shape = shape
        collection = {**snapshot.collection, "part": _PART_DIGITS, "parts": _PART_DIGITS}
        payload = {**snapshot.heading(), "records": [], "gaps": [], "collection": collection}
        empty = {
            "collected_at": stamp(snapshot.finished),
            "control_id": "",
            "payload": payload,
            "source": snapshot.source,
        }
        self._room = limit - widest(empty) - room_for
        if self._room < _SMALLEST_ROOM:
            raise PayloadLimitTooSmall(
                f"a payload of {snapshot.evidence_type} needs {limit - self._room + _SMALLEST_ROOM:,} bytes for "
                f"the account of how it was obtained; raise delivery.max_payload_bytes, which is {limit:,}"
            )

    def cut(self) -> Iterator[list[Line]]:
        """The lines of each part, in order; at least one part, since having seen nothing is evidence too."""
        part: list[Line] = []
        used = 0
        for line in self._pieces():
            used += line.width + _SEPARATOR
            if part and (used > self._room or self._stands_alone(part[-1], line)):
                yield part
                part, used = [], line.width + _SEPARATOR
            part.append(line)
        yield part

    def _stands_alone(self, before: Line, line: Line) -> bool:
        return self._shape == "record" and not (before.is_gap and line.is_gap)

    def write(self, lines: list[Line], number: int, total: int) -> bytes:
        collection = {**self._snapshot.collection, "part": number, "parts": total}
        records = [line.content for line in lines if not line.is_gap]
        gaps = [line.content for line in lines if line.is_gap]
        if self._shape == "record":
            return canonical(self._flat(records, gaps, collection))
        heading = self._snapshot.heading()
        # The lines are canonical already: joined in the order of the keys, they are not parsed and written again.
        head = canonical({"collection": collection, "evidence_type": heading.pop("evidence_type")})
        tail = canonical(heading)
        lists = b',"gaps":[' + b",".join(gaps) + b'],"records":[' + b",".join(records) + b"],"
        return head[:-1] + lists + tail[1:]

    def _flat(self, records: list[bytes], gaps: list[bytes], collection: dict[str, Any]) -> dict[str, Any]:
        body = _parse(records[0]) if records else {"gaps": [_parse(gap) for gap in gaps]}
        if "collection" in body:  # the record's own must not be lost to ours
            body = {"record": body}
        return {**body, "collection": {**collection, **self._snapshot.heading()}}

    def _pieces(self) -> Iterator[Line]:
        for line in self._snapshot.observations:
            if line.width + _SEPARATOR <= self._room:
                yield line
            else:
                yield from _fragments(line, self._room)


_SEPARATOR = 2
_FRAGMENT_OVERHEAD = 300
_SMALLEST_ROOM = 2_000


def _fragments(line: Line, room: int) -> Iterator[Line]:
    """A record too large for any part, carried whole: compressed, in base64, with the digest of its canonical bytes."""
    packed = base64.b64encode(gzip.compress(line.content, mtime=0)).decode("ascii")
    size = room - _FRAGMENT_OVERHEAD
    pieces = [packed[start : start + size] for start in range(0, len(packed), size)]
    for index, piece in enumerate(pieces, 1):
        value = {
            "fragment": {
                "digest": digest(line.content),
                "encoding": "gzip+base64",
                "index": index,
                "count": len(pieces),
                "data": piece,
            }
        }
        content = canonical(value)
        yield Line(line.is_gap, content, widest(value, content))


def _parse(line: bytes) -> Any:
    """Canonical JSON that will be written again. Its numbers are doubles: one of 17 digits is no integer."""
    return json.loads(line, parse_int=float)


def _body(control_id: str, snapshot: Snapshot, payload: bytes) -> bytes:
    head = canonical({"collected_at": stamp(snapshot.finished), "control_id": control_id})
    source = canonical({"source": snapshot.source})
    return head[:-1] + b',"payload":' + payload + b"," + source[1:]


def _operations(uses: Mapping[str, Use], tell: Callable[[Use], dict[str, Any]]) -> dict[str, Any]:
    """The operations that a snapshot rests on, by name: so few of them that there is room for the records."""
    ranked = sorted(uses, key=lambda name: (-uses[name].calls, name))
    told: dict[str, Any] = {name: tell(uses[name]) for name in sorted(ranked[:_OPERATIONS_SHOWN])}
    if rest := [uses[name] for name in ranked[_OPERATIONS_SHOWN:]]:
        told["(others)"] = {
            "operations": len(rest),
            "calls": sum(use.calls for use in rest),
            "reused": sum(use.reused for use in rest),
        }
    return told


def _count(use: Use) -> dict[str, Any]:
    """An operation's part in a snapshot without the parameters, which may name people."""
    return {"calls": use.calls, "reused": use.reused, "distinct_parameters": len(use.parameters)}


def _use(use: Use) -> dict[str, Any]:
    """An operation's part in a snapshot. A few short parameter sets are shown; others counted, under one digest."""
    told = _count(use)
    ordered = sorted(use.parameters)
    text = "\n".join(ordered)
    if len(ordered) <= _PARAMETERS_SHOWN and len(text) <= _PARAMETERS_LENGTH:
        return {**told, "parameters": [json.loads(one) for one in ordered]}
    return {**told, "parameters_digest": digest(text.encode())}
