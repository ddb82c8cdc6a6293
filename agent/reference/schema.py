"""JSON Schemas: of the configuration as a whole, and of each record."""

from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter

from agent.config import Common, Config
from agent.reference.keys import duration
from collectors import registry
from collectors.contract import EvidenceType

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_DURATION = {"type": ["number", "string"], "pattern": r"^\s*\d+(\.\d+)?\s*[smhd]?\s*$"}


def record_schema(kind: EvidenceType[Any]) -> dict[str, Any]:
    """The JSON Schema of one record as it is delivered."""
    return {"$schema": DIALECT, **kind.record.model_json_schema(mode="serialization"), "title": kind.id}


def config_schema() -> dict[str, Any]:
    """The JSON Schema of the whole TOML: what a collector's table may hold follows from its source."""
    schema = Config.model_json_schema()
    names = registry.source_names()
    for name in names:
        _add_source(schema["$defs"], name)
    schema["$defs"]["collector"] = _chosen_by_source(names)
    schema["properties"]["collectors"] = _collectors(names)
    written: dict[str, Any] = _as_written(schema)
    return {"$schema": DIALECT, **written, "title": "chequr-agent"}


def _add_source(definitions: dict[str, Any], name: str) -> None:
    """One definition a source, of its own keys and those that all collectors have."""
    common = Common.model_json_schema()
    own = registry.source(name).settings.model_json_schema(ref_template=f"#/$defs/{name}_{{model}}")
    for inner, definition in own.pop("$defs", {}).items():
        definitions[f"{name}_{inner}"] = definition
    named = {"source": {**common["properties"]["source"], "const": name}}
    definitions[f"collector_{name}"] = {**own, "properties": {**common["properties"], **named, **own["properties"]}}


def _chosen_by_source(names: list[str]) -> dict[str, Any]:
    """A table of any name: it says its source."""
    choices = [
        {
            "if": {"properties": {"source": {"const": name}}, "required": ["source"]},
            "then": {"$ref": f"#/$defs/collector_{name}"},
        }
        for name in names
    ]
    return {"type": "object", "required": ["source"], "properties": {"source": {"enum": names}}, "allOf": choices}


def _collectors(names: list[str]) -> dict[str, Any]:
    """A table that has a source's name is of that source, unless it says another."""
    named = {
        name: {
            "if": {"required": ["source"]},
            "then": {"$ref": "#/$defs/collector"},
            "else": {"$ref": f"#/$defs/collector_{name}"},
        }
        for name in names
    }
    return {
        "type": "object",
        "description": "What is looked at, and when.",
        "properties": named,
        "propertyNames": {"pattern": "^[A-Za-z0-9][A-Za-z0-9_-]*$"},
        "additionalProperties": {"$ref": "#/$defs/collector"},
    }


def _as_written(schema: Any) -> Any:
    """A schema of what stands in TOML: durations as people write them, and no null, which TOML does not have."""
    match schema:
        case {"format": "duration"}:
            rest = {key: value for key, value in schema.items() if key not in ("format", "type", "default")}
            default = TypeAdapter(timedelta).validate_python(schema["default"])
            return {**rest, **_DURATION, "default": duration(default)}
        case {"anyOf": [only, {"type": "null"}]}:
            rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
            return _as_written({**only, **rest})
        case dict():
            return {key: _as_written(value) for key, value in schema.items() if (key, value) != ("default", None)}
        case list():
            return [_as_written(inner) for inner in schema if inner != {"type": "null"}]
    return schema
