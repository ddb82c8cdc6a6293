"""The configuration: TOML, overridden by `CHEQUR_AGENT__…` variables, checked as a whole before anything starts.

Two steps, because a collector's table holds keys of the agent and keys of its source:

    TOML + environment ──► Config           the agent's own keys, strict
    [collectors.<name>] ──► Collector       the common keys, and the rest by the source's own Settings, strict
"""

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from agent import schedule
from agent.canonical import canonical, digest
from agent.endpoints import check_base_url
from agent.evidence import PayloadShape
from collectors import registry
from collectors.contract import EvidenceType, Settings

PREFIX = "CHEQUR_AGENT__"
_PLACES = ("config.toml", "/etc/chequr-agent/config.toml")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class ConfigurationInvalid(Exception):
    """The configuration cannot be used: every problem, each naming the key, the reason and the remedy."""

    def __init__(self, problems: Sequence[str], *, path: Path | None = None) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
        self.path = path


# ── The keys ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _duration(value: object) -> object:
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", value.strip())):
        return timedelta(**{_UNITS[match[2]]: float(match[1])})
    if isinstance(value, int | float) and not isinstance(value, bool):
        return timedelta(seconds=value)
    if isinstance(value, timedelta):
        return value
    raise ValueError("a duration is seconds, or a number with s, m, h or d, as in 24h")


Duration = Annotated[timedelta, BeforeValidator(_duration)]


class Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Chequr(Table):
    """How the API is reached."""

    base_url: Annotated[str, AfterValidator(check_base_url)] = Field(
        default="https://api.chequr.com/v1", description="The API's address; https, or http on this machine's loopback."
    )
    token_file: Path | None = Field(
        default=None,
        description="File with the API key. Without it: the systemd credential chequr_token, then CHEQUR_TOKEN.",
    )
    ca_file: Path | None = Field(
        default=None, description="Certificates (PEM) to trust beside the system's, as for an inspecting proxy."
    )
    rate: float | None = Field(
        default=None, gt=0, description="Requests a second at most. Without it the API's own limit decides."
    )
    timeout: Duration = Field(default=timedelta(seconds=60), description="How long one request may take in all.")


class Delivery(Table):
    """How evidence is sent."""

    concurrency: int = Field(default=8, ge=1, le=64, description="Requests under way at once.")
    payload_shape: PayloadShape = Field(
        default="snapshot", description='"snapshot": all records of a place in one payload; "record": one payload each.'
    )
    max_payload_bytes: int = Field(
        default=1_000_000,
        ge=20_000,
        le=1_000_000,
        description="The largest request body. The API takes 1 MB; less where something between you and it takes less.",
    )
    receipts_keep_days: int = Field(
        default=400, ge=1, description="How long receipts are kept: longer than an audit period."
    )


class Controls(Table):
    """Which evidence goes to which control."""

    discover: bool = Field(
        default=True,
        description="Read the controls from the API, and map each test policy's evaluator to its evidence.",
    )
    refresh: Duration = Field(default=timedelta(hours=24), description="How old the controls read from the API may be.")
    map: dict[str, list[str]] = Field(
        default_factory=dict, description="Control ids by evidence type. Wins over what the API says."
    )


class Log(Table):
    """What is logged, to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="The least that is logged.")
    format: Literal["console", "json"] | None = Field(
        default=None, description="Without it: console on a terminal, JSON elsewhere."
    )


class Common(Table):
    """The keys that every collector has."""

    source: str | None = Field(default=None, description="What it looks at. Without it: the table's own name.")
    enabled: bool = Field(default=True, description="false: neither scheduled nor collected.")
    schedule: str = Field(default="daily", description="hourly, daily, weekly, or a cron expression of five fields.")
    timezone: Annotated[str, AfterValidator(schedule.check_timezone)] = Field(
        default="UTC", description="The time zone of the schedule, as in Europe/Berlin."
    )
    types: list[str] | None = Field(
        default=None, description="Evidence types, by id or pattern, as in aws_iam_*. Without it: all of the source."
    )
    payload_shape: PayloadShape | None = Field(default=None, description="Overrides [delivery] payload_shape.")


class Config(BaseSettings):
    """The agent's own keys. `collectors` holds raw tables; `load` turns them into Collectors."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    state_dir: Path = Field(default=Path("/var/lib/chequr-agent"), description="The outbox and all that must survive.")
    chequr: Chequr = Field(default_factory=Chequr)
    delivery: Delivery = Field(default_factory=Delivery)
    controls: Controls = Field(default_factory=Controls)
    log: Log = Field(default_factory=Log)
    collectors: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file, which comes in as arguments; nothing else is looked at."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings

    @model_validator(mode="after")
    def _map_known_types(self) -> "Config":
        known = [kind.id for kind in registry.all_evidence_types()] if self.controls.map else []
        for name in self.controls.map:
            if name not in known:
                raise ValueError(f"controls.map: no evidence type is called {name}{nearest(name, known)}")
        return self


class Collector:
    """One `[collectors.<name>]` table, whole and checked."""

    def __init__(self, name: str, common: Common, settings: Settings, types: Sequence[EvidenceType[Any]]) -> None:
        self.name = name
        self.common = common
        self.settings = settings
        self.types = tuple(types)

    @property
    def source_name(self) -> str:
        return self.common.source or self.name

    @cached_property
    def digest(self) -> str:
        """Of what decides what is seen: the source, its settings and the evidence types; it holds no secret."""
        told = {
            "source": self.source_name,
            "types": [kind.id for kind in self.types],
            "settings": self.settings.model_dump(mode="json"),
        }
        return digest(canonical(json.loads(json.dumps(told))))


class Loaded:
    """A configuration that was read and found good."""

    def __init__(self, config: Config, collectors: Mapping[str, Collector], path: Path | None) -> None:
        self.config = config
        self.collectors = dict(collectors)
        self.path = path

    @property
    def enabled(self) -> list[Collector]:
        return [collector for collector in self.collectors.values() if collector.common.enabled]


# ── Reading ────────────────────────────────────────────────────────────────────────────────────────────────────────


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
        if common.schedule not in schedule.WORDS:
            schedule.trigger("", common.schedule, common.timezone, host="")
    except schedule.InvalidSchedule as error:
        problems.append(f"{where}.schedule: {error}")
    if problems:
        raise ConfigurationInvalid(problems)
    return [kind for kind in offered if any(fnmatchcase(kind.id, pattern) for pattern in common.types or ["*"])]


# ── Telling what is wrong ──────────────────────────────────────────────────────────────────────────────────────────


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


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean …?` where something is near, else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""
