"""The keys of a configuration table, read off its model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from agent.reference.text import type_name

_UNITS = (("d", 86400), ("h", 3600), ("m", 60))


@dataclass(frozen=True)
class Key:
    """One key of a table. `default` and `example` are TOML; both are None where there is none.

    `keys` are those of the tables in a list of tables.
    """

    name: str
    type: str
    description: str
    required: bool
    default: str | None
    example: str | None
    keys: tuple["Key", ...] = ()


def keys_of(model: type[BaseModel]) -> tuple[Key, ...]:
    """The keys that a table of this model has, in the order of the model; tables below it are left out."""
    properties = model.model_json_schema()["properties"]
    return tuple(
        _key(name, field, properties[name])
        for name, field in model.model_fields.items()
        if not isinstance(_plain_default(field), BaseModel | dict)
    )


def _key(name: str, field: FieldInfo, schema: Mapping[str, Any]) -> Key:
    inner = _table_in(field.annotation)
    default = _plain_default(field)
    told = default is not None and not field.is_required()
    return Key(
        name=name,
        type="list of tables" if inner else _type(schema),
        description=field.description or "",
        required=field.is_required(),
        default=toml(default) if told else None,
        example=_example(name, field, schema) if not told or field.examples else None,
        keys=keys_of(inner) if inner else (),
    )


def _plain_default(field: FieldInfo) -> Any:
    return None if field.is_required() else field.get_default(call_default_factory=True)


def _table_in(annotation: Any) -> type[BaseModel] | None:
    inner = [kind for kind in get_args(annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return inner[0] if inner else None


def _type(schema: Mapping[str, Any]) -> str:
    """What may be written; that a key may be left out is said by its default."""
    return " or ".join(word for word in type_name(dict(schema)).split(" or ") if word != "null")


def _example(name: str, field: FieldInfo, schema: Mapping[str, Any]) -> str:
    """The model's own example; without one, a stand-in of the right type."""
    if field.examples:
        return toml(field.examples[0])
    kind = _type(schema).split(" or ")[0]
    if kind == "path":
        return toml(f"/etc/chequr-agent/{name.removesuffix('_file')}")
    stand_ins = {"integer": 1, "number": 10, "boolean": True}
    if kind.startswith("list of"):
        return toml(["..."])
    return toml(stand_ins.get(kind, kind.strip("`") if kind.startswith("`") else "..."))


def toml(value: Any) -> str:
    """A value as TOML, on one line."""
    match value:
        case BaseModel():
            return toml(value.model_dump(mode="json", exclude_none=True))
        case dict():
            pairs = ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items())
            return f"{{ {pairs} }}" if pairs else "{}"
        case list() | tuple():
            return f"[{', '.join(map(toml, value))}]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int():
            return f"{value:_}" if value % 1000 == 0 else str(value)
        case float():
            return repr(value)
        case timedelta():
            return _text(duration(value))
        case str() | Path():
            return _text(str(value))
    raise TypeError(f"{type(value).__name__} has no place in TOML")


def _text(value: str) -> str:
    """JSON's quoting, and that of the one control character that JSON lets through."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def duration(value: timedelta) -> str:
    """As the configuration takes it, in the largest unit that keeps it whole: `24h` is `1d`."""
    seconds = value.total_seconds()
    for unit, size in _UNITS:
        if seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:f}".rstrip("0").rstrip(".") + "s"
