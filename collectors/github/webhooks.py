"""Evidence of webhooks: where events are sent to, and how well that is protected."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from collectors.contract import Gap, Record, evidence
from collectors.errors import AccessDenied, CollectionError
from collectors.github.selected import place
from collectors.github.targets import METADATA, Organization

ORGANIZATION_HOOKS = "organization_hooks:read"
REPOSITORY_HOOKS = "repository_hooks:read"


class Webhook(Record):
    """One webhook."""

    level: str = Field(description="Whose it is: `organization` or `repository`.")
    repository: str | None = Field(description="The repository, as owner/name; null for the organization's webhooks.")
    id: int = Field(description="GitHub's id of the webhook.")
    active: bool = Field(description="Whether events are sent.")
    address: str | None = Field(
        description="The scheme and host that events are sent to; path and query are left out, since they can hold a "
        "token. Null where the address cannot be read."
    )
    ssl_verification: bool | None = Field(
        description="Whether the receiver's certificate is checked; null where GitHub does not say."
    )
    has_secret: bool = Field(description="Whether deliveries are signed with a secret.")
    content_type: str | None = Field(description="`json` or `form`; null where GitHub does not say.")
    events: list[str] = Field(description="The events that are sent; `*` for all.")
    created_at: datetime = Field(description="When it was made.")
    updated_at: datetime = Field(description="When it was changed last.")
    last_status: int | None = Field(
        description="The HTTP status of the last delivery; null where there was none of late, or GitHub does not say."
    )


@evidence(ORGANIZATION_HOOKS, REPOSITORY_HOOKS, METADATA)
def webhooks(organization: Organization) -> Iterator[Webhook | Gap]:
    """Every webhook of the organization and its repositories. Neither a secret nor a whole address is kept.

    GitHub shows a person's token no webhooks that an OAuth app made.
    """
    try:
        yield from _of_organization(organization)
    except CollectionError as error:
        yield error.gap(f"{organization.login}/organization webhooks")
    for found in organization.each_repository(partial(_of_repository, organization)):
        if isinstance(found, Gap):
            yield found
        else:
            yield from found


def _of_organization(organization: Organization) -> Iterator[Webhook]:
    hooks = organization.items(
        "GET /orgs/{org}/hooks", {}, permission=ORGANIZATION_HOOKS, absent=AccessDenied, org=organization.login
    )
    for hook in hooks:
        yield _webhook(hook, None)


def _of_repository(organization: Organization, repository: Mapping[str, Any]) -> list[Webhook]:
    operation = "GET /repos/{owner}/{repo}/hooks"
    hooks = organization.items(operation, {}, permission=REPOSITORY_HOOKS, absent=AccessDenied, **place(repository))
    return [_webhook(hook, repository["full_name"]) for hook in hooks]


def _webhook(hook: Mapping[str, Any], repository: str | None) -> Webhook:
    config = hook["config"]
    return Webhook(
        level="repository" if repository else "organization",
        repository=repository,
        id=hook["id"],
        active=hook["active"],
        address=_address(config.get("url")),
        ssl_verification=_verified(config.get("insecure_ssl")),
        has_secret=bool(config.get("secret")),
        content_type=config.get("content_type"),
        events=hook["events"],
        created_at=hook["created_at"],
        updated_at=hook["updated_at"],
        last_status=(hook.get("last_response") or {}).get("code"),
    )


def _address(url: str | None) -> str | None:
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return None
    host = parts.netloc.rpartition("@")[2]  # a user and password can stand before it
    return f"{parts.scheme}://{host}" if host else None


def _verified(insecure: str | float | None) -> bool | None:
    """GitHub says it the other way round, as "0" or "1", and sometimes as a number."""
    return {"0": True, "1": False}.get(str(insecure))
