"""The keys of the configuration: TOML, overridden by `CHEQUR_AGENT__…` variables.

Config      the agent's own keys
Collector   one [collectors.<name>] table: the keys that all have, and those of its source
Loaded      both, read and found good by agent.load
"""

import difflib
import json
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from agent.canonical import canonical, digest
from agent.endpoints import check_base_url
from agent.evidence import PayloadShape
from agent.pseudonym import Pseudonym, keyed
from agent.room import Room
from agent.schedule import check_timezone, trigger
from collectors.contract import EvidenceType, Settings
from collectors.secret import read_secret

if TYPE_CHECKING:
    from agent.trigger import WallClock

PREFIX = "CHEQUR_AGENT__"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class ConfigurationInvalid(Exception):
    """The configuration cannot be used: every problem, each naming the key, the reason and the remedy."""

    def __init__(self, problems: Sequence[str], *, path: Path | None = None) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
        self.path = path


def variable_of(path: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """The variable that sets a key, or a table that the key is in; None where none does."""
    ours = {name.upper(): name for name, value in environment.items() if value and name.upper().startswith(PREFIX)}
    names = (PREFIX + "__".join(path[:depth]).upper() for depth in range(len(path), 0, -1))
    return next((ours[name] for name in names if name in ours), None)


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*([smhd]?)", "" if isinstance(value, bool) else str(value).strip())
    if match is None:
        raise ValueError("a duration is seconds, or a number with s, m, h or d, as in 24h")
    try:
        return timedelta(**{_UNITS[match[2] or "s"]: float(match[1])})
    except OverflowError as error:
        raise ValueError("it is longer than any calendar") from error


def _positive(value: timedelta) -> timedelta:
    if not value:
        raise ValueError("it must be longer than nothing")
    return value


def _different(ids: list[str]) -> list[str]:
    if len(set(ids)) < len(ids):
        raise ValueError("a control is named twice; name each once")
    return ids


Duration = Annotated[timedelta, BeforeValidator(_duration)]
ControlId = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Chequr(Table):
    """How the API is reached."""

    base_url: Annotated[str, AfterValidator(check_base_url)] = Field(
        default="https://api.chequr.com/v1", description="The API's address; https, or http on this machine's loopback."
    )
    token_file: Path | None = Field(
        default=None,
        examples=["/etc/chequr-agent/chequr_token"],
        description="File with the API key. Without it: the systemd credential chequr_token, then CHEQUR_TOKEN.",
    )
    ca_file: Path | None = Field(
        default=None,
        examples=["/etc/ssl/certs/acme-ca.pem"],
        description="Certificates (PEM) to trust beside the system's, as for an inspecting proxy.",
    )
    rate: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Requests a second at most. Without it the API's own limit decides.",
    )
    timeout: Annotated[Duration, AfterValidator(_positive)] = Field(
        default=timedelta(seconds=60), description="How long one request may take in all."
    )
    shared_key: bool = Field(
        default=False,
        description="Whether agents with another state_dir use the same key: then evidence at the API that this one "
        "does not know is no difference to `verify`.",
    )


class Delivery(Table):
    """How evidence is sent."""

    concurrency: int = Field(
        default=32,
        ge=1,
        le=64,
        description="Requests under way at once: enough for the API's 100 a second where each takes a third of one.",
    )
    share_rate: bool = Field(
        default=True, description="Agents of this host that use the same token share what they learn of its limit."
    )
    payload_shape: PayloadShape = Field(
        default="snapshot", description='"snapshot": all records of a place in one payload; "record": one payload each.'
    )
    max_payload_bytes: int = Field(
        default=1_000_000,
        ge=20_000,
        le=1_000_000,
        description="The largest request body. The API takes 1 MB; less where something between you and it takes less.",
    )
    keys_remembered: Annotated[Duration, AfterValidator(_positive)] = Field(
        default=timedelta(hours=20),
        description="How long the API knows an Idempotency-Key again. What was sent earlier is looked up first.",
    )
    receipts_keep_days: int = Field(
        default=400, ge=1, description="How long receipts are kept: longer than an audit period."
    )
    keep_bodies: Duration = Field(
        default=timedelta(0),
        description="How long bodies are kept after acceptance, so that `verify --repair` can send them again; 0: gone "
        "at once. They count towards outbox.max_bytes, and go where what is owed needs the room.",
    )


class Signing(Table):
    """How the ledger of what was accepted is sealed, each day."""

    signing_key_file: Path | None = Field(
        default=None,
        examples=["/etc/chequr-agent/ledger_signing_key"],
        description="An Ed25519 private key (PEM) that signs its seals; else the credential `ledger_signing_key` or "
        "`LEDGER_SIGNING_KEY`. Unsigned, where there is none.",
    )


class Capacity(Table):
    """How much of the disk the outbox may take. What is owed is never dropped to make room."""

    max_bytes: int = Field(
        default=1 << 30,
        ge=1_000_000,
        description="The most that it holds; a collection that finds it full says so, and leaves a gap.",
    )
    min_free_bytes: int = Field(
        default=256_000_000,
        ge=0,
        description="What stays free for others on its disk, or a twentieth of the disk where that is less.",
    )

    @property
    def room(self) -> Room:
        return Room(self.max_bytes, self.min_free_bytes)


