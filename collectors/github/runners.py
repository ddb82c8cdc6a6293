"""Evidence of self-hosted runners: the machines of one's own that workflows run on."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Record, evidence
from collectors.errors import AccessDenied, CollectionError
from collectors.github.selected import ADMINISTRATION, place
from collectors.github.targets import METADATA, Organization

RUNNERS = "organization_self_hosted_runners:read"
GROUPS = "GET /orgs/{org}/actions/runner-groups"


class Runner(Record):
    """One self-hosted runner."""

    id: int = Field(description="GitHub's id of the runner.")
    name: str = Field(description="Its name.")
    os: str = Field(description="Its operating system, as in `linux`.")
    status: str = Field(description="`online` or `offline`.")
    busy: bool = Field(description="Whether it runs a job.")
    ephemeral: bool | None = Field(description="Whether it takes one job only; null where GitHub does not say.")
    version: str | None = Field(description="The version of its software; null where GitHub does not say.")
    labels: list[str] = Field(description="The labels by which workflows ask for it.")


class RunnerGroup(Record):
    """One runner group of the organization, or the runners of one repository."""

    level: str = Field(description="`organization` for a group, `repository` for a repository's own runners.")
    repository: str | None = Field(description="The repository, as owner/name; null for a group.")
    repository_visibility: str | None = Field(description="`public`, `internal` or `private`; null for a group.")
    id: int | None = Field(description="GitHub's id of the group; null for a repository's runners.")
    name: str | None = Field(description="The group's name; null for a repository's runners.")
    visibility: str | None = Field(
        description="The repositories that may use the group: `all`, `private` or `selected`; null for a repository's "
        "runners."
    )
    default: bool | None = Field(description="Whether it is the default group; null for a repository's runners.")
    inherited: bool | None = Field(description="Whether it is the enterprise's; null for a repository's runners.")
    allows_public_repositories: bool | None = Field(
        description="Whether public repositories may use it; null for a repository's runners, or where GitHub does not "
        "say."
    )
    restricted_to_workflows: bool | None = Field(
        description="Whether only chosen workflows may use it; null for a repository's runners, or where GitHub does "
        "not say."
    )
    selected_workflows: list[str] | None = Field(
        description="The workflows that were chosen; null for a repository's runners, or where GitHub does not say."
    )
    runners: list[Runner] = Field(description="The runners in it.")


@evidence(RUNNERS, ADMINISTRATION, METADATA)
def runners(organization: Organization) -> Iterator[RunnerGroup | Gap]:
    """Every runner group of the organization with its self-hosted runners, and the runners that repositories have of
    their own. A repository without any has no record.
    """
    try:
        yield from _groups(organization)
    except CollectionError as error:
        yield error.gap(f"{organization.login}/organization runners")
    yield from organization.each_repository(partial(_of_repository, organization))


def _groups(organization: Organization) -> Iterator[RunnerGroup | Gap]:
    yield from organization.each(
        _listed(organization, GROUPS, "runner_groups"),
        partial(_group, organization),
        resource=lambda group: f"{organization.login}/runner group {group['id']}",
    )


def _listed(organization: Organization, operation: str, within: str, **names: str) -> Iterator[dict[str, Any]]:
    return organization.items(
        operation, {}, permission=RUNNERS, absent=AccessDenied, within=within, org=organization.login, **names
    )


def _group(organization: Organization, group: Mapping[str, Any]) -> RunnerGroup:
    """A group with its runners. They are asked for by group: the organization's list lacks those of the enterprise."""
    operation = f"{GROUPS}/{{runner_group_id}}/runners"
    members = _listed(organization, operation, "runners", runner_group_id=str(group["id"]))
    return RunnerGroup(
        level="organization",
        repository=None,
        repository_visibility=None,
        id=group["id"],
        name=group["name"],
        visibility=group["visibility"],
        default=group["default"],
        inherited=group["inherited"],
        allows_public_repositories=group.get("allows_public_repositories"),
        restricted_to_workflows=group.get("restricted_to_workflows"),
        selected_workflows=group.get("selected_workflows"),
        runners=[_runner(each) for each in members],
    )


def _of_repository(organization: Organization, repository: Mapping[str, Any]) -> RunnerGroup | None:
    operation = "GET /repos/{owner}/{repo}/actions/runners"
    listed = organization.items(
        operation, {}, permission=ADMINISTRATION, absent=AccessDenied, within="runners", **place(repository)
    )
    own = [_runner(each) for each in listed]
    if not own:
        return None
    absent = dict.fromkeys(RunnerGroup.model_fields)
    facts = {
        "level": "repository",
        "repository": repository["full_name"],
        "repository_visibility": repository["visibility"],
        "runners": own,
    }
    return RunnerGroup.model_validate({**absent, **facts})


def _runner(runner: Mapping[str, Any]) -> Runner:
    return Runner(
        id=runner["id"],
        name=runner["name"],
        os=runner["os"],
        status=runner["status"],
        busy=runner["busy"],
        ephemeral=runner.get("ephemeral"),
        version=runner.get("version"),
        labels=[label["name"] for label in runner["labels"]],
    )
