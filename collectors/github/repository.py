"""Evidence of repositories: which there are, and who may do what in them."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Personal, Record, evidence
from collectors.errors import AccessDenied
from collectors.github.access_queries import COLLABORATORS, REPOSITORY_ACCESS
from collectors.github.edges import Edge, Edges, whole
from collectors.github.graphql import Node
from collectors.github.member_queries import MEMBERS
from collectors.github.selected import PATH, RepositoryRecord, days_since, named
from collectors.github.targets import METADATA, Organization

PAGE = 25
USERS = Edges(REPOSITORY_ACCESS, COLLABORATORS, ("repository", "collaborators"))
WRITERS_ONLY = "permission to view repository collaborators"  # GitHub's words where the reader may not write there
VIA = {"Repository": "direct", "Team": "team", "Organization": "organization"}


class CollaboratorsHidden(AccessDenied):
    remedy = "Read with an identity that may write to the repository, as an owner of the organization may."


# ── Which there are ────────────────────────────────────────────────────────────────────────────────────────────────


class RepositoryInventory(RepositoryRecord):
    """One repository of the organization."""

    default_branch: str | None = Field(description="The default branch; null where GitHub does not say.")
    created_at: datetime | None = Field(description="When it was made; null where GitHub does not say.")
    pushed_at: datetime | None = Field(description="When it was pushed to last; null where it never was.")
    days_since_push: int | None = Field(description="Whole days since then; null where it was never pushed to.")
    updated_at: datetime | None = Field(
        description="When it or its settings changed last; null where GitHub does not say."
    )
    language: str | None = Field(description="The language that most of it is written in; null where GitHub sees none.")
    license: str | None = Field(description="Its licence as an SPDX id; null where GitHub sees none.")
    topics: list[str] | None = Field(description="Its topics; null where GitHub does not say.")
    size_kb: int | None = Field(description="Its size in kilobytes; null where GitHub does not say.")
    template: bool | None = Field(description="Whether others can be made from it; null where GitHub does not say.")
    disabled: bool | None = Field(description="Whether GitHub has disabled it; null where GitHub does not say.")
    has_pages: bool | None = Field(description="Whether it publishes a site; null where GitHub does not say.")
    allow_forking: bool | None = Field(
        description="Whether it may be forked where it is not public; null where GitHub does not say."
    )
    web_commit_signoff_required: bool | None = Field(
        description="Whether commits made on the web must be signed off; null where GitHub does not say."
    )
    custom_properties: dict[str, str | list[str] | None] | None = Field(
        description="The organization's custom properties of it, by name; null where GitHub does not show them."
    )


@evidence(METADATA)
def inventory(organization: Organization) -> Iterator[RepositoryInventory | Gap]:
    """Every repository of the organization, with when it was used last and the custom properties that it has."""
    yield from organization.each_repository(partial(_inventory, organization))


def _inventory(organization: Organization, repository: Mapping[str, Any]) -> RepositoryInventory:
    pushed = repository.get("pushed_at")
    return RepositoryInventory(
        **named(repository),
        default_branch=repository.get("default_branch"),
        created_at=repository.get("created_at"),
        pushed_at=pushed,
        days_since_push=days_since(organization, pushed) if pushed else None,
        updated_at=repository.get("updated_at"),
        language=repository.get("language"),
        license=(repository.get("license") or {}).get("spdx_id"),
        topics=repository.get("topics"),
        size_kb=repository.get("size"),
        template=repository.get("is_template"),
        disabled=repository.get("disabled"),
        has_pages=repository.get("has_pages"),
        allow_forking=repository.get("allow_forking"),
        web_commit_signoff_required=repository.get("web_commit_signoff_required"),
        custom_properties=repository.get("custom_properties"),
    )


# ── Who may do what ────────────────────────────────────────────────────────────────────────────────────────────────


class AccessSource(Record):
    """One reason why somebody has access to a repository."""

    via: str = Field(
        description="`direct` where access was given on the repository, `team` where to a team, `organization` where "
        "every member has it, or the owners do."
    )
    team: str | None = Field(description="The team, as organization/slug; null where it is not through one.")
    permission: str = Field(
        description="What it gives: `admin`, `write`, `read` or `none`. GitHub rounds finer roles down to one of these."
    )
    role: str | None = Field(description="The role by its name, as in `maintain`; null where GitHub does not say.")


class RepositoryUser(Record):
    """Somebody who has access to a repository."""

    user: Personal = Field(description="The login.")
    user_id: int | None = Field(description="GitHub's id of the user; null where GitHub does not say.")
    permission: str = Field(
        description="What all reasons together give: `admin`, `maintain`, `write`, `triage` or `read`."
    )
    sources: list[AccessSource] | None = Field(
        description="Why: each way by which the user has access; null where GitHub does not say."
    )


class RepositoryAccess(RepositoryRecord):
    """Who has access to one repository."""

    users: list[RepositoryUser] = Field(
        description="All who have access: direct, through a team or the organization, outside collaborators among them."
    )


@evidence(METADATA, MEMBERS)
def access(organization: Organization) -> Iterator[RepositoryAccess | Gap]:
    """Everybody who has access to each repository, with the permission and all ways by which they have it.

    GitHub tells this only to who may write to the repository: for others it is a gap. That everybody can read a public
    repository is not told here.
    """
    variables = {"login": organization.login}
    for page in organization.pages(REPOSITORY_ACCESS, PATH, variables, size=PAGE, keep=False):
        yield from (fault.error.gap() for fault in page.faults)
        seen = [node for node in page.nodes if node.value is None or organization.selects(node.value)]
        yield from organization.each(seen, partial(_access, organization), resource=lambda node: node.repository)
    yield from organization.unseen()


def _access(organization: Organization, node: Node) -> RepositoryAccess:
    try:
        repository = whole(node, REPOSITORY_ACCESS)
        owner, _, name = repository["nameWithOwner"].partition("/")
        found = USERS.of(organization, repository, {"owner": owner, "name": name})
    except AccessDenied as error:
        if WRITERS_ONLY not in error.message:
            raise
        raise CollaboratorsHidden(error.message, operation=error.operation) from error
    return RepositoryAccess(
        repository=repository["nameWithOwner"],
        repository_id=repository["databaseId"],
        visibility=repository["visibility"].lower(),
        archived=repository["isArchived"],
        fork=repository["isFork"],
        users=[_user(edge) for edge in found],
    )


def _user(edge: Edge) -> RepositoryUser:
    sources = edge["permissionSources"]
    return RepositoryUser(
        user=edge["node"]["login"],
        user_id=edge["node"]["databaseId"],
        permission=edge["permission"].lower(),
        sources=None if sources is None else [_source(each) for each in sources],
    )


def _source(found: Mapping[str, Any]) -> AccessSource:
    kind = found["source"]["__typename"]
    return AccessSource(
        via=VIA.get(kind, kind.lower()),
        team=found["source"].get("combinedSlug"),
        permission=found["permission"].lower(),
        role=found.get("roleName"),
    )
