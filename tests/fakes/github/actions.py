"""GitHub Actions: what may run, on which machines, with which secrets, and what ran."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tests.fakes.github.answers import Listed, digits, time
from tests.fakes.github.people import account, user
from tests.fakes.github.routes import FIRST_REPOSITORY, route

if TYPE_CHECKING:
    from tests.fakes.github.server import GitHub

PERMISSIONS = "/actions/permissions"
SELECTED = {"github_owned_allowed": True, "verified_allowed": False, "patterns_allowed": ["docker/*"]}
WORKFLOW = {"default_workflow_permissions": "read", "can_approve_pull_request_reviews": False}


# ── What may run ───────────────────────────────────────────────────────────────────────────────────────────────────


@route(f"/orgs/acme{PERMISSIONS}", "organization_administration")
def permissions(_github: "GitHub", _query: dict) -> dict:
    return {"enabled_repositories": "all", "allowed_actions": "all", "sha_pinning_required": False}


@route(f"/orgs/acme{PERMISSIONS}/workflow", "organization_administration")
def workflow(_github: "GitHub", _query: dict) -> dict:
    return WORKFLOW


def policy(number: int) -> str | None:
    """Which actions may run in a repository; None where Actions are off."""
    return None if number % 7 == 6 else "selected" if number % 3 == 1 else "all"


@route(f"/{{repo}}{PERMISSIONS}", "administration")
def permissions_of_repository(_github: "GitHub", _query: dict, repo: int) -> dict:
    allowed = policy(repo)
    if allowed is None:
        return {"enabled": False}
    return {"enabled": True, "allowed_actions": allowed, "sha_pinning_required": False}


@route(f"/{{repo}}{PERMISSIONS}/selected-actions", "administration")
def selected(_github: "GitHub", _query: dict, repo: int) -> dict:
    return {**SELECTED, "verified_allowed": repo % 2 == 0}


@route(f"/{{repo}}{PERMISSIONS}/workflow", "administration")
def workflow_of_repository(_github: "GitHub", _query: dict, repo: int) -> dict:
    return {**WORKFLOW, "default_workflow_permissions": "write" if repo % 4 == 3 else "read"}


# ── On which machines ──────────────────────────────────────────────────────────────────────────────────────────────


@route("/orgs/acme/actions/runner-groups", "organization_self_hosted_runners")
def groups(_github: "GitHub", _query: dict) -> Listed:
    return Listed([_group(number) for number in (1, 4)], "runner_groups")


def _group(number: int) -> dict:
    return {
        "id": number,
        "name": "Default" if number == 1 else "release",
        "visibility": "all" if number == 1 else "selected",
        "default": number == 1,
        "inherited": False,
        "allows_public_repositories": number == 1,
        "restricted_to_workflows": number == 4,
        "selected_workflows": [],
    }


@route("/orgs/acme/actions/runner-groups/{group}/runners", "organization_self_hosted_runners")
def runners_of_group(_github: "GitHub", _query: dict, group: str) -> Listed:
    return Listed([_runner(int(group) * 10 + index) for index in range(3)], "runners")


def has_runner(number: int) -> bool:
    return number % 5 == 2


@route("/{repo}/actions/runners", "administration")
def runners_of_repository(_github: "GitHub", _query: dict, repo: int) -> Listed:
    return Listed([_runner(1000 + repo)] if has_runner(repo) else [], "runners")


def _runner(number: int) -> dict:
    return {
        "id": number,
        "name": f"build-{number}",
        "os": "linux",
        "status": "online" if number % 2 else "offline",
        "busy": False,
        "ephemeral": number % 3 == 0,
        "labels": [{"id": 5, "name": "self-hosted", "type": "read-only"}],
    }


# ── With which secrets ─────────────────────────────────────────────────────────────────────────────────────────────


@route("/orgs/acme/actions/secrets", "organization_secrets")
def secrets(github: "GitHub", _query: dict) -> Listed:
    return Listed([{**_secret(github, number), "visibility": "all"} for number in range(2)], "secrets")


@route("/{repo}/actions/secrets", "secrets")
def secrets_of_repository(github: "GitHub", _query: dict, repo: int) -> Listed:
    return Listed([_secret(github, 100 * repo + number) for number in range(repo % 3)], "secrets")


def _secret(github: "GitHub", number: int) -> dict:
    set_at = time(github.until - timedelta(days=number))
    return {"name": f"KEY_{number}", "created_at": "2021-08-10T14:59:22Z", "updated_at": set_at}


# ── What ran ───────────────────────────────────────────────────────────────────────────────────────────────────────


def runs(number: int) -> int:
    """How many runs a repository has; one has more than fit on a page."""
    return 120 if number == 2 else 1 + number % 5


@route("/{repo}/actions/runs", "actions")
def listed_runs(github: "GitHub", query: dict, repo: int) -> Listed:
    since, until = (datetime.fromisoformat(each).astimezone(UTC) for each in query["created"].split(".."))
    made = (github.until - timedelta(days=1, hours=index) for index in range(runs(repo)))
    found = [_run(repo, index, at) for index, at in enumerate(made) if since <= at <= until]
    return Listed(found[:1000], "workflow_runs")


def _run(number: int, index: int, at: datetime) -> dict:
    name = f"acme/service-{number:03d}"
    return {
        "id": 14_000_000 + number * 1000 + index,
        "name": "Build",
        "path": ".github/workflows/build.yml",
        "workflow_id": 159_000 + number,
        "run_number": runs(number) - index,
        "run_attempt": 1,
        "event": "push",
        "status": "completed",
        "conclusion": "failure" if index % 4 == 3 else "success",
        "head_branch": "main",
        "head_sha": digits(number * 1000 + index, kind=4),
        "head_repository": {"id": FIRST_REPOSITORY + number, "full_name": name},
        "actor": account(user(index % 7)),
        "triggering_actor": account(user(index % 7)),
        "html_url": f"https://github.com/{name}/actions/runs/{14_000_000 + number * 1000 + index}",
        "created_at": time(at),
        "run_started_at": time(at),
        "updated_at": time(at + timedelta(minutes=6)),
        "check_suite_id": 43_000_000 + index,
    }
