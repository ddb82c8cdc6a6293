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
import traceback
import types
import typing
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from collectors import examples, registry
from collectors.contract import EvidenceType, Run, Target, Unreachable
from collectors.examples import NotConforming, Replayed, read_json, replay

CASES = ("usual", "empty", "denied")

_TYPE_ID = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)+")


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
        folder: pytest.Collector = Examples.from_parent(parent, path=path)
        return folder
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

    def replay(self, case: Path) -> Replayed:
        """What the case yields; replayed once for all items that ask."""
        if case not in self.replayed:
            self.replayed[case] = replay(self.kind, case, self.config.hook.pytest_chequr_replay)
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
        if isinstance(excinfo.value, AssertionError) and str(excinfo.value):
            return f"the replay refuses: {excinfo.value}"
        return _beyond_here(excinfo.value)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.nodeid


def _beyond_here(error: BaseException) -> str:
    """The traceback of a bug in a collector or a replay, from where this plugin called it."""
    frames = traceback.extract_tb(error.__traceback__)
    here = max(
        (number for number, frame in enumerate(frames) if frame.filename in {__file__, examples.__file__}), default=-1
    )
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
    expected = read_json(case.path / "records.json")
    got = {"records": replayed.records, "gaps": replayed.gaps}
    if _written(expected) != _written(got):
        difference = difflib.unified_diff(_written(expected), _written(got), "expected", "got", n=6, lineterm="")
        raise NotConforming("\n".join([f"{case.parent.kind.id}, example {case.path.name}", *difference]))


def _written(value: Any) -> list[str]:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).splitlines()
