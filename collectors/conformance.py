"""The tests that every evidence type gets for free, as a pytest plugin.

A project that adds collectors writes examples, not test code:

    tests/evidence/<type id>/<case>/answers.json     what the source answers
    tests/evidence/<type id>/<case>/records.json     what the type makes of it
    tests/conftest.py                                pytest_chequr_replay: plays the answers by the SDK's own door

Each example is replayed, and each evidence type of a source that has examples is checked: the cases `usual`, `empty`
and `denied` exist, the permissions that it declares are those that its calls need, every field is described, and no
operation is called twice with the same parameters.
"""

import difflib
import json
import re
import threading
import traceback
import types
import typing
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import pytest
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

CASES = ("usual", "empty", "denied")

_WORKERS = 4
_TYPE_ID = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)+")


class NotConforming(Exception):
    """What an example or an evidence type does not keep of the contract, for people to read."""


class Replays:
    """The hook by which a project plays its sources' answers."""

    @pytest.hookspec(firstresult=True)
    def pytest_chequr_replay(
        self, source: str, answers: list[dict[str, Any]], settings: dict[str, Any], run: Run
    ) -> AbstractContextManager[Iterator[Target | Unreachable]] | None:
        """The targets of `source` where each call gets its answer; None leaves the source to another plugin.

        Entering connects. A call with no answer raises AssertionError, and so does leaving with answers that
        nobody asked for.
        """


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(Replays)


@pytest.hookimpl(tryfirst=True)
def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Takes every folder called `evidence` that holds examples; pytest keeps all others."""
    if path.name == "evidence" and any(path.glob("*/*/answers.json")):
        examples: pytest.Collector = Examples.from_parent(parent, path=path)
        return examples
    return None


# ── What is collected ──────────────────────────────────────────────────────────────────────────────────────────────


class Examples(pytest.Directory):
    """A folder of examples: all evidence types of the sources that it has examples of."""

    def collect(self) -> Iterator[pytest.Collector | pytest.Item]:
        folders = {path.name for path in self.path.iterdir() if any(path.glob("*/answers.json"))}
        known = {kind.id: kind for name in registry.source_names() for kind in _types_with_examples(name, folders)}
        for type_id in sorted(folders | known.keys()):
            kind = known.get(type_id)
            if kind is None:
                yield Check.from_parent(self, name=type_id, check=_unknown(type_id))
            else:
                yield TypeExamples.from_parent(self, path=self.path / type_id, kind=kind)


class TypeExamples(pytest.Directory):
    """One evidence type: its checks, then its examples."""

    def __init__(self, kind: EvidenceType[Any], **rest: Any) -> None:
        super().__init__(**rest)
        self.kind = kind
        self.replayed: dict[Path, Replayed] = {}

    def collect(self) -> Iterator[pytest.Collector | pytest.Item]:
        for check in (_id, _documentation, _fields, _cases):
            yield Check.from_parent(self, name=check.__name__.strip("_"), check=_bound(check, self))
        yield Check.from_parent(self, name="permissions", check=_bound(_permissions, self))
        for case in self.cases():
            yield Case.from_parent(self, path=case)

    def cases(self) -> list[Path]:
        return sorted(answers.parent for answers in self.path.glob("*/answers.json"))

    def replay(self, case: Path) -> "Replayed":
        """What the case yields; replayed once for all items that ask."""
        if case not in self.replayed:
            self.replayed[case] = _replay(self.config, self.kind, case)
        return self.replayed[case]


class Case(pytest.Directory):
    """One example of an evidence type."""

    parent: TypeExamples

    def collect(self) -> Iterator[pytest.Item]:
        yield Check.from_parent(self, name="example", check=_bound(_example, self))


class Check(pytest.Item):
    """One thing that is checked; it fails with a message, not with a traceback."""

    def __init__(self, check: typing.Callable[[], None], **rest: Any) -> None:
        super().__init__(**rest)
        self.check = check

    def runtest(self) -> None:
        self.check()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        del style
        if isinstance(excinfo.value, NotConforming):
            return str(excinfo.value)
        if isinstance(excinfo.value, AssertionError):
            return f"the replay refuses: {excinfo.value}"
        return _beyond_here(excinfo.value)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.nodeid


def _beyond_here(error: BaseException) -> str:
    """The traceback of a bug in a collector or a replay, from where this plugin called it."""
    frames = traceback.extract_tb(error.__traceback__)
    here = max((number for number, frame in enumerate(frames) if frame.filename == __file__), default=-1)
    return "".join([*traceback.format_list(frames[here + 1 :]), *traceback.format_exception_only(error)])


def _bound(check: typing.Callable[[Any], None], node: pytest.Collector) -> typing.Callable[[], None]:
    return lambda: check(node)


def _types_with_examples(source: str, folders: set[str]) -> tuple[EvidenceType[Any], ...]:
    """All types of a source that has an example here. Sources without one are not even imported."""
    return registry.evidence_types(source) if any(name.startswith(f"{source}_") for name in folders) else ()


def _unknown(type_id: str) -> typing.Callable[[], None]:
    def fail() -> None:
        known = [kind.id for kind in registry.all_evidence_types()]
        near = difflib.get_close_matches(type_id, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "is its entry point installed?"
        raise NotConforming(f"there are examples of {type_id}, but no installed source has such a type; {hint}")

    return fail


# ── What is checked ────────────────────────────────────────────────────────────────────────────────────────────────


def _id(examples: TypeExamples) -> None:
    """The id is made of lower-case words, and begins with the name under which the source is registered."""
    kind = examples.kind
    if not _TYPE_ID.fullmatch(kind.id):
        raise NotConforming(f"{kind.id} is no id: use lower-case letters, digits and single underscores")
    if kind.source not in registry.source_names():
        raise NotConforming(f"{kind.id} is of the package {kind.source}, but no entry point has this name")


def _documentation(examples: TypeExamples) -> None:
    if not examples.kind.documentation:
        raise NotConforming(f"{examples.kind.id} has no docstring; it is the type's documentation")


def _fields(examples: TypeExamples) -> None:
    silent = sorted(
        f"{model.__name__}.{name}"
        for model in _models(examples.kind.record)
        for name, its in model.model_fields.items()
        if not (its.description or "").strip()
    )
    if silent:
        raise NotConforming(f"{examples.kind.id}: no description of " + ", ".join(silent))


def _models(root: type[BaseModel]) -> set[type[BaseModel]]:
    """A record's model, and all models that its fields hold."""
    found: set[type[BaseModel]] = set()
    pending: list[Any] = [root]
    while pending:
        annotation = pending.pop()
        pending.extend(get_args(annotation))
        # A generic such as list[Row] is a class to isinstance, but not to issubclass.
        plain = isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias)
        if plain and issubclass(annotation, BaseModel) and annotation not in found:
            found.add(annotation)
            pending.extend(its.annotation for its in annotation.model_fields.values())
    return found


