"""Evidence of how an organization is set up."""

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Record, evidence
from collectors.errors import AccessDenied, CollectionError
from collectors.github.targets import Organization

ADMINISTRATION = "organization_administration:read"
MEMBERS = "members:read"


class OrganizationTwoFactor(Record):
    """Whether an organization demands two-factor authentication, and who goes without it."""

    organization: str = Field(description="The organization's login.")
    required: bool | None = Field(
        description="Whether members must have two-factor authentication; null where it could not be seen."
    )
    members_without: list[str] | None = Field(
        description="The logins of members without two-factor authentication; null where they could not be seen."
    )
    outside_collaborators_without: list[str] | None = Field(
        description="The logins of outside collaborators without it; null where they could not be seen."
    )
    unknown: list[str] = Field(description="Which of these fields could not be seen; each is also a gap.")


@evidence(ADMINISTRATION, MEMBERS)
def two_factor(organization: Organization) -> Iterator[OrganizationTwoFactor | Gap]:
    """Whether the organization requires two-factor authentication, and who does not have it.

    GitHub tells the requirement to administrators, and the names to owners only. What it does not tell is null, never
    false or empty, and a gap.
    """
    looks: dict[str, Callable[[Organization], Any]] = {
        "required": _required,
        "members_without": _members_without,
        "outside_collaborators_without": _outside_collaborators_without,
    }
    facts: dict[str, Any] = {}
    failures: dict[str, CollectionError] = {}
    for name, look in looks.items():
        try:
            facts[name] = look(organization)
        except CollectionError as error:
            failures[name] = error
    if facts:
        yield OrganizationTwoFactor(
            organization=organization.login,
            unknown=list(failures),
            **{name: facts.get(name) for name in looks},
        )
    for name, failure in failures.items():
        yield failure.gap(f"{organization.login}/{name}")


def _required(organization: Organization) -> bool:
    profile = organization.get("GET /orgs/{org}", permission=ADMINISTRATION, org=organization.login)
    required = profile.get("two_factor_requirement_enabled")
    if not isinstance(required, bool):
        raise AccessDenied(
            "two_factor_requirement_enabled is not shown to this identity",
            operation="GET /orgs/{org}",
            permission=ADMINISTRATION,
        )
    return required


def _members_without(organization: Organization) -> list[str]:
    return _without(organization, "GET /orgs/{org}/members")


def _outside_collaborators_without(organization: Organization) -> list[str]:
    return _without(organization, "GET /orgs/{org}/outside_collaborators")


def _without(organization: Organization, operation: str) -> list[str]:
    filters = {"filter": "2fa_disabled"}
    people = organization.items(operation, filters, permission=MEMBERS, absent=AccessDenied, org=organization.login)
    return [person["login"] for person in people]
