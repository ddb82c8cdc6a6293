"""What the security evidence types share: how a repository is named in a record, and what GraphQL says of it."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from pydantic import Field

from collectors.contract import Record, note
from collectors.errors import AccessDenied
from collectors.github.graphql import Node, Query
from collectors.github.targets import METADATA, Organization

T = TypeVar("T")

ADMINISTRATION = "administration:read"
PATH = ("organization", "repositories")
PAGE = 100
REPOSITORIES = "GET /orgs/{org}/repos"


class RepositoryRecord(Record):
    """A record about one repository."""

    repository: str = Field(description="The repository, as owner/name.")
    repository_id: int = Field(description="GitHub's id of the repository.")
    visibility: str = Field(description="`public`, `internal` or `private`.")
    archived: bool = Field(description="Whether the repository is archived, and so read-only.")
    fork: bool = Field(description="Whether the repository is a fork.")


def named(repository: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a RepositoryRecord, of a repository as REST lists it."""
    return {
        "repository": repository["full_name"],
        "repository_id": repository["id"],
        "visibility": repository["visibility"],
        "archived": repository["archived"],
        "fork": repository["fork"],
    }


def place(repository: Mapping[str, Any]) -> dict[str, str]:
    """What fills the path of a call on a repository."""
    owner, _, name = str(repository["full_name"]).partition("/")
    return {"owner": owner, "repo": name}


def nodes(organization: Organization, query: Query) -> dict[str, Node]:
    """All repositories of a query that lists them, by name; one that is not shown is missing. Raises what failed."""
    found: dict[str, Node] = {}
    for page in organization.pages(query, PATH, {"login": organization.login}, size=PAGE):
        for fault in page.faults:
            raise fault.error
        found |= {node.value["nameWithOwner"]: node for node in page.nodes if node.value is not None}
    return found


def shown(found: Mapping[str, Node], repository: Mapping[str, Any], query: Query) -> Mapping[str, Any]:
    """What GraphQL says of a repository that REST lists. Raises what stands in its place."""
    node = found.get(repository["full_name"])
    for fault in node.faults if node else ():
        raise fault.error
    if node is None or node.value is None:
        permission = next(iter(query.parts.values()), METADATA)
        raise AccessDenied("GraphQL does not show the repository", operation=query.operation, permission=permission)
    return node.value


def security_settings(organization: Organization, repository: Mapping[str, Any]) -> dict[str, str | None]:
    """The state of each security feature, as in `enabled`, of a repository as REST lists it.

    GitHub shows them only to those who may administer the repository. Raises AccessDenied for others.
    """
    told = {"org": organization.login}
    note(f"{REPOSITORIES}.security_and_analysis", told, permission=ADMINISTRATION, reused=True)
    settings = repository.get("security_and_analysis")
    if not isinstance(settings, dict):
        message = "security_and_analysis is not shown to this identity"
        raise AccessDenied(message, operation=REPOSITORIES, permission=ADMINISTRATION)
    return {name: each.get("status") for name, each in settings.items() if isinstance(each, dict)}


def by_repository(alerts: Iterable[Mapping[str, Any]], kept: Callable[[Mapping[str, Any]], T]) -> dict[str, list[T]]:
    """What is kept of the alerts of a whole organization, by the name of their repository.

    There can be very many, and each answer is large, so that only what is needed of it stays in memory.
    """
    found: dict[str, list[T]] = {}
    for alert in alerts:
        found.setdefault(alert["repository"]["full_name"], []).append(kept(alert))
    return found


def days_since(organization: Organization, moment: str) -> int:
    """The whole days from a moment to the start of the run."""
    return (organization.run.started - datetime.fromisoformat(moment)).days


def counted(values: Iterable[str | None]) -> dict[str, int]:
    """How often each value is there; what has no value counts as `none`."""
    return dict(Counter(value or "none" for value in values))


def login(user: Mapping[str, Any] | None) -> str | None:
    return user["login"] if user else None


def kind(actor: Mapping[str, Any] | None) -> str | None:
    """`user`, `bot` or another kind of account, as GraphQL tells it; None where it is gone."""
    return actor["__typename"].lower() if actor else None