class Controls(Table):
    """Which evidence goes to which control."""

    discover: bool = Field(
        default=True,
        description="Read the controls from the API, and map each test policy's evaluator to its evidence.",
    )
    refresh: Duration = Field(
        default=timedelta(hours=12),  # a day would be up a moment after each daily run, and be kept for another
        description="How old the controls read from the API may be.",
    )
    map: dict[str, Annotated[list[ControlId], AfterValidator(_different)]] = Field(
        default_factory=dict, description="Control ids by evidence type. Wins over what the API says."
    )


def _address(value: str | None) -> str | None:
    """`host:port` as it stands; a port alone is this machine's loopback. Raises ValueError."""
    if value is None:
        return None
    host, colon, port = value.rpartition(":")
    if not port.isdecimal() or int(port) > 65535 or (colon and not host):  # noqa: PLR2004 - the last port
        raise ValueError("it must be a port, or host:port, as in 127.0.0.1:9464")
    return value if colon else f"127.0.0.1:{port}"


class Http(Table):
    """What the service tells to those who ask: whether it lives, and how it stands."""

    listen: Annotated[str | None, AfterValidator(_address)] = Field(
        default=None,
        examples=["127.0.0.1:9464"],
        description="Where to show the status page and answer `/livez`, `/readyz` and `/metrics`: host:port, or a port "
        "of this machine's loopback. Nowhere, where not set. Whoever reaches it learns what is collected, and no "
        "content.",
    )


def _url_path(value: str) -> str:
    if not re.fullmatch(r"/[\w./~-]*", value, re.ASCII):
        raise ValueError("it must begin with / and hold letters, digits, and . _ ~ - / only")
    return value


class Webhooks(Table):
    """How Chequr tells the service what happened: a control that drifted, evidence that was judged."""

    listen: Annotated[str | None, AfterValidator(_address)] = Field(
        default=None,
        examples=["127.0.0.1:9465"],
        description="Where to take webhooks: host:port, or a port of this machine's loopback, behind a proxy that "
        "speaks TLS. Nowhere, where not set.",
    )
    url_path: Annotated[str, AfterValidator(_url_path)] = Field(
        default="/chequr", description="The path that they come to."
    )
    public_url: Annotated[str, AfterValidator(check_base_url)] | None = Field(
        default=None,
        examples=["https://hooks.acme.example/chequr"],
        description="The same place as Chequr reaches it: `chequr-agent webhooks register` registers it.",
    )
    secret_file: Path | None = Field(
        default=None,
        examples=["/etc/chequr-agent/webhook_secret"],
        description="The secret that signs them, written by `webhooks register`; else the credential `webhook_secret` "
        "or `WEBHOOK_SECRET`. Several, one a line, while they are changed.",
    )


class Log(Table):
    """What is logged, to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="The least that is logged.")
    format: Literal["console", "json"] | None = Field(
        default=None, description="Without it: console on a terminal, JSON elsewhere."
    )


class Common(Table):
    """The keys that every collector has."""

    source: str | None = Field(
        default=None, examples=["manual"], description="What it looks at. Without it: the table's own name."
    )
    enabled: bool = Field(default=True, description="false: neither scheduled nor collected.")
    schedule: str = Field(
        default="daily",
        description="hourly, daily, weekly, monthly, quarterly, annual, or a cron expression of five fields. What a "
        "control's test policy wants more often is read in between, too.",
    )
    timezone: Annotated[str, AfterValidator(check_timezone)] = Field(
        default="UTC", description="The time zone of the schedule, as in Europe/Berlin."
    )
    types: list[str] | None = Field(
        default=None,
        examples=[["manual_*"]],
        min_length=1,
        description="Evidence types, by id or pattern, as in aws_iam_*. Without it: all of the source.",
    )
    payload_shape: PayloadShape | None = Field(default=None, description="Overrides [delivery] payload_shape.")
    pseudonymize: bool = Field(
        default=False, description="Writes logins, e-mail addresses and names of people as stable pseudonyms."
    )
    pseudonym_key_file: Path | None = Field(
        default=None,
        examples=["/etc/chequr-agent/pseudonym_key"],
        description="A file with their key, of 32 characters or more; else the credential `pseudonym_key` or "
        "`PSEUDONYM_KEY`.",
    )


class Config(BaseSettings):
    """The agent's own keys. `collectors` holds raw tables; `load` turns them into Collectors."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    state_dir: Path = Field(default=Path("/var/lib/chequr-agent"), description="The outbox and all that must survive.")
    chequr: Chequr = Field(default_factory=Chequr)
    outbox: Capacity = Field(default_factory=Capacity)
    delivery: Delivery = Field(default_factory=Delivery)
    controls: Controls = Field(default_factory=Controls)
    ledger: Signing = Field(default_factory=Signing)
    http: Http = Field(default_factory=Http)
    webhooks: Webhooks = Field(default_factory=Webhooks)
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

    def pseudonym(self) -> Pseudonym | None:
        """What makes the pseudonyms; None where people are named. Raises SecretMissing."""
        return keyed(read_secret("pseudonym_key", self.common.pseudonym_key_file)) if self.common.pseudonymize else None

    @property
    def due(self) -> "WallClock":
        """When it runs by its schedule, on this host."""
        return trigger(self.name, self.common.schedule, self.common.timezone, host=socket.gethostname())

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

    @property
    def by_type(self) -> dict[str, list[str]]:
        """The names of the enabled collectors that have each evidence type, by its id."""
        found: dict[str, list[str]] = {}
        for collector in self.enabled:
            for kind in collector.types:
                found.setdefault(kind.id, []).append(collector.name)
        return found


def nearest(word: str, known: Iterable[str]) -> str:
    """` (did you mean …?)` where something is near, else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]}?)" if near else ""
