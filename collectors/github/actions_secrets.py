"""Evidence of how old the secrets of GitHub Actions are. Their values cannot be read, only their names."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Record, evidence
from collectors.errors import AccessDenied, CollectionError
from collectors.github.selected import days_since, place
from collectors.github.targets import METADATA, Organization

ORGANIZATION_SECRETS = "organization_secrets:read"
SECRETS = "secrets:read"


class ActionsSecret(Record):
    """One secret that workflows can use."""

    level: str = Field(description="Whose it is: `organization` or `repository`.")
    repository: str | None = Field(description="The repository, as owner/name; null for the organization's secrets.")
    name: str = Field(description="The secret's name.")
    visibility: str | None = Field(
        description="The repositories that an organization's secret is for: `all`, `private` or `selected`; null for a "
        "repository's."
    )
    created_at: datetime = Field(description="When it was made.")
    updated_at: datetime = Field(description="When it was set last.")
    age_days: int = Field(description="Whole days since it was set last.")


@evidence(ORGANIZATION_SECRETS, SECRETS, METADATA)
def age(organization: Organization) -> Iterator[ActionsSecret | Gap]:
    """The name and the age of every Actions secret of the organization and its repositories.

    The secrets of deployment environments are not among them.
    """
    try:
        yield from _of_organization(organization)
    except CollectionError as error:
        yield error.gap(f"{organization.login}/organization secrets")
    for found in organization.each_repository(partial(_of_repository, organization)):
        if isinstance(found, Gap):
            yield found
        else:
            yield from found


def _of_organization(organization: Organization) -> Iterator[ActionsSecret]:
    secrets = organization.items(
        "GET /orgs/{org}/actions/secrets",
        {},
        permission=ORGANIZATION_SECRETS,
        absent=AccessDenied,
        within="secrets",
        org=organization.login,
    )
    for secret in secrets:
        yield _secret(organization, secret, None)


def _of_repository(organization: Organization, repository: Mapping[str, Any]) -> list[ActionsSecret]:
    secrets = organization.items(
        "GET /repos/{owner}/{repo}/actions/secrets",
        {},
        permission=SECRETS,
        absent=AccessDenied,
        within="secrets",
        **place(repository),
    )
    return [_secret(organization, secret, repository["full_name"]) for secret in secrets]


def _secret(organization: Organization, secret: Mapping[str, Any], repository: str | None) -> ActionsSecret:
    return ActionsSecret(
        level="repository" if repository else "organization",
        repository=repository,
        name=secret["name"],
        visibility=secret.get("visibility"),
        created_at=secret["created_at"],
        updated_at=secret["updated_at"],
        age_days=days_since(organization, secret["updated_at"]),
    )
