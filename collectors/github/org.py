"""Evidence of how an organization is set up."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Personal, Record, evidence
from collectors.errors import AccessDenied, CollectionError
from collectors.github.identities import external_identities, identity_provider
from collectors.github.identities import members as listed_members
from collectors.github.member_queries import MEMBERS, ORGANIZATION_MEMBERS
from collectors.github.targets import Organization

ADMINISTRATION = "organization_administration:read"
PROFILE = "GET /orgs/{org}"


class OrganizationTwoFactor(Record):
    """Whether an organization demands two-factor authentication, and who goes without it."""

    organization: str = Field(description="The organization's login.")
    required: bool | None = Field(
        description="Whether members must have two-factor authentication; null where it could not be seen."
    )
    members_without: list[Personal] | None = Field(
        description="The logins of members without two-factor authentication; null where they could not be seen."
    )
    outside_collaborators_without: list[Personal] | None = Field(
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
    required = _profile(organization).get("two_factor_requirement_enabled")
    if not isinstance(required, bool):
        raise _hidden("two_factor_requirement_enabled")
    return required


def _profile(organization: Organization) -> dict[str, Any]:
    return organization.get(PROFILE, permission=ADMINISTRATION, org=organization.login)


def _hidden(setting: str) -> AccessDenied:
    message = f"{setting} is not shown to this identity"
    return AccessDenied(message, operation=PROFILE, permission=ADMINISTRATION)


def _members_without(organization: Organization) -> list[str]:
    return _without(organization, "GET /orgs/{org}/members")


def _outside_collaborators_without(organization: Organization) -> list[str]:
    return _without(organization, "GET /orgs/{org}/outside_collaborators")


def _without(organization: Organization, operation: str) -> list[str]:
    filters = {"filter": "2fa_disabled"}
    people = organization.items(operation, filters, permission=MEMBERS, absent=AccessDenied, org=organization.login)
    return [person["login"] for person in people]


class OrganizationDefaultPermissions(Record):
    """What every member of an organization may do without being granted it."""

    organization: str = Field(description="The organization's login.")
    default_repository_permission: str | None = Field(
        description="What members may do in every repository without being added to it: `none`, `read`, `write` or "
        "`admin`; null where GitHub does not say."
    )
    members_allowed_repository_creation_type: str | None = Field(
        description="Which repositories members may create, in one word: `all`, `private` or `none`; null where GitHub "
        "does not say."
    )
    members_can_create_repositories: bool | None = Field(
        description="Whether members may create repositories; null where GitHub does not say."
    )
    members_can_create_public_repositories: bool | None = Field(
        description="Whether members may create public repositories; null where GitHub does not say."
    )
    members_can_create_private_repositories: bool | None = Field(
        description="Whether members may create private repositories; null where GitHub does not say."
    )
    members_can_create_internal_repositories: bool | None = Field(
        description="Whether members may create internal repositories; null where GitHub does not say, as on plans "
        "without them."
    )
    members_can_fork_private_repositories: bool | None = Field(
        description="Whether members may fork private and internal repositories; null where GitHub does not say."
    )
    members_can_delete_repositories: bool | None = Field(
        description="Whether a repository's administrators may delete or transfer it, and not only owners; null where "
        "GitHub does not say."
    )
    members_can_change_repo_visibility: bool | None = Field(
        description="Whether a repository's administrators may change its visibility, and not only owners; null where "
        "GitHub does not say."
    )
    members_can_invite_outside_collaborators: bool | None = Field(
        description="Whether a repository's administrators may invite outside collaborators, and not only owners; null "
        "where GitHub does not say."
    )
    members_can_create_teams: bool | None = Field(
        description="Whether members may create teams; null where GitHub does not say."
    )
    members_can_create_public_pages: bool | None = Field(
        description="Whether members may publish sites that everybody sees; null where GitHub does not say."
    )
    members_can_create_private_pages: bool | None = Field(
        description="Whether members may publish sites that only readers of the repository see; null where GitHub does "
        "not say."
    )
    members_can_delete_issues: bool | None = Field(
        description="Whether a repository's administrators may delete issues, and not only owners; null where GitHub "
        "does not say."
    )
    deploy_keys_enabled_for_repositories: bool | None = Field(
        description="Whether repositories may have deploy keys; null where GitHub does not say."
    )
    web_commit_signoff_required: bool | None = Field(
        description="Whether commits that are made on the web must be signed off; null where GitHub does not say."
    )
    default_repository_branch: str | None = Field(
        description="The name that the default branch of a new repository gets; null where GitHub does not say."
    )


@evidence(ADMINISTRATION)
def default_permissions(organization: Organization) -> Iterator[OrganizationDefaultPermissions]:
    """What members may do by default: in repositories that they were not added to, and in the organization itself.

    GitHub shows these settings only to those who may administer the organization.
    """
    profile = _profile(organization)
    if "default_repository_permission" not in profile:
        raise _hidden("default_repository_permission")
    settings = {name: profile.get(name) for name in OrganizationDefaultPermissions.model_fields}
    yield OrganizationDefaultPermissions.model_validate({**settings, "organization": organization.login})


class OrganizationMember(Record):
    """One member of an organization. Outside collaborators and those who are only invited are none."""

    login: Personal = Field(description="The member's login.")
    id: int | None = Field(description="GitHub's id of the account; null where GitHub does not say.")
    role: str | None = Field(description="`admin` for an owner, or `member`; null where it is not shown.")
    two_factor_enabled: bool | None = Field(
        description="Whether the account has two-factor authentication; null where it is not shown, as to those who "
        "are no owner."
    )
    saml_linked: bool | None = Field(
        description="Whether the account is linked to an identity of the organization's SAML provider; null where the "
        "organization has none of its own, or it could not be seen."
    )
    saml_name_id: Personal | None = Field(
        description="The NameID of that identity; null where there is none, or it could not be seen."
    )
    last_activity: datetime | None = Field(description="When the member was last active; null: GitHub does not say.")


@evidence(MEMBERS)
def members(organization: Organization) -> Iterator[OrganizationMember | Gap]:
    """Every member of the organization, with their role and their identity at its SAML provider.

    An identity provider of the enterprise is not the organization's: its identities are not seen here.
    """
    known, gaps = _identities(organization)
    yield from gaps
    whole = known is not None and not gaps
    roles_hidden = False
    for edge in listed_members(organization):
        if isinstance(edge, Gap):
            yield edge
        else:
            roles_hidden |= edge["role"] is None
            yield _member(edge, known or {}, whole=whole)
    if roles_hidden:
        message = "roles are not shown, as to those who see only the members that are public"
        hidden = AccessDenied(message, operation=ORGANIZATION_MEMBERS.operation, permission=MEMBERS)
        yield hidden.gap(f"{organization.login}/members")


def _identities(organization: Organization) -> tuple[dict[str, str | None] | None, list[Gap]]:
    """The NameID by login, or None where there is no identity provider; and what could not be seen."""
    known: dict[str, str | None] = {}
    gaps: list[Gap] = []
    try:
        if identity_provider(organization) is None:
            return None, []
        for found in external_identities(organization):
            if isinstance(found, Gap):
                gaps.append(found)
            elif found["user"] is not None:
                login, named = found["user"]["login"], (found["samlIdentity"] or {}).get("nameId")
                known[login] = named or known.get(login)  # one account can have several identities
    except CollectionError as error:
        gaps.append(error.gap(f"{organization.login}/external identities"))
    return known, gaps


def _member(edge: Mapping[str, Any], known: Mapping[str, str | None], *, whole: bool) -> OrganizationMember:
    user = edge["node"]
    return OrganizationMember(
        login=user["login"],
        id=user["databaseId"],
        role=edge["role"] and edge["role"].lower(),
        two_factor_enabled=edge["hasTwoFactorEnabled"],
        saml_linked=user["login"] in known if whole or user["login"] in known else None,
        saml_name_id=known.get(user["login"]),
        last_activity=None,
    )
