"""Evidence of people who reach repositories without being members."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from pydantic import Field

from collectors.contract import Gap, Personal, Record, evidence
from collectors.errors import AccessDenied, CollectionError
from collectors.github.graphql import Node
from collectors.github.identities import listed
from collectors.github.member_queries import MEMBERS, OUTSIDE_COLLABORATORS, REPOSITORY_OUTSIDE_COLLABORATORS
from collectors.github.population import PartlyShown
from collectors.github.selected import PATH
from collectors.github.targets import METADATA, Organization

PEOPLE = "GET /orgs/{org}/outside_collaborators"
PAGE = 50


class CollaboratorsHidden(AccessDenied):
    remedy = "Read with an identity that may push to the repository."


class RepositoryAccess(Record):
    """What a person may do in one repository."""

    repository: str = Field(description="The repository, as owner/name.")
    visibility: str = Field(description="`public`, `internal` or `private`.")
    archived: bool = Field(description="Whether the repository is archived, and so read-only.")
    permission: str = Field(description="`read`, `triage`, `write`, `maintain` or `admin`.")


class OutsideCollaborator(Record):
    """One person who is no member, and was added to repositories by name."""

    login: Personal = Field(description="The person's login.")
    id: int | None = Field(description="GitHub's id of the account; null where GitHub does not say.")
    repositories: list[RepositoryAccess] | None = Field(
        description="The selected repositories that the person reaches; null where none was seen and some could not be."
    )
    repositories_complete: bool = Field(
        description="Whether the collaborators of every selected repository could be seen; if not, some may be missing."
    )


class _Access(NamedTuple):
    login: str
    id: int | None
    access: RepositoryAccess


@evidence(MEMBERS, METADATA)
def collaborators(organization: Organization) -> Iterator[OutsideCollaborator | Gap]:
    """Every outside collaborator of the organization, with the repositories that they reach and what they may do there.

    Who is listed without any repository reaches only such as are not selected. A person who was invited and has not
    accepted is not listed.
    """
    ids: dict[str, int | None] = {}
    reached: dict[str, list[RepositoryAccess]] = {}
    complete = True
    for found in _all_access(organization):
        if isinstance(found, Gap):
            complete = False
            yield found
        else:
            ids[found.login] = found.id
            reached.setdefault(found.login, []).append(found.access)
    try:
        listing = organization.items(PEOPLE, {}, permission=MEMBERS, absent=AccessDenied, org=organization.login)
        ids |= {person["login"]: person["id"] for person in listing}
    except CollectionError as error:
        yield error.gap(f"{organization.login}/outside collaborators")
    for login in sorted(ids, key=str.lower):
        seen = reached.get(login, [])
        yield OutsideCollaborator(
            login=login,
            id=ids[login],
            repositories=seen if seen or complete else None,
            repositories_complete=complete,
        )


def _all_access(organization: Organization) -> Iterator[_Access | Gap]:
    try:
        pages = organization.pages(OUTSIDE_COLLABORATORS, PATH, {"login": organization.login}, size=PAGE)
        for page in pages:
            yield from (fault.error.gap(f"{organization.login}/repositories") for fault in page.faults)
            wanted = [node for node in page.nodes if node.value is None or organization.selects(node.value)]
            look, name = partial(_of_repository, organization), partial(_name, organization)
            for seen in organization.each(wanted, look, resource=name):
                if isinstance(seen, Gap):
                    yield seen
                else:
                    yield from seen
        yield from organization.unseen()
    except CollectionError as error:
        yield error.gap(f"{organization.login}/repositories")


def _name(organization: Organization, node: Node) -> str:
    return f"{organization.login}/repositories" if node.value is None else str(node.value["nameWithOwner"])


def _of_repository(organization: Organization, node: Node) -> list[_Access | Gap]:
    """The outside collaborators of one repository. Where there are more than a page, they are asked for anew."""
    found = _collaborators(node)
    repository: Mapping[str, Any] = node.value or {}
    edges: list[Mapping[str, Any] | Gap] = [edge for edge in found["edges"] or () if edge and edge["node"]]
    if found["totalCount"] > len(edges):
        owner, _, name = repository["nameWithOwner"].partition("/")
        query, variables = REPOSITORY_OUTSIDE_COLLABORATORS, {"owner": owner, "name": name}
        path, place = ("repository", "collaborators"), repository["nameWithOwner"]
        edges = list(listed(organization, query, path, variables, place))
        if len(edges) < found["totalCount"]:
            message = f"{found['totalCount']} outside collaborators, of which {len(edges)} were shown"
            edges.append(PartlyShown(message, operation=query.operation).gap(place))
    return [edge if isinstance(edge, Gap) else _access(repository, edge) for edge in edges]


def _collaborators(node: Node) -> Mapping[str, Any]:
    """The collaborators of a repository, as the list of repositories has them. Raises what hides them."""
    for fault in node.faults:
        if type(fault.error) is AccessDenied and fault.path[-1] == "collaborators":
            raise CollaboratorsHidden(fault.error.message, operation=fault.error.operation) from fault.error
        raise fault.error
    found: Mapping[str, Any] | None = (node.value or {}).get("collaborators")
    if found is None:
        what = "the repository is" if node.value is None else "its collaborators are"
        raise CollaboratorsHidden(f"{what} not shown", operation=OUTSIDE_COLLABORATORS.operation)
    return found


def _access(repository: Mapping[str, Any], edge: Mapping[str, Any]) -> _Access:
    access = RepositoryAccess(
        repository=repository["nameWithOwner"],
        visibility=repository["visibility"].lower(),
        archived=repository["isArchived"],
        permission=edge["permission"].lower(),
    )
    return _Access(edge["node"]["login"], edge["node"]["databaseId"], access)
