"""The written documentation: its links lead somewhere, its commands and keys exist, its examples are true."""

import ast
import json
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from agent.config import PREFIX, Common, Config
from agent.evidence import Snapshot, evidence
from agent.load import load
from agent.reference.commands import command_tree
from agent.spool import Spool
from collectors import registry
from collectors.contract import Journal
from collectors.errors import Gap

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TEXTS = [*PAGES, ROOT / "config.example.toml"]
CODE = sorted([*(ROOT / "agent").rglob("*.py"), *(ROOT / "collectors").rglob("*.py")])
COMMAND = command_tree()


def _name(path):
    return str(path.relative_to(ROOT))


each_page = pytest.mark.parametrize("page", PAGES, ids=_name)
each_text = pytest.mark.parametrize("page", TEXTS, ids=_name)


@each_page
def test_links_lead_somewhere(page):
    """Each link within the repository leads to a file that is there, and to a heading that it has."""
    for link in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", _prose(page)):
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in _anchors(file), f"{link} leads to no heading"


@each_text
def test_command_lines_are_understood(page):
    """Each line of a console block is a command that exists, with options and arguments that it takes."""
    for block in _blocks(page, "console"):
        for line in block.splitlines():
            if (
                "chequr-agent " in line
                and "[OPTIONS]" not in line
                and not line.startswith(("setfacl", "kubectl", "docker", "ln"))
            ):
                _understand(line, whole=True)


@each_text
def test_commands_named_in_passing_exist(page):
    """Each command that is named in a sentence exists, and takes the options that it is named with."""
    for line in re.findall(r"`(chequr-agent [^`]+)`", _prose(page)):
        _understand(line, whole=False)


def test_commands_named_by_the_agent_exist():
    """A remedy that the agent itself names is a command that it has."""
    named = {
        line for path in CODE for line in re.findall(r"`(chequr-agent [^`\n]+)`", path.read_text(encoding="utf-8"))
    }
    assert named
    for line in named:
        _understand(line, whole=False)


def test_commands_of_the_service_unit_exist():
    """What systemd starts is understood."""
    for unit in (ROOT / "systemd").glob("*.service"):
        for line in re.findall(r"ExecStart=\S*/(chequr-agent .+)", unit.read_text(encoding="utf-8")):
            _understand(line, whole=True)


@each_page
def test_modules_that_are_named_exist(page):
    """Each file of the code that a sentence names is there."""
    for name in re.findall(r"`((?:agent|collectors|tests)/[\w/]+\.py)`", _prose(page)):
        assert (ROOT / name).is_file(), f"{name} is not there"


@each_page
def test_configurations_are_good(page, tmp_path):
    """Each TOML block of the documentation is a configuration that the agent accepts."""
    for block in _blocks(page, "toml"):
        path = tmp_path / "config.toml"
        path.write_text(block, encoding="utf-8")
        load(path)


@each_text
def test_keys_that_are_named_exist(page):
    """Each table, dotted key and variable that a text names is one of the configuration."""
    text = page.read_text(encoding="utf-8")
    tables = {name for name in Config.model_fields if name not in ("state_dir", "collectors")}
    for table, key in re.findall(rf"`({'|'.join(tables)})\.(?!py`)(\w+)`", text):
        assert key in Config.model_fields[table].default_factory.model_fields, f"{table}.{key} is no key"
    for table in re.findall(r"`\[([a-z_]+)[\w.<>-]*\]`", text):
        assert table in Config.model_fields, f"[{table}] is no table"
    for variable in re.findall(rf"{PREFIX}([A-Z_]+)", text):
        _check_variable(variable)


@each_page
def test_examples_of_code_are_code(page):
    """Python blocks are Python, JSON blocks are JSON."""
    for block in _blocks(page, "python"):
        ast.parse(block)
    for block in _blocks(page, "json"):
        json.loads(block)


@each_text
def test_nothing_is_said_of_a_machine(page):
    """No text names a place that is only on somebody's own machine."""
    found = re.findall(r"(?:^|[\s`\"'(=])((?:/root|/home|/Users|/tmp|/work)/\S*)", page.read_text(encoding="utf-8"))
    assert found == []


