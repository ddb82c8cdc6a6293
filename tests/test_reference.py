"""Generated references: they are what is committed, and what they say is so."""

import json
import re
import tomllib
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from agent.config import Chequr, Common, Config, ConfigurationInvalid, Controls, Delivery, Log
from agent.exit import MEANING
from agent.load import load
from agent.reference import cli_markdown, config_example, config_schema, configuration_markdown, files, record_schema
from agent.reference.commands import command_tree
from agent.reference.keys import duration, keys_of, toml
from collectors import registry

ROOT = Path(__file__).parents[1]
GENERATED = files()
MODELS = [Config, Chequr, Delivery, Controls, Log, Common]
SETTINGS = {name: registry.source(name).settings for name in registry.source_names()}
REQUIRED = {"org_url": '"https://acme.okta.com"', "organizations": '["acme"]'}
KINDS = registry.all_evidence_types()


@pytest.mark.parametrize("path", GENERATED)
def test_generated_file_is_current(path):
    """What is committed is what the code generates."""
    file = ROOT / path
    assert file.is_file(), f"{path} is missing: run make docs"
    assert file.read_text(encoding="utf-8") == GENERATED[path], f"{path} is out of date: run make docs"


def test_no_generated_file_is_left_over():
    """Each schema and each list of permissions is of a type or source that there is."""
    found = {
        str(path.relative_to(ROOT)) for name in ("permissions", "schema") for path in (ROOT / "docs" / name).iterdir()
    }
    assert found <= GENERATED.keys(), "run make docs"


@pytest.mark.parametrize("path", GENERATED)
def test_generated_file_says_so(path):
    """Each generated file names its origin in its first lines, where somebody who would edit it sees it."""
    assert "Generated from the code" in "".join(GENERATED[path].splitlines()[:2])


# ── the example ──


def test_example_is_valid_as_it_is(tmp_path):
    """The example is a configuration that can be used at once, with the one collector that needs no account."""
    assert list(_loaded(tmp_path, config_example()).collectors) == ["manual"]


def test_example_shows_the_defaults(tmp_path):
    """Each default that the example shows is valid, and writing it down changes nothing."""
    bare = _loaded(tmp_path, _with_required(_tables_only(config_example())))
    told = _loaded(tmp_path, _with_required(_uncommented(config_example())))
    assert told.config.model_copy(update={"collectors": {}}) == bare.config.model_copy(update={"collectors": {}})
    assert told.collectors.keys() == bare.collectors.keys() == SETTINGS.keys()
    for name, collector in told.collectors.items():
        assert (collector.common, collector.settings) == (bare.collectors[name].common, bare.collectors[name].settings)


def test_example_has_every_key():
    """No key of any table is missing from the example, nor from the reference."""
    example, reference = config_example(), configuration_markdown()
    for model in [*MODELS, *SETTINGS.values()]:
        for key in keys_of(model):
            assert re.search(rf"^(# )?{key.name} = ", example, re.MULTILINE), key.name
            assert f"| `{key.name}` |" in reference


def test_examples_of_keys_are_toml():
    """Each line that stands for example can be uncommented without breaking the file."""
    lines = re.findall(r"^# (.+)  # for example$", config_example(), re.MULTILINE)
    assert lines
    for line in lines:
        tomllib.loads(line)


@pytest.mark.parametrize(
    "model", [*MODELS, *SETTINGS.values()], ids=lambda model: f"{model.__module__}.{model.__name__}"
)
def test_every_key_is_described(model):
    """Each key of each table, of the agent and of every source, says what it means."""
    undescribed = [key.name for key in _all(keys_of(model)) if not key.description.endswith(".")]
    assert undescribed == [], f"{model.__module__}.{model.__name__}: these keys lack Field(description=…)"


def test_a_model_s_own_example_is_shown():
    """A key without a default shows the example that its model gives, and else one of its type."""

    class Settings(BaseModel):
        url: str = Field(examples=["https://acme.example"], description="Where.")
        count: int | None = Field(default=None, description="How many.")

    assert [key.example for key in keys_of(Settings)] == ['"https://acme.example"', "1"]


@given(
    st.recursive(
        st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.from_regex(r"[a-z_]+", fullmatch=True), inner),
        max_leaves=8,
    )
)
def test_toml_is_read_back_as_it_was(value):
    """What is written as TOML is read as the same value."""
    assert tomllib.loads(f"key = {toml(value)}") == {"key": value}


@given(st.integers(1, 10**7))
def test_duration_is_read_back_as_it_was(seconds):
    """A duration is written in a way that the configuration takes, and means the same."""
    assert Chequr(timeout=duration(timedelta(seconds=seconds))).timeout == timedelta(seconds=seconds)


# ── the schemas ──

