"""What pydantic finds wrong with a configuration, said in TOML's words, with the key's full name and a remedy."""

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from agent.config import nearest
from agent.redaction import names_secret, redact

_WORDS = {
    "string_type": "it must be text in quotes",
    "path_type": "it must be a path in quotes",
    "bool_type": "it must be true or false",
    "bool_parsing": "it must be true or false",
    "int_type": "it must be a whole number",
    "int_parsing": "it must be a whole number",
    "int_from_float": "it must be a whole number",
    "float_type": "it must be a number",
    "float_parsing": "it must be a number",
    "list_type": 'it must be a list, as in ["one", "two"]',
    "tuple_type": 'it must be a list, as in ["one", "two"]',
    "dict_type": "it must be a table",
    "model_type": "it must be a table",
    "string_too_short": "it is empty",
    "too_short": "it is empty; leave the key out, or name at least one",
    "missing": "it is required, and not set",
}


def explain(
    error: ValidationError, model: type[BaseModel], where: str = "", also: type[BaseModel] | None = None
) -> list[str]:
    """One line a problem; never a value, which may be a secret in the wrong place."""
    faults = error.errors(include_url=False, include_input=False)
    within = {fault["loc"][:depth] for fault in faults for depth in range(len(fault["loc"]))}
    # A list is called too short where its only entry is bad: the entry's own problem says it.
    told = [fault for fault in faults if not (fault["type"] == "too_short" and fault["loc"] in within)]
    return [_problem(fault, model, where, also) for fault in told]


def _problem(fault: Any, model: type[BaseModel], where: str, also: type[BaseModel] | None) -> str:
    path = [str(step) for step in fault["loc"]]
    key = ".".join([*([where] if where else []), *path])
    if fault["type"] == "extra_forbidden":
        known = [*_keys_at(model, path[:-1]), *(_keys_at(also, path[:-1]) if also else [])]
        return f"{key}: there is no such key{nearest(path[-1], known)}{_elsewhere(path[-1])}"
    message = _WORDS.get(fault["type"]) or str(fault["msg"]).removeprefix("Value error, ")
    message = re.sub(r"^(Input|String) should ", "it should ", message)
    return f"{key}: {redact(message)[0]}" if key else message


def _elsewhere(key: str) -> str:
    if names_secret(key) or "secret" in key.lower():
        return "; secrets stay out of the configuration: put it into a file or a variable (docs/configuration.md)"
    return ""


def _keys_at(model: type[BaseModel], path: Iterable[str]) -> list[str]:
    """The keys that a table offers, found by walking the models from `model`."""
    here: Any = model
    for step in path:
        field = here.model_fields.get(step) if isinstance(here, type) and issubclass(here, BaseModel) else None
        here = field.annotation if field else here
        inner = [
            kind for kind in getattr(here, "__args__", ()) if isinstance(kind, type) and issubclass(kind, BaseModel)
        ]
        here = inner[0] if inner else here
    return list(here.model_fields) if isinstance(here, type) and issubclass(here, BaseModel) else []
