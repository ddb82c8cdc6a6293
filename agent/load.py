"""Reads the configuration, and says all that is wrong with it at once, before anything starts.

Two steps, because a collector's table holds keys of the agent and keys of its source:

    TOML + environment ──► Config           the agent's own keys, strict
    [collectors.<name>] ──► Collector       the common keys, and the rest by the source's own Settings, strict
"""

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from agent.config import PREFIX, Collector, Common, Config, ConfigurationInvalid, Loaded, nearest
from agent.schedule import WORDS, InvalidSchedule, trigger
from collectors import registry
from collectors.contract import EvidenceType

_PLACES = ("config.toml", "/etc/chequr-agent/config.toml")


def locate(path: Path | None = None) -> Path:
    """The configuration file: as told, else `$CHEQUR_AGENT_CONFIG`, else the first usual place that has one.

    Raises ConfigurationInvalid.
    """
    named = path or (Path(told) if (told := os.environ.get("CHEQUR_AGENT_CONFIG")) else None)
    if named is not None:
        return named
    for place in map(Path, _PLACES):
        if place.is_file():
            return place
    raise ConfigurationInvalid(
        [f"no configuration: looked for {' and '.join(_PLACES)}; write one with `chequr-agent config example`"]
    )


def load(path: Path) -> Loaded:
    """The configuration in a file and the environment. Raises ConfigurationInvalid with every problem found."""
    raw = _read(path)
    problems = _unknown_variables()
    try:
        config = Config(**_anchored(raw, path.absolute().parent))
    except ValidationError as error:
        raise ConfigurationInvalid([*problems, *_explain(error, Config)], path=path) from error
    collectors: dict[str, Collector] = {}
    for name, table in config.collectors.items():
        try:
            collectors[name] = _collector(name, table)
        except ConfigurationInvalid as error:
            problems += error.problems
    if problems:
        raise ConfigurationInvalid(problems, path=path)
    return Loaded(config, collectors, path)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationInvalid([f"{path} cannot be read: {error.strerror}"], path=path) from error
    except UnicodeDecodeError as error:
        raise ConfigurationInvalid([f"{path} is not UTF-8 text"], path=path) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationInvalid([f"{path} is not TOML: {error}"], path=path) from error


def _anchored(table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Relative paths count from the configuration file: keys called path, or ending in _file or _dir."""

    def anchor(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return _anchored(value, folder)
        if isinstance(value, str) and value and (key == "path" or key.endswith(("_file", "_dir"))):
            return str(folder / Path(value).expanduser())
        return value

    return {key: anchor(key, value) for key, value in table.items()}


def _unknown_variables() -> list[str]:
    """Variables of ours that name no key; pydantic-settings would pass over them."""
    known = [f"{PREFIX}{name.upper()}" for name in Config.model_fields]
    stray = [
        name
        for name in os.environ
        if name.upper().startswith(PREFIX) and not any(re.match(rf"{key}(__|$)", name.upper()) for key in known)
    ]
    return [f"the variable {name} names no key{nearest(name, known)}" for name in stray]


def _collector(name: str, table: Mapping[str, Any]) -> Collector:
    where = f"collectors.{name}"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise ConfigurationInvalid([f"{where}: a collector's name has letters, digits, - and _ only"])
    source_name = str(table.get("source") or name)
    try:
        source = registry.source(source_name)
    except registry.UnknownSource:
        known = registry.source_names()
        reason = f"no source is called {source_name}{nearest(source_name, known)}"
        raise ConfigurationInvalid([f"{where}: {reason}; set source to one of {', '.join(known)}"]) from None
    mine = {key: value for key, value in table.items() if key in Common.model_fields}
    theirs = {key: value for key, value in table.items() if key not in mine}
    problems: list[str] = []
    common = _checked(Common, mine, where, problems)
    settings = _checked(source.settings, theirs, where, problems, also=Common)
    if common is None or settings is None:
        raise ConfigurationInvalid(problems)
    return Collector(name, common, settings, _types(common, source_name, where))


def _checked(
    model: type[Any], table: Mapping[str, Any], where: str, problems: list[str], *, also: type[BaseModel] | None = None
) -> Any:
    try:
        return model.model_validate(table)
    except ValidationError as error:
        problems += _explain(error, model, where, also)
        return None


def _types(common: Common, source: str, where: str) -> list[EvidenceType[Any]]:
    """The chosen evidence types of a source, and the schedule checked with them."""
    offered = registry.evidence_types(source)
    ids = [kind.id for kind in offered]
    problems = [
        f"{where}.types: no evidence type of {source} matches {pattern}{nearest(pattern, ids)}"
        for pattern in common.types or []
        if not any(fnmatchcase(type_id, pattern) for type_id in ids)
    ]
    try:
        if common.schedule not in WORDS:
            trigger("", common.schedule, common.timezone, host="")
    except InvalidSchedule as error:
        problems.append(f"{where}.schedule: {error}")
    if problems:
        raise ConfigurationInvalid(problems)
    return [kind for kind in offered if any(fnmatchcase(kind.id, pattern) for pattern in common.types or ["*"])]


def _explain(
    error: ValidationError, model: type[BaseModel], where: str = "", also: type[BaseModel] | None = None
) -> list[str]:
    return [_problem(fault, model, where, also) for fault in error.errors(include_url=False, include_input=False)]


def _problem(fault: Any, model: type[BaseModel], where: str, also: type[BaseModel] | None) -> str:
    path = [str(step) for step in fault["loc"]]
    key = ".".join([*([where] if where else []), *path])
    if fault["type"] == "extra_forbidden":
        known = [*_keys_at(model, path[:-1]), *(_keys_at(also, path[:-1]) if also else [])]
        return f"{key}: there is no such key{nearest(path[-1], known)}"
    if fault["type"] == "missing":
        return f"{key}: it is required, and not set"
    message = str(fault["msg"]).removeprefix("Value error, ")
    return f"{key}: {message}" if key else message


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
