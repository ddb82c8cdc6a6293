"""Evidence of teams: who is in them, and what they may do in repositories."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Personal, Record, evidence
from collectors.github.access_queries import TEAM_MEMBERS, TEAM_REPOSITORIES, TEAMS
from collectors.github.edges import Edge, Edges, whole
from collectors.github.graphql import Node
from collectors.github.member_queries import MEMBERS
from collectors.github.targets import METADATA, Organization

PAGE = 25
TEAM = ("organization", "team")
TEAMS_MEMBERS = Edges(TEAMS, TEAM_MEMBERS, (*TEAM, "members"))
TEAMS_REPOSITORIES = Edges(TEAMS, TEAM_REPOSITORIES, (*TEAM, "repositories"))


class TeamMember(Record):
    """A member of a team."""

    user: Personal = Field(description="The login.")
    user_id: int | None = Field(description="GitHub's id of the user; null where GitHub does not say.")
    role: str = Field(description="`maintainer` for who may change the team's members, else `member`.")


class TeamRepository(Record):
    """A repository that a team has access to."""

    repository: str = Field(description="The repository, as owner/name.")
    visibility: str = Field(description="`public`, `internal` or `private`.")
    archived: bool = Field(description="Whether the repository is archived, and so read-only.")
    permission: str = Field(
        description="What members may do: `admin`, `maintain`, `write`, `triage` or `read`. A role that the "
        "organization made counts as the one it is based on."
    )


class Team(Record):
    """One team of the organization."""

    team: str = Field(description="The team, as organization/slug.")
    team_id: int | None = Field(description="GitHub's id of the team; null where GitHub does not say.")
    name: str = Field(description="The team's name.")
    description: str | None = Field(description="What it says it is for; null where it says nothing.")
    privacy: str = Field(
        description="`visible` to all members of the organization, or `secret`, which only its own members and the "
        "owners see."
    )
    parent: str | None = Field(description="The team above it, as organization/slug; null where there is none.")
    created_at: datetime = Field(description="When it was made.")
    members: list[TeamMember] = Field(description="Its own members; those of teams below it are theirs.")
    repositories: list[TeamRepository] = Field(
        description="The repositories that it has access to, by itself or through the team above it."
    )


@evidence(MEMBERS, METADATA)
def teams(organization: Organization) -> Iterator[Team | Gap]:
    """Every team of the organization, its members with their roles, and its repositories with what it may do there.

    GitHub shows secret teams only to their members and to the organization's owners.
    """
    path = ("organization", "teams")
    for page in organization.pages(TEAMS, path, {"login": organization.login}, size=PAGE, keep=False):
        yield from (fault.error.gap() for fault in page.faults)
        yield from organization.each(page.nodes, partial(_look, organization), resource=_name)
    yield from organization.unseen()


def _name(node: Node) -> str:
    return "a team that is not shown" if node.value is None else str(node.value["combinedSlug"])


def _look(organization: Organization, node: Node) -> Team:
    team = whole(node, TEAMS)
    place = {"login": organization.login, "slug": team["slug"]}
    members = TEAMS_MEMBERS.of(organization, team, place)
    repositories = TEAMS_REPOSITORIES.of(organization, team, place)
    return Team(
        team=team["combinedSlug"],
        team_id=team["databaseId"],
        name=team["name"],
        description=team["description"] or None,
        privacy=team["privacy"].lower(),
        parent=_parent(team),
        created_at=team["createdAt"],
        members=[_member(edge) for edge in members],
        repositories=[_repository(edge) for edge in repositories if organization.selects(edge["node"])],
    )


def _parent(team: Mapping[str, Any]) -> str | None:
    return team["parentTeam"]["combinedSlug"] if team["parentTeam"] else None


def _member(edge: Edge) -> TeamMember:
    person = edge["node"]
    return TeamMember(user=person["login"], user_id=person["databaseId"], role=edge["role"].lower())


def _repository(edge: Edge) -> TeamRepository:
    repository = edge["node"]
    return TeamRepository(
        repository=repository["nameWithOwner"],
        visibility=repository["visibility"].lower(),
        archived=repository["isArchived"],
        permission=edge["permission"].lower(),
    )