def _cases(examples: TypeExamples) -> None:
    here = {case.name for case in examples.cases()}
    missing = [case for case in CASES if case not in here]
    if missing:
        raise NotConforming(
            f"{examples.kind.id} has no example {', '.join(missing)}: add {examples.path.name}/<case>/answers.json"
        )


def _permissions(examples: TypeExamples) -> None:
    declared = set(examples.kind.permissions)
    used = {permission for case in examples.cases() for permission in examples.replay(case).permissions}
    faults = [f"needed by a call but not declared: {permission}" for permission in sorted(used - declared)]
    faults += [f"declared but needed by no call of any example: {permission}" for permission in sorted(declared - used)]
    if faults:
        raise NotConforming("\n".join([f"the permissions of {examples.kind.id}", *faults]))


def _example(case: Case) -> None:
    replayed = case.parent.replay(case.path)
    if replayed.repeated:
        raise NotConforming("called more than once with the same parameters: " + ", ".join(replayed.repeated))
    expected = _json(case.path / "records.json")
    got = {"records": replayed.records, "gaps": replayed.gaps}
    if _written(expected) != _written(got):
        difference = difflib.unified_diff(_written(expected), _written(got), "expected", "got", n=6, lineterm="")
        raise NotConforming("\n".join([f"{case.parent.kind.id}, example {case.path.name}", *difference]))


def _written(value: Any) -> list[str]:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).splitlines()


# ── How an example is replayed ─────────────────────────────────────────────────────────────────────────────────────


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


def _replay(config: pytest.Config, kind: EvidenceType[Any], case: Path) -> Replayed:
    example = _answers(kind, case / "answers.json")
    replayed = Replayed()
    with ThreadPoolExecutor(_WORKERS) as pool:
        run = Run(kind.source, example.started, pool, _WORKERS, threading.Event())
        door = config.hook.pytest_chequr_replay(
            source=kind.source, answers=example.answers, settings=example.settings, run=run
        )
        if door is None:
            raise NotConforming(f"nothing replays {kind.source}: define pytest_chequr_replay in a conftest.py")
        with door as targets:
            _observe_all(kind, targets, example.period, replayed)
    return replayed


def _answers(kind: EvidenceType[Any], path: Path) -> Answers:
    try:
        example = Answers.model_validate(_json(path))
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


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotConforming(f"{path} is missing") from error
    except ValueError as error:
        raise NotConforming(f"{path} is not JSON: {error}") from error
