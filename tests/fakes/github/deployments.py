"""Environments, what guards them, and what was deployed to them. Every third repository has some."""

from datetime import timedelta
from typing import TYPE_CHECKING

from tests.fakes.github.answers import Listed, digits, time
from tests.fakes.github.connections import Resolver, paged, whole
from tests.fakes.github.people import account, user
from tests.fakes.github.routes import route

if TYPE_CHECKING:
    from tests.fakes.github.server import GitHub

ENVIRONMENT = "/{repo}/environments/{environment}"
ACTIONS = {"__typename": "Bot", "login": "github-actions"}


def environments(number: int) -> list[dict]:
    """Production, and staging in every second repository that has it."""
    names = ("production", "staging")[: 2 if number % 6 == 0 else 1] if number % 3 == 0 else ()
    return [_environment(number, name) for name in names]


def _environment(number: int, name: str) -> dict:
    guarded = name == "production"
    approval = {
        "id": 20,
        "type": "required_reviewers",
        "prevent_self_review": True,
        "reviewers": [
            {"type": "User", "reviewer": account(user(1))},
            {"type": "Team", "reviewer": {"id": 600, "slug": "platform"}},
        ],
    }
    rules = [{"id": 10, "type": "wait_timer", "wait_timer": 30}, approval, {"id": 30, "type": "branch_policy"}]
    return {
        "id": 4000 + number,
        "name": name,
        "can_admins_bypass": not guarded,
        "protection_rules": rules if guarded else [],
        "deployment_branch_policy": {"protected_branches": False, "custom_branch_policies": True} if guarded else None,
    }


@route("/{repo}/environments", "actions")
def listed(_github: "GitHub", _query: dict, repo: int) -> Listed:
    return Listed(environments(repo), "environments")


@route(f"{ENVIRONMENT}/deployment-branch-policies", "actions")
def branches(_github: "GitHub", _query: dict, repo: int, environment: str) -> Listed:
    policy = {"id": 50 + repo, "name": "release/*" if environment == "production" else "*", "type": "branch"}
    return Listed([policy], "branch_policies")


@route(f"{ENVIRONMENT}/deployment_protection_rules", "actions")
def gates(_github: "GitHub", _query: dict, repo: int, environment: str) -> Listed:
    gate = {"id": repo, "enabled": True, "app": {"id": 12, "slug": "acme-change-gate"}}
    return Listed([gate] if environment == "production" else [], "custom_deployment_protection_rules")


def count(number: int) -> int:
    """How many deployments a repository has; one has more than fit into a first page."""
    if number % 3:
        return 0
    return 25 if number == 0 else 2 + number % 4


def deployments(github: "GitHub", number: int) -> Resolver:
    """Newest first, one a day. The oldest of them is to an environment that is gone."""
    return paged(range(count(number)), lambda index: _deployment(github, number, index))


def _deployment(github: "GitHub", number: int, index: int) -> dict:
    at = github.until - timedelta(days=1 + index)
    steps = ("SUCCESS", "IN_PROGRESS", "QUEUED")
    statuses = [
        {"state": state, "createdAt": time(at + timedelta(minutes=3 - place)), "creator": ACTIONS}
        for place, state in enumerate(steps)
    ]
    return {
        "databaseId": 70_000 + number * 100 + index,
        "environment": "canary" if index == count(number) - 1 else "production",
        "task": "deploy",
        "commitOid": digits(number * 1000 + index, kind=2),
        "createdAt": time(at),
        "state": "INACTIVE" if index else "ACTIVE",
        "ref": {"name": "main"},
        "creator": user(number % github.members),
        "statuses": None if (number, index) in github.statuses_hidden else whole(*statuses),
    }
