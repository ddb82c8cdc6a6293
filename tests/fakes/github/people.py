"""The people of the organization: members, teams, outside collaborators, and how they sign in."""

from datetime import timedelta
from typing import TYPE_CHECKING

from tests.fakes.github.answers import Answer, Listed, not_found, refusal, time
from tests.fakes.github.connections import Resolver, granted, paged
from tests.fakes.github.routes import route

if TYPE_CHECKING:
    from tests.fakes.github.server import GitHub

OWNERS = 2
ROLES = ("MAINTAINER", "MEMBER")
CONSULTANTS = ("auditor", "consultant")


def user(number: int) -> dict:
    return {"__typename": "User", "login": f"dev-{number:03d}", "databaseId": 4000 + number}


def consultant(number: int) -> dict:
    return {"__typename": "User", "login": CONSULTANTS[number], "databaseId": 9000 + number}


def account(found: dict) -> dict:
    """As REST tells of somebody whom GraphQL shows as `found`."""
    return {"login": found["login"], "id": found["databaseId"], "type": "User", "site_admin": False}


# ── The organization ───────────────────────────────────────────────────────────────────────────────────────────────


@route("/user", "")
def viewer(github: "GitHub", _query: dict) -> Answer:
    """A classic token's scopes are told; single permissions are denied to a fine-grained one."""
    told = {} if github.scopes is None or github.denied else {"X-OAuth-Scopes": github.scopes}
    return Answer(200, {"login": "acme-auditor", "id": 99}, told)


@route("/orgs/acme", "")
def profile(github: "GitHub", _query: dict) -> dict:
    """Only those who administer the organization are shown its settings."""
    shown = {"login": "acme", "id": 1, "name": "Acme", "type": "Organization", "public_repos": github.public}
    if "organization_administration" in github.denied:
        return shown
    return {
        **shown,
        "total_private_repos": github.repositories - github.public,
        "owned_private_repos": github.repositories - github.public,
        "plan": {"name": github.plan, "seats": 100},
        "two_factor_requirement_enabled": github.two_factor,
        "default_repository_permission": "read",
        "members_allowed_repository_creation_type": "private",
        "members_can_create_repositories": True,
        "members_can_create_public_repositories": False,
        "members_can_create_private_repositories": True,
        "members_can_create_internal_repositories": True,
        "members_can_fork_private_repositories": False,
        "members_can_delete_repositories": False,
        "members_can_invite_outside_collaborators": True,
        "members_can_create_teams": True,
        "deploy_keys_enabled_for_repositories": True,
        "web_commit_signoff_required": False,
        "default_repository_branch": "main",
    }


@route("/orgs/acme/members", "members")
def members_without(github: "GitHub", query: dict) -> Listed | Answer:
    return _filtered(github, query, [user(number) for number in range(github.members_without)])


@route("/orgs/acme/outside_collaborators", "members")
def outside(github: "GitHub", query: dict) -> Listed | Answer:
    everybody = [consultant(number) for number in range(len(CONSULTANTS))]
    return _filtered(github, query, everybody[1:] if "filter" in query else everybody)


def _filtered(github: "GitHub", query: dict, people: list[dict]) -> Listed | Answer:
    if query.get("filter") == "2fa_disabled" and not github.owner:
        return refusal(422, "Only owners can use this filter.")
    return Listed([account(each) for each in people])


def member(github: "GitHub", number: int) -> dict:
    """The edge from the organization to a member."""
    return {
        "role": "ADMIN" if number < OWNERS else "MEMBER",
        "hasTwoFactorEnabled": number >= github.members_without if github.owner else None,
        "node": user(number),
    }


# ── Teams ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def team(github: "GitHub", number: int) -> dict:
    """Team 0 has everybody and every repository; any other some of both."""
    slug = "platform" if number == 0 else f"team-{number:03d}"
    people = [each for each in range(github.members) if number == 0 or each % github.teams == number]
    return {
        "__typename": "Team",
        "databaseId": 600 + number,
        "slug": slug,
        "combinedSlug": f"acme/{slug}",
        "name": slug.title(),
        "description": "" if number % 2 else f"What {slug} does",
        "privacy": "SECRET" if number == 1 else "VISIBLE",
        "createdAt": "2023-02-01T10:00:00Z",
        "parentTeam": team(github, 1) if number == 2 else None,
        "members": paged(people, lambda each: {"role": ROLES[each != people[0]], "node": user(each)}),
        "repositories": granted(github, "metadata", _repositories(github, number)),
    }


