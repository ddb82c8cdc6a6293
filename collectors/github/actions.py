"""Evidence of what GitHub Actions may do."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Record, evidence
from collectors.errors import AccessDenied, CollectionError, Invalid
from collectors.github.org import ADMINISTRATION as ORGANIZATION_ADMINISTRATION
from collectors.github.selected import ADMINISTRATION, place
from collectors.github.targets import METADATA, Organization

OF_ORGANIZATION = "GET /orgs/{org}/actions/permissions"
OF_REPOSITORY = "GET /repos/{owner}/{repo}/actions/permissions"
SELECTED = "selected"


class ActionsPermissions(Record):
    """What GitHub Actions may do, as the organization or one repository sets it."""

    level: str = Field(description="Whose setting it is: `organization` or `repository`.")
    repository: str | None = Field(description="The repository, as owner/name; null for the organization.")
    repository_id: int | None = Field(description="GitHub's id of the repository; null for the organization.")
    visibility: str | None = Field(description="`public`, `internal` or `private`; null for the organization.")
    archived: bool | None = Field(description="Whether the repository is archived; null for the organization.")
    enabled_repositories: str | None = Field(
        description="The repositories that may run Actions: `all`, `none` or `selected`; null for a repository."
    )
    enabled: bool | None = Field(description="Whether Actions are on in the repository; null for the organization.")
    allowed_actions: str | None = Field(
        description="Which actions may run: `all`, `local_only` for those of one's own, or `selected`; null where "
        "Actions are off, or GitHub does not say."
    )
    github_owned_allowed: bool | None = Field(
        description="Whether those of GitHub are among the selected; null where none are selected here."
    )
    verified_allowed: bool | None = Field(
        description="Whether those of verified creators are among the selected; null where none are selected here."
    )
    patterns_allowed: list[str] | None = Field(
        description="Which others are selected, as in `docker/*`; null where none are selected here. Where the "
        "organization selects, its list holds in every repository, and is told only there."
    )
    sha_pinning_required: bool | None = Field(
        description="Whether actions must be named by the full hash of a commit; null where GitHub does not say."
    )
    default_workflow_permissions: str | None = Field(
        description="What a workflow's token may do where the workflow does not say: `read` or `write`; null where "
        "Actions are off."
    )
    can_approve_pull_request_reviews: bool | None = Field(
        description="Whether workflows may make and approve pull requests; null where Actions are off."
    )


@evidence(ORGANIZATION_ADMINISTRATION, ADMINISTRATION, METADATA)
def permissions(organization: Organization) -> Iterator[ActionsPermissions | Gap]:
    """Which actions may run, what the token of a workflow may do by default, and whether workflows may approve pull
    requests: in the organization, and in each repository.
    """
    selected = False
    try:
        own = _of_organization(organization)
        selected = own.allowed_actions == SELECTED
        yield own
    except CollectionError as error:
        yield error.gap(f"{organization.login}/organization settings")
    yield from organization.each_repository(partial(_of_repository, organization, selected=selected))


def _of_organization(organization: Organization) -> ActionsPermissions:
    def ask(operation: str) -> dict[str, Any]:
        return organization.get(
            operation, permission=ORGANIZATION_ADMINISTRATION, absent=AccessDenied, org=organization.login
        )

    policy = ask(OF_ORGANIZATION)
    enabled = _told(policy, "enabled_repositories", OF_ORGANIZATION)
    listed = policy.get("allowed_actions") == SELECTED
    return _record(
        {"level": "organization", "enabled_repositories": enabled},
        policy,
        ask(f"{OF_ORGANIZATION}/selected-actions") if listed else {},
        ask(f"{OF_ORGANIZATION}/workflow") if enabled != "none" else {},
    )


def _of_repository(organization: Organization, repository: Mapping[str, Any], *, selected: bool) -> ActionsPermissions:
    """The settings of a repository. `selected` says that the organization selects: no repository has its own list."""

    def ask(operation: str) -> dict[str, Any]:
        return organization.get(operation, permission=ADMINISTRATION, absent=AccessDenied, **place(repository))

    policy = ask(OF_REPOSITORY)
    enabled = _told(policy, "enabled", OF_REPOSITORY)
    listed = policy.get("allowed_actions") == SELECTED and not selected
    facts = {
        "level": "repository",
        "repository": repository["full_name"],
        "repository_id": repository["id"],
        "visibility": repository["visibility"],
        "archived": repository["archived"],
        "enabled": enabled,
    }
    return _record(
        facts,
        policy,
        ask(f"{OF_REPOSITORY}/selected-actions") if listed else {},
        ask(f"{OF_REPOSITORY}/workflow") if enabled else {},
    )


def _told(policy: Mapping[str, Any], name: str, operation: str) -> Any:
    if name not in policy:
        raise Invalid(f"the answer does not say {name}", operation=operation)
    return policy[name]


def _record(
    facts: Mapping[str, Any], policy: Mapping[str, Any], chosen: Mapping[str, Any], workflow: Mapping[str, Any]
) -> ActionsPermissions:
    """What the facts and the three answers say together; what none of them says is null."""
    said = {**policy, **chosen, **workflow, **facts}
    return ActionsPermissions.model_validate({name: said.get(name) for name in ActionsPermissions.model_fields})
