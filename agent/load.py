"""Reads the configuration, and says all that is wrong with it at once, before anything starts.

Two steps, because a collector's table holds keys of the agent and keys of its source:

    TOML + environment ──► Config           the agent's own keys, strict
    [collectors.<name>] ──► Collector       the common keys, and the rest by the source's own Settings, strict
"""

import json
import os
import re
import ssl
import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_settings import SettingsError

from agent.config import PREFIX, Collector, Common, Config, ConfigurationInvalid, Loaded, nearest, variable_of
from agent.explain import explain
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
    """The configuration in a file and the environment. Raises ConfigurationInvalid with every problem found.

    The agent's own keys are looked at first: the collectors only once those are good.
    """
    try:
        return _load(path)
    except ConfigurationInvalid as error:
        raise ConfigurationInvalid([_traced(problem) for problem in error.problems], path=path) from error


def _traced(problem: str) -> str:
    """The problem, and the variable that its key comes from: nobody would find that in the file."""
    variable = variable_of(problem.partition(":")[0].split("."), os.environ)
    return f"{problem}; it comes from ${variable}" if variable else problem


def _load(path: Path) -> Loaded:
    problems: list[str] = []
    raw = _anchored(read(path), path.absolute().parent, problems)
    problems += _unknown_variables()
    try:
        config = Config(**raw)
    except ValidationError as error:
        raise ConfigurationInvalid([*problems, *explain(error, Config)]) from error
    except SettingsError as error:  # it names the field, and nothing of its value
        raise ConfigurationInvalid([*problems, f"the environment: {error}: it must be JSON"]) from error
    problems += [*_unmappable(config), *_untrusted(config.chequr.ca_file)]
    collectors: dict[str, Collector] = {}
    for name, table in config.collectors.items():
        try:
            collectors[name] = _collector(name, table)
        except ConfigurationInvalid as error:
            problems += error.problems
    if problems:
        raise ConfigurationInvalid(problems)
    return Loaded(config, collectors, path)


def read(path: Path) -> dict[str, Any]:
    """What stands in the file. Raises ConfigurationInvalid."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationInvalid([f"the file cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigurationInvalid([f"the file is not UTF-8 text (at line {line})"]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationInvalid([f"the file is not TOML: {error}"]) from error


def _anchored(table: Mapping[str, Any], folder: Path, problems: list[str], where: str = "") -> dict[str, Any]:
    """Relative paths count from the configuration file: keys called path, or ending in _file or _dir."""

    def anchor(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return _anchored(value, folder, problems, f"{where}{key}.")
        if not isinstance(value, str) or not (key == "path" or key.endswith(("_file", "_dir"))):
            return value
        if not value.strip() or "\0" in value:
            problems.append(f"{where}{key}: it names nothing; name a path, or leave the key out")
        return str(folder / Path(value).expanduser())

    return {key: anchor(key, value) for key, value in table.items()}


def _unknown_variables() -> list[str]:
    """Variables of ours that name no key; pydantic-settings would pass over them.

    One underscore is left to others, unless a key follows: Kubernetes makes up CHEQUR_AGENT_SERVICE_HOST and its like.
    """
    known = [f"{PREFIX}{name.upper()}" for name in Config.model_fields]
    keys = "|".join(name.upper() for name in Config.model_fields)
    return [
        f"the variable {name} names no key{nearest(name.upper(), known)}"
        for name in os.environ
        if (name.upper().startswith(PREFIX) and not re.match(rf"{PREFIX}(?:{keys})(?:__|$)", name.upper()))
        or re.match(rf"{PREFIX.removesuffix('_')}(?:{keys})(?:_|$)", name.upper())
    ]


def _unmappable(config: Config) -> list[str]:
    known = [kind.id for kind in registry.all_evidence_types()] if config.controls.map else []
    return [
        f"controls.map.{name}: no evidence type is called {name}{nearest(name, known)}"
        for name in config.controls.map
        if name not in known
    ]


def _untrusted(ca_file: Path | None) -> list[str]:
    if ca_file is None:
        return []
    try:
        ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        return [f"chequr.ca_file: {ca_file} holds no certificates (PEM) that can be read: {error.strerror or error}"]
    return []


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
    types = _types(common, source_name, where, problems) if common else []
    if problems:
        raise ConfigurationInvalid(problems)
    return Collector(name, common, settings, types)


def _parsed(value: Any) -> Any:
    """A list or a table that a variable holds as JSON."""
    if not isinstance(value, str) or not value.startswith(("[", "{")):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _checked(
    model: type[Any], table: Mapping[str, Any], where: str, problems: list[str], *, also: type[BaseModel] | None = None
) -> Any:
    try:
        return model.model_validate({key: _parsed(value) for key, value in table.items()})
    except ValidationError as error:
        problems += explain(error, model, where, also)
        return None


def _types(common: Common, source: str, where: str, problems: list[str]) -> list[EvidenceType[Any]]:
    """The chosen evidence types of a source, and the schedule checked with them."""
    offered = registry.evidence_types(source)
    ids = [kind.id for kind in offered]
    problems += [
        f"{where}.types: no evidence type of {source} matches {pattern}{nearest(pattern, ids)}"
        for pattern in common.types or []
        if not any(fnmatchcase(type_id, pattern) for type_id in ids)
    ]
    try:
        if common.schedule not in WORDS:
            trigger("", common.schedule, common.timezone, host="")
    except InvalidSchedule as error:
        problems.append(f"{where}.schedule: {error}")
    return [kind for kind in offered if any(fnmatchcase(kind.id, pattern) for pattern in common.types or ["*"])]
