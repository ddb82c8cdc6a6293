"""The repositories of the organization, as REST lists them and as GraphQL shows them."""

from datetime import timedelta
from typing import TYPE_CHECKING

from tests.fakes.github.answers import Listed, fault, time
from tests.fakes.github.commits import target
from tests.fakes.github.connections import Resolver, granted, paged, whole
from tests.fakes.github.deployments import deployments, environments
from tests.fakes.github.files import codeowners, file, has_policy
from tests.fakes.github.people import outsiders, reach
from tests.fakes.github.protection import active_rules, classic, rulesets
from tests.fakes.github.releases import releases
from tests.fakes.github.routes import FIRST_REPOSITORY, route
from tests.fakes.github.tokens import deploy_keys

if TYPE_CHECKING:
    from tests.fakes.github.server import GitHub

LANGUAGES = ("Python", "TypeScript", "Go", None)
VISIBILITIES = ("PRIVATE", "INTERNAL", "PUBLIC")


def is_archived(number: int) -> bool:
    return number % 17 == 16


def is_fork(number: int) -> bool:
    return number % 19 == 18


def is_public(number: int) -> bool:
    return VISIBILITIES[number % len(VISIBILITIES)] == "PUBLIC"


def is_empty(number: int) -> bool:
    return number % 29 == 28


@route("/orgs/acme/repos", "metadata")
def repositories(github: "GitHub", _query: dict) -> Listed:
    return Listed([summary(github, number) for number in github.shown])


@route("/installation/repositories", "metadata")
def given(github: "GitHub", _query: dict) -> Listed:
    found = [summary(github, number) for number in range(github.repositories) if github.gave(number)]
    return Listed(found, "repositories")


def summary(github: "GitHub", number: int) -> dict:
    """A repository as REST lists it. Its security settings are for those who administer it."""
    name, visibility = f"service-{number:03d}", VISIBILITIES[number % 3].lower()
    shown = {
        "id": FIRST_REPOSITORY + number,
        "name": name,
        "full_name": f"acme/{name}",
        "private": visibility != "public",
        "visibility": visibility,
        "owner": {"login": "acme", "id": 1, "type": "Organization"},
        "html_url": f"https://github.com/acme/{name}",
        "archived": is_archived(number),
        "disabled": False,
        "fork": is_fork(number),
        "default_branch": "main",
        "created_at": "2022-05-01T08:00:00Z",
        "pushed_at": None if is_empty(number) else time(github.until - timedelta(days=number)),
        "updated_at": time(github.until - timedelta(days=number)),
        "language": LANGUAGES[number % 4],
        "license": {"key": "mit", "spdx_id": "MIT"} if visibility == "public" else None,
        "topics": ["payments"] if number % 5 == 0 else [],
        "size": 100 * number,
        "is_template": number == 7,
        "has_pages": number % 9 == 0,
        "allow_forking": visibility != "private",
        "web_commit_signoff_required": False,
        "custom_properties": {"tier": str(1 + number % 3)},
    }
    return {**shown, "security_and_analysis": _security(number)} if github.administers else shown


def scans_secrets(number: int) -> bool:
    return number % 5 != 4


def _security(number: int) -> dict:
    states = {
        "secret_scanning": scans_secrets(number),
        "secret_scanning_push_protection": number % 2 == 0,
        "secret_scanning_non_provider_patterns": False,
        "secret_scanning_validity_checks": number % 3 == 0,
        "dependabot_security_updates": number % 2 == 1,
    }
    return {name: {"status": "enabled" if on else "disabled"} for name, on in states.items()}


def alerts_on(number: int) -> bool:
    """Whether Dependabot's alerts are on."""
    return number % 6 != 5


def repository(github: "GitHub", number: int) -> dict:
    """A repository as GraphQL shows it: what is costly is a function, called where it is asked for."""
    name = f"acme/service-{number:03d}"
    return {
        "__typename": "Repository",
        "databaseId": FIRST_REPOSITORY + number,
        "nameWithOwner": name,
        "visibility": VISIBILITIES[number % 3],
        "isArchived": is_archived(number),
        "isFork": is_fork(number),
        "viewerCanAdminister": github.admin,
        "hasVulnerabilityAlertsEnabled": github.administers and alerts_on(number),
        "isSecurityPolicyEnabled": has_policy(number),
        "securityPolicyUrl": f"https://github.com/{name}/security/policy" if has_policy(number) else None,
        "planFeatures": {"codeowners": True},
        "rulesets": rulesets(github, number),
        "defaultBranchRef": None if is_empty(number) else lambda _info: _branch(github, number),
        "collaborators": _collaborators(github, number),
        "deployKeys": whole(*_keys(github, number)),
        "codeowners": granted(github, "contents", lambda _info: codeowners(number)),
        "object": granted(github, "contents", lambda _info, **asked: _object(github, number, **asked)),
        "environments": granted(github, "actions", whole(*environments(number))),
        "deployments": granted(github, "deployments", deployments(github, number)),
        "releases": granted(github, "contents", releases(github, number)),
        "pullRequests": granted(github, "pull_requests", github.pulls.of(number)),
    }


def _branch(github: "GitHub", number: int) -> dict:
    return {
        "name": "main",
        "rules": active_rules(number),
        "branchProtectionRule": lambda _info: classic(github, number),
        "target": target(github, number),
    }


def _collaborators(github: "GitHub", number: int) -> Resolver:
    def shown(info: object, affiliation: str = "ALL", **asked: object) -> dict:
        if not github.writes:
            raise fault("FORBIDDEN", "You do not have permission to view repository collaborators.")
        if number in github.refused_inside:
            raise fault(github.refused_inside[number], "Resource protected by organization SAML enforcement.")
        return paged(outsiders(number) if affiliation == "OUTSIDE" else reach(github, number))(info, **asked)

    return shown


def _keys(github: "GitHub", number: int) -> list[dict]:
    """Who does not administer the repository is told that there are none."""
    return deploy_keys(github, number) if github.administers else []


def _object(github: "GitHub", number: int, oid: str | None = None, expression: str = "") -> dict | None:
    if oid is not None:
        return target(github, number)
    return file(number, expression.removeprefix("HEAD:"))
