"""How an Okta org is named in the configuration."""

import ipaddress
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from collectors import contract
from collectors.okta.limits import SHARE_FOR_USERS


class Settings(contract.Settings):
    """An org, and one way of signing in: an API token, or a service app's client id and private key."""

    org_url: str = Field(
        examples=["https://acme.okta.com"],
        description="The org's own URL, as in `https://acme.okta.com`; not the admin console's.",
    )
    token_file: Path | None = Field(
        default=None,
        examples=["/etc/chequr-agent/okta_token"],
        description="A file with the API token; else the credential `okta_token` or `OKTA_TOKEN`.",
    )
    client_id: str | None = Field(
        default=None,
        min_length=1,
        examples=["0oa1acme2service3app4"],
        description="The service app's client id, instead of an API token.",
    )
    private_key_file: Path | None = Field(
        default=None,
        examples=["/etc/chequr-agent/okta_private_key"],
        description="The app's RSA key, PEM or JWK; else the credential `okta_private_key` or `OKTA_PRIVATE_KEY`.",
    )
    key_id: str | None = Field(
        default=None,
        min_length=1,
        examples=["acme-2026"],
        description="The key's `kid` at Okta, where the app has several keys; a JWK's own, where not set.",
    )
    dpop: bool = Field(
        default=False, description="Whether the app demands proof of possession (DPoP), as Okta's default for new apps."
    )
    leave_to_users: float = Field(
        default=SHARE_FOR_USERS,
        ge=0,
        le=0.95,
        description="The share of each of Okta's rate limits that is left to the org's own users and programs.",
    )
    hr_leavers_file: Path | None = Field(
        default=None,
        examples=["/etc/chequr-agent/leavers.csv"],
        description="A CSV of who left, from HR, with the columns `email` or `login`, and `left_at` (a date, or a time "
        "with its offset).",
    )
    scopes: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        examples=[["okta.users.read"]],
        description="The scopes to ask for; all that Okta evidence needs, where not set.",
    )

    @field_validator("org_url")
    @classmethod
    def _own_url(cls, value: str) -> str:
        parts = urlsplit(value)
        host = parts.hostname or ""
        if parts.scheme not in {"http", "https"} or not host:
            raise ValueError("must be a URL as in https://acme.okta.com")
        name, dot, rest = host.partition(".")
        if name.endswith("-admin"):
            raise ValueError(f"is the admin console's; use https://{name.removesuffix('-admin')}{dot}{rest}")
        if parts.scheme == "http" and not _is_loopback(host):
            raise ValueError(f"must be https, because the token goes there: https://{parts.netloc}")
        if parts.username is not None or parts.path.rstrip("/") or parts.query or parts.fragment:
            raise ValueError(f"must be scheme and host only: {parts.scheme}://{host}")
        # Links that Okta writes do not name the default port; a port that is no number raises here.
        port = f":{parts.port}" if parts.port not in {None, 443} else ""
        name = f"[{host}]" if ":" in host else host
        return f"{parts.scheme}://{name}{port}"

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if self.client_id is not None and self.token_file is not None:
            raise ValueError("name either token_file, or client_id and private_key_file; not both")
        if self.client_id is None and self.private_key_file is not None:
            raise ValueError("private_key_file needs client_id, the service app's id")
        if self.client_id is None and (self.scopes is not None or self.key_id is not None or self.dpop):
            raise ValueError("scopes, key_id and dpop belong to client_id and private_key_file; an API token has none")
        return self


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