def _repositories(github: "GitHub", number: int) -> Resolver:
    found = [each for each in github.shown if has(github, number, each)]
    permission = "ADMIN" if number == 0 else "WRITE"
    return paged(found, lambda each: {"permission": permission, "node": github.repository(each)})


def has(github: "GitHub", number: int, repository: int) -> bool:
    return number == 0 or repository % github.teams == number


# ── Who reaches a repository ───────────────────────────────────────────────────────────────────────────────────────


def outsiders(repository: int) -> list[dict]:
    """The edges to those who are no members: consultant 0 reaches every fifth repository, 1 every sixth."""
    return [
        {"permission": ("READ", "WRITE")[number], "node": consultant(number), "permissionSources": None}
        for number in range(len(CONSULTANTS))
        if repository % (5 + number) == 0
    ]


def reach(github: "GitHub", repository: int) -> list[dict]:
    """The edges to all who reach a repository, each with the reasons why: every member may read each of them."""
    return [*(_edge(github, repository, number) for number in range(github.members)), *outsiders(repository)]


def _edge(github: "GitHub", repository: int, number: int) -> dict:
    owner = number < OWNERS
    organization = {"__typename": "Organization", "login": "acme"}
    sources = [{"permission": "ADMIN" if owner else "READ", "roleName": None, "source": organization}]
    if number == repository % github.members:
        source = {"__typename": "Repository", "nameWithOwner": f"acme/service-{repository:03d}"}
        sources.append({"permission": "WRITE", "roleName": "maintain", "source": source})

    permission = "ADMIN" if owner else "MAINTAIN" if len(sources) > 1 else "READ"
    return {
        "permission": permission,
        "node": user(number),
        "permissionSources": granted(github, "members", lambda _info: sources),
    }


# ── Single sign-on ─────────────────────────────────────────────────────────────────────────────────────────────────


def identity_provider(github: "GitHub") -> dict:
    """The last member is not linked; one identity has not been claimed by anybody."""
    return {
        "issuer": "http://www.okta.com/exk1acme",
        "ssoUrl": "https://acme.okta.com/app/githubcloud/exk1acme/sso/saml",
        "signatureMethod": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
        "digestMethod": "http://www.w3.org/2001/04/xmlenc#sha256",
        "externalIdentities": paged(range(github.members), lambda number: _identity(github, number)),
    }


def _identity(github: "GitHub", number: int) -> dict:
    named = f"dev.{number:03d}@acme.example"
    return {
        "guid": f"5f0b6c1e-8a3d-11ee-9c5a-{number:012d}",
        "samlIdentity": {"nameId": named},
        "scimIdentity": {"username": named} if number % 2 == 0 else None,
        "user": user(number) if number < github.members - 1 else None,
    }


@route("/orgs/acme/credential-authorizations", "organization_administration")
def credentials(github: "GitHub", _query: dict) -> Listed | Answer:
    if not github.single_sign_on:
        return not_found()
    return Listed([_credential(github, number) for number in range(0, github.members, 3)])


def _credential(github: "GitHub", number: int) -> dict:
    key = number % 2 == 1
    token = {"token_last_eight": "71c3fc11", "scopes": ["repo"], "authorized_credential_note": "release"}
    return {
        "login": user(number)["login"],
        "credential_id": 161_000 + number,
        "credential_type": "SSH key" if key else "personal access token",
        "credential_authorized_at": "2025-01-26T19:06:43Z",
        "credential_accessed_at": None if key else time(github.until - timedelta(days=number)),
        "authorized_credential_id": 162_000 + number,
        **({"fingerprint": "SHA256:jklmnop12345678", "authorized_credential_title": "laptop"} if key else {}),
        **({} if key else {**token, "authorized_credential_expires_at": None}),
    }
