"""Evidence of what reaches repositories without a person signing in: deploy keys, apps and tokens."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Personal, Record, evidence
from collectors.errors import AccessDenied, CollectionError
from collectors.github.graphql import Node
from collectors.github.security_queries import DEPLOY_KEYS
from collectors.github.selected import ADMINISTRATION, login, nodes, place, shown
from collectors.github.targets import METADATA, Organization

ORGANIZATION_ADMINISTRATION = "organization_administration:read"
TOKENS = "organization_personal_access_tokens:read"


class DeployKey(Record):
    """An SSH key that reads one repository, or writes to it."""

    repository: str = Field(description="The repository, as owner/name.")
    read_only: bool = Field(description="Whether it can only read.")
    verified: bool = Field(description="Whether GitHub has verified it.")
    enabled: bool | None = Field(description="Whether policy lets it be used; null where GitHub does not say.")
    added_by: Personal | None = Field(description="The login of who added it; null where GitHub does not say.")


class Installation(Record):
    """A GitHub App that is installed in the organization."""

    app_id: int = Field(description="GitHub's id of the App.")
    repository_selection: str = Field(description="The repositories that it reaches: `all` or `selected`.")
    permissions: dict[str, str] = Field(description="Each permission that it has, as in `contents`, and its level.")
    events: list[str] = Field(description="The events that it is sent.")
    suspended_at: datetime | None = Field(description="When it was suspended; null where it is not.")
    suspended_by: Personal | None = Field(description="The login of who suspended it; null where it is not.")


class Token(Record):
    """A member's fine-grained personal access token that was approved for the organization."""

    owner: Personal = Field(description="The login of whose token it is.")
    repository_selection: str = Field(description="The repositories that it reaches: `all`, `subset` or `none`.")
    permissions: dict[str, dict[str, str]] = Field(
        description="Its permissions and their levels, by `organization`, `repository` and `other`."
    )
    expired: bool = Field(description="Whether it has expired.")
    expires_at: datetime | None = Field(description="When it expires; null where it never does.")


class Access(Record):
    """A deploy key, an App or a token: one of the three parts is there, the others are null."""

    kind: str = Field(description="`deploy_key`, `installation` or `personal_access_token`.")
    id: int = Field(description="GitHub's id of the key, the installation or the token's approval.")
    name: str = Field(description="The key's title, the App's slug or the token's name.")
    created_at: datetime = Field(description="When it was added, installed or approved.")
    last_used_at: datetime | None = Field(
        description="When it was used last; null where it never was, or GitHub does not say, as of Apps."
    )
    deploy_key: DeployKey | None = Field(description="The key; null for the other kinds.")
    installation: Installation | None = Field(description="The installation; null for the other kinds.")
    token: Token | None = Field(description="The token; null for the other kinds.")


@evidence(ADMINISTRATION, ORGANIZATION_ADMINISTRATION, TOKENS, METADATA)
def apps(organization: Organization) -> Iterator[Access | Gap]:
    """Every deploy key of the repositories, every GitHub App that is installed, and every fine-grained token that was
    approved. No key and no token is read.

    GitHub lists tokens to GitHub Apps only: who reads with a token has a gap here.
    """
    looks: dict[str, Callable[[Organization], Iterator[Access | Gap]]] = {
        "app installations": _installations,
        "personal access tokens": _tokens,
        "deploy keys": _deploy_keys,
    }
    for name, look in looks.items():
        try:
            yield from look(organization)
        except CollectionError as error:
            yield error.gap(f"{organization.login}/{name}")


def _installations(organization: Organization) -> Iterator[Access]:
    listed = organization.items(
        "GET /orgs/{org}/installations",
        {},
        permission=ORGANIZATION_ADMINISTRATION,
        absent=AccessDenied,
        within="installations",
        org=organization.login,
    )
    for each in listed:
        facts = Installation(
            app_id=each["app_id"],
            repository_selection=each["repository_selection"],
            permissions=each["permissions"],
            events=each["events"],
            suspended_at=each.get("suspended_at"),
            suspended_by=login(each.get("suspended_by")),
        )
        yield _access(each["id"], each["app_slug"], each["created_at"], None, installation=facts)


def _tokens(organization: Organization) -> Iterator[Access]:
    operation = "GET /orgs/{org}/personal-access-tokens"
    for each in organization.items(operation, {}, permission=TOKENS, absent=AccessDenied, org=organization.login):
        facts = Token(
            owner=each["owner"]["login"],
            repository_selection=each["repository_selection"],
            permissions=each["permissions"],
            expired=each["token_expired"],
            expires_at=each["token_expires_at"],
        )
        approved, used = each["access_granted_at"], each.get("token_last_used_at")
        yield _access(each["id"], each["token_name"], approved, used, token=facts)


def _deploy_keys(organization: Organization) -> Iterator[Access | Gap]:
    counts = nodes(organization, DEPLOY_KEYS)
    for found in organization.each_repository(partial(_of_repository, organization, counts)):
        if isinstance(found, Gap):
            yield found
        else:
            yield from found


def _of_repository(
    organization: Organization, counts: Mapping[str, Node], repository: Mapping[str, Any]
) -> list[Access]:
    """A repository's keys. REST, which says who added a key and when it was used, is asked only where there are any.

    Who may not administer a repository is not told by GraphQL how many there are, so REST is asked there as well.
    """
    counted = shown(counts, repository, DEPLOY_KEYS)
    if not counted["deployKeys"]["totalCount"] and organization.administers(counted):
        return []
    operation = "GET /repos/{owner}/{repo}/keys"
    keys = organization.items(operation, {}, permission=ADMINISTRATION, absent=AccessDenied, **place(repository))
    return [_deploy_key(key, repository["full_name"]) for key in keys]


def _deploy_key(key: Mapping[str, Any], repository: str) -> Access:
    facts = DeployKey(
        repository=repository,
        read_only=key["read_only"],
        verified=key["verified"],
        enabled=key.get("enabled"),
        added_by=key.get("added_by"),
    )
    return _access(key["id"], key["title"], key["created_at"], key.get("last_used"), deploy_key=facts)


def _access(
    number: int,
    name: str,
    created_at: Any,
    last_used_at: Any,
    *,
    deploy_key: DeployKey | None = None,
    installation: Installation | None = None,
    token: Token | None = None,
) -> Access:
    kinds = {"deploy_key": deploy_key, "installation": installation, "personal_access_token": token}
    return Access(
        kind=next(kind for kind, part in kinds.items() if part is not None),
        id=number,
        name=name,
        created_at=created_at,
        last_used_at=last_used_at,
        deploy_key=deploy_key,
        installation=installation,
        token=token,
    )
