"""Evidence of how vulnerabilities can be reported, and of the security settings that an organization hands out."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Record, evidence
from collectors.errors import AccessDenied
from collectors.github.graphql import Node
from collectors.github.security_queries import SECURITY_POLICIES
from collectors.github.selected import RepositoryRecord, named, nodes, place, shown
from collectors.github.targets import METADATA, Organization

ORGANIZATION_ADMINISTRATION = "organization_administration:read"
PUBLIC = "public"
# What a configuration says of itself; all else that is a text is the state of a feature.
ABOUT = frozenset(
    {"name", "target_type", "description", "enforcement", "url", "html_url", "created_at", "updated_at"},
)


class SecurityPolicy(RepositoryRecord):
    """How a vulnerability in one repository can be reported."""

    policy: bool | None = Field(
        description="Whether a security policy holds, its own or the organization's; null where GitHub does not say."
    )
    policy_url: str | None = Field(description="The policy's page; null where there is none.")
    private_reporting: bool | None = Field(
        description="Whether a vulnerability can be reported in private on GitHub; null where the repository is not "
        "public, since GitHub offers it for public ones only."
    )


@evidence(METADATA)
def policy(organization: Organization) -> Iterator[SecurityPolicy | Gap]:
    """Whether each repository says how to report a vulnerability, and takes private reports."""
    found = nodes(organization, SECURITY_POLICIES)
    yield from organization.each_repository(partial(_policy, organization, found))


def _policy(organization: Organization, found: Mapping[str, Node], repository: Mapping[str, Any]) -> SecurityPolicy:
    told = shown(found, repository, SECURITY_POLICIES)
    return SecurityPolicy(
        **named(repository),
        policy=told["isSecurityPolicyEnabled"],
        policy_url=told["securityPolicyUrl"],
        private_reporting=_private_reporting(organization, repository),
    )


def _private_reporting(organization: Organization, repository: Mapping[str, Any]) -> bool | None:
    if repository["visibility"] != PUBLIC:
        return None
    operation = "GET /repos/{owner}/{repo}/private-vulnerability-reporting"
    reporting = organization.get(operation, permission=METADATA, absent=AccessDenied, **place(repository))
    enabled: bool | None = reporting.get("enabled")
    return enabled


class Attachment(Record):
    """A repository that a configuration was given to."""

    repository: str = Field(description="The repository, as owner/name.")
    status: str = Field(description="As in `attached`, `enforced`, `failed` or `removed`.")


class SecurityConfiguration(Record):
    """A set of security settings that repositories are given."""

    id: int = Field(description="GitHub's id of the configuration.")
    name: str = Field(description="Its name.")
    target_type: str = Field(description="Whose it is: `global` for GitHub's own, `organization` or `enterprise`.")
    description: str | None = Field(description="What was written about it; null where nothing was.")
    enforcement: str | None = Field(
        description="`enforced` where repositories cannot change it, else `unenforced`; null where GitHub does not say."
    )
    default_for_new_repos: str | None = Field(
        description="The new repositories that get it: `all`, `public` or `private_and_internal`; null for none."
    )
    features: dict[str, str] = Field(
        description="Each feature, as in `secret_scanning`, and its state: `enabled`, `disabled` or `not_set`."
    )
    created_at: datetime | None = Field(description="When it was made; null where GitHub does not say.")
    updated_at: datetime | None = Field(description="When it was changed last; null where GitHub does not say.")
    repositories: list[Attachment] = Field(description="The repositories that it was given to.")


@evidence(ORGANIZATION_ADMINISTRATION, METADATA)
def configurations(organization: Organization) -> Iterator[SecurityConfiguration | Gap]:
    """Every code security configuration: what it switches on, whether it is enforced, which new repositories get it,
    and which ones have it.
    """
    defaults = {
        each["configuration"]["id"]: each["default_for_new_repos"]
        for each in _items(organization, "GET /orgs/{org}/code-security/configurations/defaults")
        if each.get("configuration")
    }
    selected = {repository["full_name"] for repository in organization.repositories()}
    yield from organization.each(
        _items(organization, "GET /orgs/{org}/code-security/configurations"),
        partial(_configuration, organization, defaults, selected),
        resource=lambda found: f"{organization.login}/configuration {found['id']}",
    )
    yield from organization.unseen()


def _items(organization: Organization, operation: str, **names: str) -> Iterator[dict[str, Any]]:
    return organization.items(
        operation, {}, permission=ORGANIZATION_ADMINISTRATION, absent=AccessDenied, org=organization.login, **names
    )


def _configuration(
    organization: Organization, defaults: Mapping[int, str], selected: set[str], found: Mapping[str, Any]
) -> SecurityConfiguration:
    operation = "GET /orgs/{org}/code-security/configurations/{configuration_id}/repositories"
    attached = _items(organization, operation, configuration_id=str(found["id"]))
    return SecurityConfiguration(
        id=found["id"],
        name=found["name"],
        target_type=found["target_type"],
        description=found.get("description"),
        enforcement=found.get("enforcement"),
        default_for_new_repos=defaults.get(found["id"]),
        features={name: state for name, state in found.items() if isinstance(state, str) and name not in ABOUT},
        created_at=found.get("created_at"),
        updated_at=found.get("updated_at"),
        repositories=[
            Attachment(repository=each["repository"]["full_name"], status=each["status"])
            for each in attached
            if each["repository"]["full_name"] in selected
        ],
    )
