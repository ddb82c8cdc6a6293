"""What the evidence of how code changes shares: repositories as GraphQL lists them, with more of each read on."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from collectors.contract import Gap
from collectors.errors import AccessDenied
from collectors.github.graphql import Page, Path, Query
from collectors.github.selected import PATH
from collectors.github.targets import METADATA, Organization

R = TypeVar("R")
Repository = Mapping[str, Any]


def each(
    organization: Organization,
    query: Query,
    variables: Mapping[str, Any],
    look: Callable[[Repository], Iterable[R | Gap]],
    *,
    size: int,
) -> Iterator[R | Gap]:
    """What `look` makes of each selected repository that `query` lists; one that is not shown whole is a gap."""
    named = {"login": organization.login, **variables}
    for page in organization.pages(query, PATH, named, size=size, keep=False):
        yield from _unseen(organization, query, page)
        whole = [node.value for node in page.nodes if node.value is not None and not node.faults]
        chosen = [repository for repository in whole if organization.selects(repository)]
        for found in organization.each(chosen, lambda each: list(look(each)), resource=name):
            if isinstance(found, Gap):
                yield found
            else:
                yield from found
    yield from organization.unseen()


def rest(organization: Organization, query: Query, path: Path, variables: Mapping[str, Any]) -> Iterator[Any]:
    """All nodes of one connection. Raises what stands in the place of one: a part would read as the whole."""
    for page in organization.pages(query, path, variables, size=100, keep=False):
        for fault in (*page.faults, *(fault for node in page.nodes for fault in node.faults)):
            raise fault.error
        for node in page.nodes:
            if node.value is None:
                raise AccessDenied("one of a list is not shown", operation=query.operation, permission=query.permission)
            yield node.value


def described(repository: Repository) -> dict[str, Any]:
    """The fields of a RepositoryRecord, of a repository as GraphQL lists it."""
    return {
        "repository": repository["nameWithOwner"],
        "repository_id": repository["databaseId"],
        "visibility": repository["visibility"].lower(),
        "archived": repository["isArchived"],
        "fork": repository["isFork"],
    }


def name(repository: Repository) -> str:
    return str(repository["nameWithOwner"])


def at(repository: Repository) -> dict[str, Any]:
    """What fills the path of a call on the repository, or the variables of a query."""
    owner, _, short = name(repository).partition("/")
    return {"owner": owner, "repo": short}


def _unseen(organization: Organization, query: Query, page: Page) -> Iterator[Gap]:
    yield from (fault.error.gap() for fault in page.faults)
    for node in page.nodes:
        if node.value is None and not node.faults:
            hidden = AccessDenied("a repository is not shown", operation=query.operation, permission=METADATA)
            yield hidden.gap()
        elif node.value is None or organization.selects(node.value):
            faults = {(fault.error.kind, fault.error.permission): fault for fault in reversed(node.faults)}
            yield from (fault.error.gap(node.repository) for fault in faults.values())  # each lack once
