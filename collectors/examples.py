"""Examples of an evidence type: what a source answers, and what the type makes of it."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from collectors import registry
from collectors.contract import (
    EvidenceType,
    Gap,
    Journal,
    Period,
    Record,
    Run,
    Target,
    Unreachable,
    explain,
    journaling,
)
from collectors.errors import CollectionError, Invalid

_WORKERS = 4

Enter = Callable[..., AbstractContextManager[Iterator[Target | Unreachable]] | None]
"""Called with `source`, `answers`, `settings` and `run`: the targets where each call gets its answer."""


class NotConforming(Exception):
    """What an example or an evidence type does not keep of the contract, for people to read."""


class Answers(BaseModel):
    """The file `answers.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    started: datetime
    answers: list[dict[str, Any]]
    settings: dict[str, Any] = {}
    period: Period | None = None


@dataclass
class Replayed:
    """What one example yielded, over all targets and in order, and what its calls needed."""

    records: list[Any] = field(default_factory=list)
    gaps: list[Any] = field(default_factory=list)
    permissions: set[str] = field(default_factory=set)
    repeated: list[str] = field(default_factory=list)


def replay(kind: EvidenceType[Any], case: Path, enter: Enter) -> Replayed:
    """What the example in the folder `case` yields. Raises NotConforming where it is no example."""
    example = _answers(kind, case / "answers.json")
    replayed = Replayed()
    remembered = frozenset(registry.source(kind.source).entering)  # no other type is there to ask the same
    with ThreadPoolExecutor(_WORKERS) as pool:
        run = Run(kind.source, example.started, pool, _WORKERS, threading.Event(), remembered=remembered)
        door = enter(source=kind.source, answers=example.answers, settings=example.settings, run=run)
        if door is None:
            raise NotConforming(f"nothing replays {kind.source}: define pytest_chequr_replay in a conftest.py")
        with door as targets:
            _observe_all(kind, targets, example.period, replayed)
    return replayed


def _answers(kind: EvidenceType[Any], path: Path) -> Answers:
    try:
        example = Answers.model_validate(read_json(path))
    except ValidationError as error:
        raise NotConforming(f"{path}: {explain(error)}") from error
    if (kind.window is None) != (example.period is None):
        needed = "takes no period" if kind.window is None else "is read over a period"
        raise NotConforming(f"{path}: {kind.id} {needed}")
    return example


def _observe_all(
    kind: EvidenceType[Any], targets: Iterator[Target | Unreachable], period: Period | None, replayed: Replayed
) -> None:
    try:
        for target in targets:
            if isinstance(target, Unreachable):
                if issubclass(kind.target, target.kind):
                    replayed.gaps.append(target.cause.gap().model_dump(mode="json"))
            elif isinstance(target, kind.target):
                _observe(kind, target, period, replayed)
    except CollectionError as error:
        replayed.gaps.append(error.gap().model_dump(mode="json"))


def _observe(kind: EvidenceType[Any], target: Target, period: Period | None, replayed: Replayed) -> None:
    with journaling(Journal()) as journal:
        try:
            for seen in kind(target, period):
                _keep(kind, seen, replayed)
        except CollectionError as error:
            replayed.gaps.append(error.gap().model_dump(mode="json"))
        except ValidationError as error:
            replayed.gaps.append(Invalid(explain(error)).gap().model_dump(mode="json"))
        finally:
            target.close()
    for operation, use in journal.uses.items():
        if use.permission:
            replayed.permissions.add(use.permission)
        if use.calls > len(use.parameters):
            replayed.repeated.append(f"{operation} ({use.calls} calls, {len(use.parameters)} different)")


def _keep(kind: EvidenceType[Any], seen: Any, replayed: Replayed) -> None:
    if isinstance(seen, Gap):
        replayed.gaps.append(seen.model_dump(mode="json"))
    elif isinstance(seen, Record) and isinstance(seen, kind.record):
        replayed.records.append(seen.model_dump(mode="json"))
    else:
        raise NotConforming(f"{kind.id} yields a {type(seen).__name__}; its record is {kind.record.__name__}")


def read_json(path: Path) -> Any:
    """What an example's file says. Raises NotConforming."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotConforming(f"{path} is missing") from error
    except ValueError as error:
        raise NotConforming(f"{path} is not JSON: {error}") from error