GOOD = [
    "",
    '[collectors.manual]\npath = "evidence"\n',
    '[collectors.policies]\nsource = "manual"\npath = "policies"\nschedule = "weekly"\n',
    '[collectors.aws]\nsource = "okta"\norg_url = "https://acme.okta.com"\n',
    '[collectors.aws]\naccounts = [{ role_arn = "arn:aws:iam::123456789012:role/audit", external_id = "x7" }]\n',
    "[chequr]\ntimeout = 30\nrate = 2.5\n",
    '[controls]\nrefresh = "12h"\n[controls.map]\naws_iam_user_mfa = ["ctrl_ac_02"]\n',
]
BAD = [
    'state = "x"\n',
    "[chequr]\ntimeout = true\n",
    '[controls]\nrefresh = "soon"\n',
    "[delivery]\nconcurrency = 0\n",
    "[collectors.manual]\n",
    '[collectors.manual]\npath = "evidence"\nregions = ["eu-central-1"]\n',
    '[collectors.policies]\npath = "policies"\n',
    '[collectors.policies]\nsource = "dropbox"\npath = "policies"\n',
    '[collectors.aws]\naccounts = [{ role = "arn:aws:iam::123456789012:role/audit" }]\n',
    '[collectors."a b"]\nsource = "manual"\npath = "evidence"\n',
]


@pytest.mark.parametrize("text", [*GOOD, config_example()], ids=range(len(GOOD) + 1))
def test_schema_takes_what_the_agent_takes(tmp_path, text):
    """A configuration that the agent accepts fits the schema."""
    _loaded(tmp_path, text)
    _validator(config_schema()).validate(tomllib.loads(text))


@pytest.mark.parametrize("text", BAD)
def test_schema_refuses_what_the_agent_refuses(tmp_path, text):
    """An unknown key, a wrong type, a key of another source: an editor marks what the agent would refuse."""
    with pytest.raises(ConfigurationInvalid):
        _loaded(tmp_path, text)
    assert not _validator(config_schema()).is_valid(tomllib.loads(text))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
def test_records_fit_their_schema(kind):
    """Each record of each example fits the schema that is published for its type."""
    validator = _validator(record_schema(kind))
    for case in (ROOT / "tests" / "evidence" / kind.id).glob("*/records.json"):
        for record in json.loads(case.read_text(encoding="utf-8"))["records"]:
            validator.validate(record)


# ── the catalogue, the permissions, the command ──


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
def test_catalogue_tells_all_of_a_type(kind):
    """Documentation, permissions and fields of each evidence type stand in the catalogue."""
    section = GENERATED["docs/evidence.md"].split(f"\n### {kind.id}\n")[1].split("\n### ")[0]
    assert " ".join(kind.documentation.split("\n\n")[0].split()) in section
    for word in (*kind.permissions, *kind.record.model_fields):
        assert f"`{word}`" in section


@pytest.mark.parametrize("source", SETTINGS)
def test_permissions_can_be_pasted(source):
    """What is shown is what the source grants for all its types, and each permission says what it is for."""
    markdown = GENERATED[f"docs/permissions/{source}.md"]
    shown = json.loads(markdown.split("```json\n")[1].split("```")[0])
    kinds = registry.evidence_types(source)
    assert shown == registry.source(source).grants(kinds)
    for kind in kinds:
        for permission in kind.permissions:
            assert re.search(rf"^\| `{permission}` \|.*\[{kind.id}\]", markdown, re.MULTILINE)


def test_every_command_and_option_says_what_it_does():
    """No command, argument or option is without help."""
    nameless = [
        f"{path} {option.opts[0]}" for path, command in _commands() for option in command.params if not option.help
    ] + [path for path, command in _commands() if not command.help]
    assert nameless == []


def test_every_command_option_and_exit_code_stands_in_the_reference():
    """The reference of the command is complete."""
    reference = cli_markdown()
    for path, command in _commands():
        section = reference.split(f"\n## {path}\n")[1].split("\n## ")[0] if _works(command) else reference
        for option in command.params:
            assert option.param_type_name == "argument" or f"`{option.opts[0]}" in section
    for code, meaning in MEANING.items():
        assert f"| {code.value} | {meaning} |" in reference
        assert f"| {code.value} | {meaning} |" in Path("README.md").read_text(encoding="utf-8")


def _commands(command=None, path="chequr-agent"):
    command = command or command_tree()
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, f"{path} {name}")


def _works(command):
    return not hasattr(command, "commands") or (command.invoke_without_command and command.name == "types")


def _all(keys):
    for key in keys:
        yield key
        yield from _all(key.keys)


def _loaded(folder, text):
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def _tables_only(example):
    """The example with every table, and only the keys that must be there."""
    return re.sub(r"^# (\[.+\]|\w+ = .+  # required)$", r"\1", example, flags=re.MULTILINE)


def _uncommented(example):
    """The example with every default written down."""
    return re.sub(r"^# (\w+ = (?!.*  # for example$).+)$", r"\1", _tables_only(example), flags=re.MULTILINE)


def _with_required(example):
    """The example with values that the sources accept where a key has to be set."""
    return re.sub(
        r"^(\w+) = (.+)  # required$",
        lambda key: f"{key[1]} = {REQUIRED.get(key[1], key[2])}",
        example,
        flags=re.MULTILINE,
    )


def _validator(schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)
