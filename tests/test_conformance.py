"""The conformance plugin, on a package of somebody else's that is installed beside this one."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from collectors import registry

PACKAGE = """
from collectors.contract import Settings, Source, Target

class Place(Target):
    id = "place"
    description = {"place": "here"}
    def __init__(self, run, answers):
        super().__init__(run)
        self.answers = list(answers)
    def ask(self, name, permission="acme:ReadThings"):
        return self.reads.read("acme:GetThing", {"name": name}, lambda: self.answer(name), permission=permission)
    def answer(self, name):
        assert self.answers, f"no answer was recorded for {name}"
        answer = self.answers.pop(0)
        if "error" in answer:
            from collectors.errors import AccessDenied
            raise AccessDenied("no", operation="acme:GetThing", permission="acme:ReadThings")
        return answer["answer"]

SOURCE = Source(settings=Settings, connect=lambda settings, run: iter(()), grants=lambda kinds: {})
"""

TYPES = '''
from collections.abc import Iterator
from datetime import timedelta
from pydantic import Field
from acme import Place
from collectors.contract import Gap, Period, Record, evidence, note

class Part(Record):
    weight: int = Field(description="In grams.")

class Thing(Record):
    name: str = Field(description="Its name.")
    parts: tuple[Part, ...] = Field(description="What it is made of.")

class MutePart(Record):
    weight: int

class MuteThing(Record):
    name: str = Field(description="Its name.")
    parts: list[MutePart] | None = Field(description="What it is made of.")

def things(place, kind=Thing, permission="acme:ReadThings"):
    for name in place.ask("all", permission):
        yield kind(name=name, parts=())

@evidence("acme:ReadThings")
def good(place: Place) -> Iterator[Thing | Gap]:
    """Every thing."""
    yield from things(place)

@evidence("acme:ReadThings", window=timedelta(days=1))
def periodic(place: Place, period: Period) -> Iterator[Thing]:
    """Every thing of a time."""
    assert period.until - period.since == timedelta(hours=1)
    yield from things(place)

@evidence("acme:ReadThings")
def wrong_record(place: Place) -> Iterator[Thing]:
    """Every thing, with a name that is not its own."""
    yield from (thing.model_copy(update={"name": thing.name.upper()}) for thing in things(place))

@evidence()
def undeclared(place: Place) -> Iterator[Thing]:
    """Every thing."""
    yield from things(place)

@evidence("acme:ReadThings", "acme:WriteThings")
def unused(place: Place) -> Iterator[Thing]:
    """Every thing."""
    yield from things(place)

@evidence("acme:ReadThings")
def caseless(place: Place) -> Iterator[Thing]:
    """Every thing."""
    yield from things(place)

@evidence("acme:ReadThings")
def astray(place: Place) -> Iterator[Thing]:
    """Every thing."""
    yield from things(place)

@evidence("acme:ReadThings")
def exampleless(place: Place) -> Iterator[Thing]:
    """Every thing."""
    yield from things(place)

@evidence("acme:ReadThings")
def mute(place: Place) -> Iterator[MuteThing]:
    yield from things(place, MuteThing)

@evidence("acme:ReadThings")
def repeated(place: Place) -> Iterator[Thing]:
    """Every thing."""
    yield from things(place)
    note("acme:GetThing", {"name": "all"})

@evidence("acme:ReadThings")
def greedy(place: Place) -> Iterator[Thing]:
    """Every thing and more."""
    yield from things(place)
    place.ask("more")

@evidence("acme:ReadThings")
def broken(place: Place) -> Iterator[Thing]:
    """Every thing."""
    yield from things(place)
    raise ZeroDivisionError("a bug in the collector")

@evidence("acme:ReadThings")
def Loud(place: Place) -> Iterator[Thing]:
    """Every thing."""
    yield from things(place)
'''

CONFTEST = """
from contextlib import contextmanager
from acme import Place

@contextmanager
def replay(answers, run):
    place = Place(run, answers)
    yield iter([place])
    assert not place.answers, "answers that nobody asked for"

def pytest_chequr_replay(source, answers, settings, run):
    return replay(answers, run)
