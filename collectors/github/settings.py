"""What is configured in a `[collectors.<name>]` table of source `github`."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from collectors import contract
from collectors.github.credentials import Credentials, Installation, PersonalToken
from collectors.github.patience import LONGEST_WAIT

Glob = Annotated[str, Field(pattern=r"^[^/\s]+$")]


@dataclass(frozen=True)
class Selection:
    """Which repositories of an organization are read. Names are compared as GitHub does, without regard to case."""

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    archived: bool = True
    forks: bool = True

    def has(self, name: str, *, archived: bool, fork: bool) -> bool:
        """Whether the repository of this name, without its owner, is read."""
        if (archived and not self.archived) or (fork and not self.forks):
            return False
        return _matches(name, self.include) and not _matches(name, self.exclude)

    @property
    def names(self) -> tuple[str, ...]:
        """Those that are named exactly."""
        return tuple(each for each in self.include if _is_name(each) and not _matches(each, self.exclude))

    @property
    def is_exact(self) -> bool:
        """Whether nothing can be selected that is not named."""
        return all(map(_is_name, self.include))

    @property
    def told(self) -> Mapping[str, Any]:
        """What to tell of it beside the evidence: nothing where all repositories are read."""
        return {} if self == Selection() else {"repositories": vars(self)}


def _is_name(glob: str) -> bool:
    return not any(mark in glob for mark in "*?[")


def _matches(name: str, globs: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name.lower(), glob.lower()) for glob in globs)


Login = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class Settings(contract.Settings):
    """Which organizations are read, and as whom: with a token, or as an installation of a GitHub App."""

    organizations: tuple[Login, ...] = Field(
        min_length=1, examples=[["acme"]], description="The logins of the organizations to read."
    )
    repositories: tuple[Glob, ...] = Field(
        default=("*",),
        min_length=1,
        examples=[["*"]],
        description="The repositories to read, by name without the owner; `*` and `?` stand for any characters. "
        "Without these all that are meant are named, and one that GitHub does not show is a gap.",
    )
    exclude_repositories: tuple[Glob, ...] = Field(
        default=(), examples=[["sandbox-*"]], description="Repositories of those that are not read after all."
    )
    archived: bool = Field(default=True, description="Whether archived repositories are read.")
    forks: bool = Field(default=True, description="Whether forks are read.")
    base_url: str = Field(
        default="https://api.github.com",
        description="The REST root: `https://HOST/api/v3` on Enterprise Server, `https://api.NAME.ghe.com` on ghe.com.",
    )
    longest_wait: float = Field(
        default=LONGEST_WAIT,
        ge=0,
        description="The most seconds to wait at once for GitHub's rate limits; what would need more is a gap.",
    )
    token_file: Path | None = Field(
        default=None,
        examples=["/etc/chequr-agent/github_token"],
        description="A file with the token; else the credential `github_token` or `GITHUB_TOKEN`.",
    )
    app_id: int | str | None = Field(
        default=None, examples=[123456], description="A GitHub App's id or client id, instead of a token."
    )
    private_key_file: Path | None = Field(
        default=None,
        examples=["/etc/chequr-agent/github_private_key"],
        description="The App's private key (PEM); else the credential `github_private_key` or `GITHUB_PRIVATE_KEY`.",
    )
    installation_id: int | None = Field(
        default=None, examples=[12345678], description="The App's installation in the organizations."
    )

    @field_validator("organizations")
    @classmethod
    def _different(cls, organizations: tuple[str, ...]) -> tuple[str, ...]:
        if len({login.lower() for login in organizations}) < len(organizations):
            raise ValueError("an organization is named twice; name each once")
        return organizations

    @field_validator("base_url")
    @classmethod
    def _encrypted(cls, base_url: str) -> str:
        url = urlsplit(base_url)
        if not url.hostname or url.query or url.fragment or url.username:
            raise ValueError("it must be a plain URL, as in https://api.github.com")
        if url.scheme != "https" and not (url.scheme == "http" and _loopback(url.hostname)):
            raise ValueError("it must begin with https://, so that the token is not sent in clear")
        return base_url.rstrip("/")

    @model_validator(mode="after")
    def _one_identity(self) -> "Settings":
        app = (self.app_id, self.private_key_file, self.installation_id)
        if all(value is None for value in app):
            return self
        if self.token_file is not None:
            raise ValueError("token_file and a GitHub App exclude each other; keep one of the two")
        if self.app_id is None or self.installation_id is None:
            raise ValueError("a GitHub App needs app_id and installation_id, and its key in private_key_file")
        return self

    @property
    def selection(self) -> Selection:
        """Which repositories are read."""
        return Selection(self.repositories, self.exclude_repositories, self.archived, self.forks)

    def credentials(self) -> Credentials:
        """As whom to read. Raises Unauthenticated where the secret is missing or unusable."""
        if self.app_id is None or self.installation_id is None:
            return PersonalToken(self.token_file)
        return Installation(self.base_url, self.app_id, self.installation_id, self.private_key_file)


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
