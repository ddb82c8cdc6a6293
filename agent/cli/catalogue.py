"""`types` and `permissions`: what can be collected, and what it takes."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.options import ConfigPath, Json

if TYPE_CHECKING:
    from agent.config import Loaded
    from agent.controls import ControlMap
    from collectors.contract import EvidenceType

types = typer.Typer(help="The catalogue of evidence types.", invoke_without_command=True)


@types.callback()
def list_types(context: typer.Context, config: ConfigPath = None, *, json: Json = False) -> None:
    """Lists what can be collected."""
    if context.invoked_subcommand:
        return
    from agent.cli.output import print_json, table
    from collectors.registry import all_evidence_types

    controls = _controls(config)
    kinds = all_evidence_types()
    if json:
        print_json([_facts(kind, controls) for kind in kinds])
        return
    rows = ((kind.id, _first_sentence(kind.documentation), ", ".join(controls.controls_for(kind.id))) for kind in kinds)
    table(("evidence type", "what it is", "controls"), rows)


@types.command()
def show(
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="The evidence type's id.")],
    config: ConfigPath = None,
    *,
    json: Json = False,
) -> None:
    """Shows one evidence type: its fields, the permissions it needs, the controls it is for."""
    from agent.cli.output import print_json, say, table
    from agent.config import nearest
    from collectors.registry import all_evidence_types

    kinds = {kind.id: kind for kind in all_evidence_types()}
    if type_ not in kinds:
        raise typer.BadParameter(f"no evidence type is called {type_}{nearest(type_, kinds)}")
    kind = kinds[type_]
    facts = _facts(kind, _controls(config))
    if json:
        print_json(facts)
        return
    say(f"{facts['id']} (version {facts['version']})\n\n{facts['documentation']}\n")
    say(f"Runs against: {facts['target']}")
    say(f"Permissions:  {', '.join(facts['permissions'])}")
    by_itself = f"those that each {facts['target']} names" if kind.speaks_for_itself else "none known"
    say(f"Controls:     {', '.join(facts['controls']) or by_itself}\n")
    table(
        ("field", "type", "what it says"),
        ((name, field["type"], field["description"]) for name, field in facts["fields"].items()),
    )


def permissions(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="aws, okta, github, or another installed source.")],
    config: ConfigPath = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="For all types, whatever is configured.")] = False,
    format_: Annotated[
        str, typer.Option("--format", help="json; for aws also terraform and cloudformation: the role and its rollout.")
    ] = "json",
) -> None:
    """Prints the least privilege that the configured evidence types of a source need, ready to paste."""
    from agent.cli.output import print_json
    from agent.config import nearest
    from collectors import registry

    names = registry.source_names()
    if source not in names:
        raise typer.BadParameter(f"no source is called {source}{nearest(source, names)}; there are {', '.join(names)}")
    found = registry.source(source)
    formats = ("json", *found.formats)
    if format_ not in formats:
        known = ", ".join(formats)
        raise typer.BadParameter(f"{source} has no format {format_}{nearest(format_, formats)}; there are {known}")
    chosen = set() if everything else _configured(config, source)
    kinds = [kind for kind in registry.evidence_types(source) if not chosen or kind.id in chosen]
    if format_ == "json":
        print_json(found.grants(kinds))
    else:
        sys.stdout.write(found.formats[format_](kinds))


def _configured(config: Path | None, source: str) -> set[str]:
    """The ids of the types that the configuration chooses; none where there is no configuration to ask."""
    loaded = _loaded(config)
    if loaded is None:
        return set()
    collectors = (collector for collector in loaded.enabled if collector.source_name == source)
    return {kind.id for collector in collectors for kind in collector.types}


def _controls(config: Path | None) -> "ControlMap":
    """The mapping as far as it is known here; nothing is asked for it, and a configuration is not needed."""
    from agent import connect
    from agent.controls import ControlMap

    loaded = _loaded(config)
    if loaded is None:
        return ControlMap({}, None)
    return connect.control_map(loaded, connect.token(loaded), refresh=False)[0]


def _loaded(config: Path | None) -> "Loaded | None":
    """The configuration; None where there is none at all. One that is there must be good."""
    from agent.config import ConfigurationInvalid
    from agent.load import load, locate

    try:
        path = locate(config)
    except ConfigurationInvalid:
        return None
    return load(path)


def _facts(kind: "EvidenceType[Any]", controls: "ControlMap") -> dict[str, Any]:
    schema = kind.record.model_json_schema()
    return {
        "id": kind.id,
        "source": kind.source,
        "version": kind.version,
        "documentation": kind.documentation,
        "target": kind.target.__name__,
        "permissions": list(kind.permissions),
        "controls": list(controls.controls_for(kind.id)),
        "fields": {
            name: {"type": _type(field), "description": field.get("description", "")}
            for name, field in schema["properties"].items()
        },
    }


def _type(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(option) for option in field["anyOf"])
    if "$ref" in field:
        return str(field["$ref"]).rsplit("/", 1)[-1]
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    return str(field.get("type", "any"))


def _first_sentence(text: str) -> str:
    return text.split("\n\n", maxsplit=1)[0].replace("\n", " ").split(". ")[0].rstrip(".")
