"""GraphQL: executed, not imitated, on the part of GitHub's own schema that the queries of the source use."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from graphql import GraphQLSchema, build_schema, graphql_sync

from tests.fakes.github.answers import Answer, error, fault
from tests.fakes.github.connections import Resolver, granted, paged
from tests.fakes.github.people import identity_provider, member, team
from tests.fakes.github.points import spent
from tests.fakes.github.pulls import search
from tests.fakes.github.repositories import repository

if TYPE_CHECKING:
    from tests.fakes.github.server import GitHub


@cache
def schema() -> GraphQLSchema:
    return build_schema(Path(__file__).parent.with_suffix(".graphql").read_text(encoding="utf-8"))


def executed(github: "GitHub", body: dict) -> Answer:
    limit = spent(github, body)
    if isinstance(limit, Answer):
        return limit
    root = {
        "rateLimit": limit,
        "organization": lambda _info, login: _organization(github, login),
        "repository": lambda _info, **asked: _repository(github, **asked),
        "search": lambda _info, query, first, after=None, **_: search(github, query, first, after),
        "viewer": {"login": github.viewer},
    }
    result = graphql_sync(schema(), body["query"], root, variable_values=body["variables"])
    answer = {"data": result.data}
    if result.errors:
        answer["errors"] = [error(found) for found in result.errors]
    return Answer(200, answer)


def _organization(github: "GitHub", login: str) -> dict:
    if login != "acme":
        raise fault("NOT_FOUND", f"Could not resolve to an Organization with the login of '{login}'.")
    provider = identity_provider(github) if github.single_sign_on else None
    return {
        "login": login,
        "viewerCanAdminister": github.owner,
        "repositories": granted(github, "metadata", paged(github.shown, lambda number: repository(github, number))),
        "membersWithRole": granted(github, "members", _members(github)),
        "teams": granted(github, "members", paged(range(github.teams), lambda number: team(github, number))),
        "team": granted(github, "members", lambda _info, slug: _team(github, slug)),
        "samlIdentityProvider": granted(github, "members", lambda _info: provider),
    }


def _members(github: "GitHub") -> Resolver:
    """All members but those who are hidden, as they can be: they count all the same."""
    everybody = range(max(github.members, github.members_without) - github.members_hidden)
    shown = paged(everybody, lambda number: member(github, number))

    def connection(info: object, **asked: object) -> dict:
        return {**shown(info, **asked), "totalCount": len(everybody) + github.members_hidden}

    return connection


def _team(github: "GitHub", slug: str) -> dict:
    return team(github, 0 if slug == "platform" else int(slug.removeprefix("team-")))


def _repository(github: "GitHub", owner: str, name: str, **_: object) -> dict:
    number = int(name.removeprefix("service-"))
    if owner != "acme" or not github.shows(number):
        raise fault("NOT_FOUND", f"Could not resolve to a Repository with the name '{owner}/{name}'.")
    return repository(github, number)