"""

DENIAL = {
    "kind": "denied",
    "resource": None,
    "operation": "acme:GetThing",
    "permission": "acme:ReadThings",
    "message": "no",
    "remedy": "Grant acme:ReadThings.",
}
THINGS = [{"name": "a", "parts": []}, {"name": "b", "parts": []}]
CASES = {
    "usual": ({"answer": ["a", "b"]}, {"records": THINGS, "gaps": []}),
    "empty": ({"answer": []}, {"records": [], "gaps": []}),
    "denied": ({"error": {}}, {"records": [], "gaps": [DENIAL]}),
}
NAMES = [
    "good",
    "periodic",
    "wrong_record",
    "undeclared",
    "unused",
    "caseless",
    "mute",
    "repeated",
    "greedy",
    "broken",
    "Loud",
]
STARTED = "2026-04-15T09:14:22Z"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_project(root: Path) -> None:
    """A package with an entry point, as an installer leaves it, and examples of all types but one."""
    write(root / "site/acme/__init__.py", PACKAGE)
    write(root / "site/acme/thing.py", TYPES)
    info = root / "site/acme_collectors-1.0.dist-info"
    write(info / "METADATA", "Metadata-Version: 2.1\nName: acme-collectors\nVersion: 1.0\n")
    write(info / "entry_points.txt", "[chequr_agent.collectors]\nacme = acme\n")
    write(root / "pytest.ini", "[pytest]\n")
    write(root / "tests/conftest.py", CONFTEST)
    for name in NAMES:
        for case, (answer, records) in CASES.items():
            folder = root / "tests/evidence" / f"acme_thing_{name}" / case
            example = {"started": STARTED, "answers": [{"call": "acme:GetThing", **answer}]}
            if name == "periodic":
                example["period"] = {"since": "2026-04-15T08:00:00Z", "until": "2026-04-15T09:00:00Z"}
            write(folder / "answers.json", json.dumps(example))
            write(folder / "records.json", json.dumps(records))
    examples = root / "tests/evidence"
    for left in (examples / "acme_thing_caseless/denied").iterdir():
        left.unlink()
    write(examples / "acme_thing_goood/usual/answers.json", "{}")
    write_malformed(examples / "acme_thing_astray")


def write_malformed(examples: Path) -> None:
    one = {"started": STARTED, "answers": [{"answer": []}]}
    write(examples / "unread/answers.json", '{"started": ')
    write(examples / "left_over/answers.json", json.dumps(one | {"answers": [{"answer": []}, {"answer": []}]}))
    write(examples / "unknown_key/answers.json", json.dumps(one | {"anwsers": []}))
    write(examples / "timed/answers.json", json.dumps(one | {"period": {"since": STARTED, "until": STARTED}}))
    write(examples / "no_records/answers.json", json.dumps(one))


class Outcome:
    def __init__(self, text: str) -> None:
        self.text = text
        self.states = dict(re.findall(r"^tests/evidence/?(\S+) (PASSED|FAILED|ERROR)", text, re.MULTILINE))

    def failure(self, item: str) -> str:
        assert self.states[item] == "FAILED"
        return (
            re.split(rf" tests/evidence/?{re.escape(item)} _", self.text, maxsplit=1)[1]
            .split("\n", 1)[1]
            .split("\n____", 1)[0]
        )


def run_pytest(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    installed = any(point.value == "collectors.conformance" for point in entry_points(group="pytest11"))
    plugin = [] if installed else ["-p", "collectors.conformance"]
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *plugin, *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    environment |= {"PYTHONPATH": str(root / "site"), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("project")
    write_project(root)
    return root


@pytest.fixture(scope="module")
def outcome(project) -> Outcome:
    return Outcome(run_pytest(project).stdout)


def test_a_package_with_an_entry_point_is_checked_for_nothing(outcome):
    """A conforming type of somebody else's passes every check, with no test code of its own."""
    checks = {"id", "documentation", "fields", "cases", "permissions"}
    for name in ("good", "periodic"):
        items = {
            *(f"acme_thing_{name}::{check}" for check in checks),
            *(f"acme_thing_{name}/{case}::example" for case in CASES),
        }
        mine = {item: state for item, state in outcome.states.items() if f"thing_{name}" in item}
        assert mine == dict.fromkeys(items, "PASSED")


def test_only_the_projects_own_sources_are_checked(outcome):
    """Sources without an example in the project are left alone."""
    assert {item.removeprefix("::").split("_")[0] for item in outcome.states} == {"acme"}


def test_a_wrong_record_is_shown_as_a_difference(outcome):
    """A record other than the written one fails with the lines that differ, and no traceback."""
    failure = outcome.failure("acme_thing_wrong_record/usual::example")
    assert '-      "name": "a",' in failure
    assert '+      "name": "A",' in failure
    assert "Traceback" not in failure
    assert "conformance.py" not in failure


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("acme_thing_undeclared::permissions", "needed by a call but not declared: acme:ReadThings"),
        ("acme_thing_unused::permissions", "declared but needed by no call of any example: acme:WriteThings"),
        ("acme_thing_caseless::cases", "has no example denied"),
        ("acme_thing_exampleless::cases", "has no example usual, empty, denied"),
        ("acme_thing_mute::fields", "no description of MutePart.weight"),
        ("acme_thing_mute::documentation", "has no docstring"),
        ("acme_thing_repeated/usual::example", "acme:GetThing (2 calls, 1 different)"),
        ("acme_thing_greedy/usual::example", "the replay refuses: no answer was recorded for more"),
        ("acme_thing_Loud::id", "acme_thing_Loud is no id"),
        ("::acme_thing_goood", "did you mean acme_thing_good?"),
        ("acme_thing_astray/unread::example", "answers.json is not JSON"),
        ("acme_thing_astray/left_over::example", "the replay refuses: answers that nobody asked for"),
        ("acme_thing_astray/unknown_key::example", "anwsers: Extra inputs are not permitted"),
        ("acme_thing_astray/timed::example", "acme_thing_astray takes no period"),
        ("acme_thing_astray/no_records::example", "records.json is missing"),
    ],
)
def test_what_does_not_conform_fails_with_one_message(outcome, item, words):
    """Each breach of the contract fails an item of its own, in words, without the plugin's traceback."""
    failure = outcome.failure(item)
    assert words in failure
    assert "Traceback" not in failure
    assert "conformance.py" not in failure


def test_a_bug_in_a_collector_is_shown_where_it_is(outcome):
    """The traceback of an unforeseen error begins in the collector, not in the plugin."""
    failure = outcome.failure("acme_thing_broken/usual::example")
    assert "ZeroDivisionError: a bug in the collector" in failure
    assert "thing.py" in failure
    assert "conformance.py" not in failure
    assert "examples.py" not in failure


def test_one_example_can_be_run_alone(project):
    """A case's folder is a path that pytest takes."""
    done = run_pytest(project, "tests/evidence/acme_thing_good/usual")
    assert done.returncode == 0
    assert Outcome(done.stdout).states == {"acme_thing_good/usual::example": "PASSED"}


def test_every_type_of_this_project_has_examples():
    """No evidence type that comes with the agent lacks a folder of examples, and none is left over."""
    ours = {kind.id for name in ("aws", "github", "manual", "okta") for kind in registry.evidence_types(name)}
    assert {path.name for path in Path(__file__).with_name("evidence").iterdir()} == ours