def test_the_payload_of_the_design_is_what_is_sent():
    """The request shown in the design is, fact for fact, what the agent makes of an example of that evidence type."""
    (shown,) = (json.loads(block) for block in _blocks(ROOT / "docs" / "design.md", "json"))
    payload = shown["payload"]
    collection = payload["collection"]
    case = ROOT / "tests" / "evidence" / payload["evidence_type"] / "denied" / "records.json"
    example = json.loads(case.read_text(encoding="utf-8"))
    assert (payload["records"], payload["gaps"]) == (example["records"], example["gaps"])
    assert _made_of(payload, shown["control_id"], collection) == shown


def _made_of(payload, control_id, collection):
    (kind,) = (kind for kind in registry.all_evidence_types() if kind.id == payload["evidence_type"])
    spool = Spool()
    for record in payload["records"]:
        spool.append(kind.record.model_validate(record))
    for gap in payload["gaps"]:
        spool.append(Gap.model_validate(gap))
    snapshot = Snapshot(
        collector=collection["collector"],
        evidence_type=kind.id,
        schema_version=kind.version,
        source=kind.source,
        target=payload["target"],
        identity=collection["identity"],
        period=None,
        started=_instant(collection["started_at"]),
        finished=_instant(collection["finished_at"]),
        journal=_journal(collection["operations"]),
        config_digest=collection["config_digest"],
        observations=spool,
    )
    (made,) = evidence(snapshot, [control_id], shape="snapshot", limit=1_000_000)
    spool.close()
    return json.loads(made.body)


def _journal(operations):
    journal = Journal()
    for operation, use in operations.items():
        for parameters in use["parameters"]:
            journal.note(operation, json.dumps(parameters), permission=None, reused=False)
    return journal


def _instant(text):
    return datetime.fromisoformat(text).astimezone(UTC)


# ── reading pages ──


def _blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def _prose(page):
    """A page without its blocks of code, each paragraph on one line."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"(?<=\S)\n[ #]*(?=\S)", " ", text)


def _anchors(page):
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# ── reading commands ──


def _understand(line, *, whole):
    """Walks the tree of commands along a line. `whole` lines have all arguments that are required, too."""
    words = shlex.split(line.partition("chequr-agent ")[2], comments=True)
    words = words[: next((number for number, word in enumerate(words) if word in ("|", ">", "&&", ";")), len(words))]
    command = COMMAND
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    arguments = _arguments(command, words, line)
    offered = [each for each in command.params if each.param_type_name == "argument"]
    many = any(each.nargs == -1 for each in offered)
    assert many or len(arguments) <= len(offered), f"{line}: {arguments[len(offered) :]} is not understood"
    required = sum(each.required for each in offered)
    runs = not hasattr(command, "commands") or command.invoke_without_command
    assert not whole or (runs and len(arguments) >= required), f"{line}: something is missing"


def _arguments(command, words, line):
    """The words that are neither options nor their values; a form like `[NAME]` stands for what may be there."""
    options = {spelling: each for each in command.params for spelling in each.opts if spelling.startswith("-")}
    words, arguments = list(words), []
    while words:
        word = words.pop(0)
        name, _, value = word.partition("=")
        if word.startswith("-"):
            assert name in {*options, "--help"}, f"{line}: there is no option {name}"
            if name != "--help" and not options[name].is_flag and not value and words:
                words.pop(0)
        elif not word.startswith("["):
            arguments.append(word)
    return arguments


# ── reading variables ──


def _check_variable(variable):
    """A variable of the agent names a key: of a table of the agent's, or of a collector."""
    first, *rest = variable.lower().rstrip("_").split("__")
    assert first in Config.model_fields, f"{PREFIX}{variable} names no key"
    factory = Config.model_fields[first].default_factory
    if rest and first != "collectors":
        assert rest[0] in factory.model_fields, f"{PREFIX}{variable} names no key"
    if len(rest) > 1 and first == "collectors":
        keys = {*Common.model_fields, *(key for name in registry.source_names() for key in _settings(name))}
        assert rest[1] in keys, f"{PREFIX}{variable} names no key"


def _settings(source):
    return TypeAdapter(registry.source(source).settings).json_schema()["properties"]
