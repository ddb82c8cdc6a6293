"""Evidence of deployments: what went where and how it ended, and what guards the environments."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from itertools import takewhile
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Period, Personal, Record, evidence
from collectors.errors import AccessDenied, CollectionError, Omitted
from collectors.github import listing
from collectors.github.change_queries import ACTIONS, DEPLOYMENT_LOG, DEPLOYMENTS, REPOSITORY_DEPLOYMENTS
from collectors.github.environment_rules import EnvironmentProtection, protection
from collectors.github.selected import RepositoryRecord, kind, login
from collectors.github.targets import METADATA, Organization

PAGE = 25
ENVIRONMENTS = "GET /repos/{owner}/{repo}/environments"
PATH = ("repository", "deployments")
ENDED_WITHIN = timedelta(hours=1)  # of being made, or the log has a deployment that is still on its way


class DeploymentStatus(Record):
    """One step of a deployment."""

    state: str = Field(description="As in `queued`, `waiting`, `in_progress`, `success` or `failure`.")
    created_at: datetime = Field(description="When it was reported.")
    creator: Personal | None = Field(description="The login of who or what reported it; null where it is gone.")


class Deployment(Record):
    """One deployment, as it stood when it was read."""

    id: int | None = Field(description="GitHub's id of it; null where GitHub does not say.")
    task: str | None = Field(description="What was done, as in `deploy`; null where GitHub does not say.")
    ref: str | None = Field(description="The branch or tag; null where it is gone, or a commit was named.")
    commit: str = Field(description="The commit that was deployed.")
    created_at: datetime = Field(description="When it was begun.")
    creator: Personal | None = Field(description="The login of who or what began it; null where it is gone.")
    creator_kind: str | None = Field(description="`user`, `bot` or another kind of account; null where it is gone.")
    state: str | None = Field(
        description="As in `active`, `inactive` for one that another replaced, `failure` or `waiting`; null where "
        "GitHub does not say."
    )
    statuses: list[DeploymentStatus] = Field(description="Its steps, the first one first.")


class EnvironmentDeployments(RepositoryRecord):
    """One environment of a repository: how it is guarded now, and what was deployed to it in the period."""

    environment: str | None = Field(description="Its name; null for deployments that name none.")
    exists: bool = Field(description="Whether there still is such an environment; its deployments outlast it.")
    protection: EnvironmentProtection | None = Field(
        description="What guards it, as of the read; null where it no longer exists."
    )
    deployments: list[Deployment] = Field(description="Every deployment that was begun in the period, oldest first.")


@evidence(METADATA, ACTIONS, DEPLOYMENT_LOG, window=timedelta(days=30), lag=ENDED_WITHIN)
def deployments(organization: Organization, period: Period) -> Iterator[EnvironmentDeployments | Gap]:
    """Every environment of every repository with what guards it, and every deployment to it that was begun in the
    period.

    Deployments are a population in time, each in one period only. What guards an environment is its state at the read;
    environments without a deployment are there too.
    """
    return listing.each(organization, DEPLOYMENTS, {}, partial(_look, organization, period), size=PAGE)


def _look(
    organization: Organization, period: Period, repository: Mapping[str, Any]
) -> Iterator[EnvironmentDeployments | Gap]:
    guarded = dict(_environments(organization, repository))
    made: dict[str | None, list[Deployment]] = {name: [] for name in guarded}
    for found in _begun(organization, period, repository):
        unseen = _unseen(found)
        if unseen is not None:
            yield unseen.gap(f"{listing.name(repository)}/deployment {found['databaseId']}")
        else:
            made.setdefault(found["environment"], []).append(_deployment(found))
    for name, log in made.items():
        yield EnvironmentDeployments(
            **listing.described(repository),
            environment=name,
            exists=name in guarded,
            protection=guarded.get(name),
            deployments=sorted(log, key=lambda deployment: deployment.created_at),
        )


def _environments(
    organization: Organization, repository: Mapping[str, Any]
) -> Iterator[tuple[str | None, EnvironmentProtection]]:
    """Each environment and what guards it. Only REST tells the whole of it, so it is asked where there is one."""
    if repository["environments"]["totalCount"]:
        place = listing.at(repository)
        listed = organization.items(
            ENVIRONMENTS, {}, permission=ACTIONS, absent=AccessDenied, within="environments", **place
        )
        for environment in listed:
            yield environment["name"], protection(organization, place, environment)


def _begun(organization: Organization, period: Period, repository: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The deployments that were begun in the period, the newest first, as GitHub lists them."""
    listed = repository["deployments"]
    found: Iterable[Mapping[str, Any]] = listed["nodes"]
    if listed["pageInfo"]["hasNextPage"] and _began(listed["nodes"][-1]) >= period.since:
        found = listing.rest(organization, REPOSITORY_DEPLOYMENTS, PATH, listing.at(repository))
    recent = takewhile(lambda each: _began(each) >= period.since, found)
    return (each for each in recent if _began(each) < period.until)


def _began(deployment: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(deployment["createdAt"])


def _unseen(deployment: Mapping[str, Any]) -> CollectionError | None:
    """Why the steps of a deployment are not all there; None where they are."""
    statuses, query = deployment["statuses"], DEPLOYMENTS
    if statuses is None or statuses["nodes"] is None:
        message = "the statuses of the deployment are not shown"
        return AccessDenied(message, operation=query.operation, permission=DEPLOYMENT_LOG)
    shown = [each for each in statuses["nodes"] if each is not None]
    if statuses["totalCount"] > len(shown):
        message = f"{statuses['totalCount']} statuses, of which {len(shown)} were read"
        return Omitted(message, operation=query.operation)
    return None


def _deployment(found: Mapping[str, Any]) -> Deployment:
    statuses = [_status(each) for each in found["statuses"]["nodes"]]
    return Deployment(
        id=found["databaseId"],
        task=found["task"],
        ref=(found["ref"] or {}).get("name"),
        commit=found["commitOid"],
        created_at=found["createdAt"],
        creator=login(found["creator"]),
        creator_kind=kind(found["creator"]),
        state=found["state"].lower() if found["state"] else None,
        statuses=sorted(statuses, key=lambda status: status.created_at),
    )


def _status(found: Mapping[str, Any]) -> DeploymentStatus:
    return DeploymentStatus(
        state=found["state"].lower(), created_at=found["createdAt"], creator=login(found["creator"])
    )
