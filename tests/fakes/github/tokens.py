"""What reaches repositories without a person: deploy keys, Apps, tokens; and webhooks, which are told of them."""

from datetime import timedelta
from typing import TYPE_CHECKING

from tests.fakes.github.answers import Listed, time
from tests.fakes.github.people import account, user
from tests.fakes.github.routes import route

if TYPE_CHECKING:
    from tests.fakes.github.server import GitHub

PLANTED = "planted-s3cr3t-5f0b6c1e8a3d"  # in all that GitHub could give away: it must never be in a payload
TOKENS = 3
HOOKS = 2  # of the organization


def deploy_keys(github: "GitHub", number: int) -> list[dict]:
    """Every fourth repository has keys: one that writes, and in half of these one that reads."""
    return [_key(github, number, index) for index in range(1 + (number % 8 == 5))] if number % 4 == 1 else []


def _key(github: "GitHub", number: int, index: int) -> dict:
    return {
        "id": 71_000 + number * 10 + index,
        "key": f"ssh-ed25519 {PLANTED}",
        "title": ("jenkins", "mirror")[index],
        "verified": True,
        "created_at": "2025-01-20T13:00:00Z",
        "read_only": index == 1,
        "added_by": user(number % github.members)["login"],
        "last_used": time(github.until - timedelta(days=number)) if index == 0 else None,
        "enabled": True,
    }


@route("/{repo}/keys", "administration")
def listed_keys(github: "GitHub", _query: dict, repo: int) -> Listed:
    return Listed(deploy_keys(github, repo))


@route("/orgs/acme/installations", "organization_administration")
def installations(_github: "GitHub", _query: dict) -> Listed:
    return Listed([_installation(number) for number in range(2)], "installations")


def _installation(number: int) -> dict:
    return {
        "id": 34 + number,
        "app_id": 12 + number,
        "app_slug": ("acme-evidence", "old-ci")[number],
        "repository_selection": ("all", "selected")[number],
        "permissions": {"metadata": "read", "contents": ("read", "write")[number]},
        "events": ["push"] if number else [],
        "created_at": "2025-05-16T08:47:09.000-07:00",
        "suspended_at": "2026-01-02T08:00:00Z" if number else None,
        "suspended_by": account(user(0)) if number else None,
    }


@route("/orgs/acme/personal-access-tokens", "organization_personal_access_tokens")
def tokens(github: "GitHub", _query: dict) -> Listed:
    return Listed([_token(github, number) for number in range(TOKENS)])


def _token(github: "GitHub", number: int) -> dict:
    return {
        "id": 25_500 + number,
        "owner": account(user(number % github.members)),
        "repository_selection": "subset",
        "permissions": {"organization": {"members": "read"}, "repository": {"contents": "write"}},
        "access_granted_at": "2026-02-16T08:47:09.000-07:00",
        "token_id": 95_500 + number,
        "token_name": f"laptop {number}",
        "token_expired": number == 2,
        "token_expires_at": None if number == 1 else "2026-05-16T08:47:09.000-07:00",
        "token_last_used_at": None,
    }


@route("/orgs/acme/hooks", "organization_hooks")
def hooks(_github: "GitHub", _query: dict) -> Listed:
    return Listed([_hook(1_100 + number) for number in range(HOOKS)])


@route("/{repo}/hooks", "repository_hooks")
def hooks_of_repository(_github: "GitHub", _query: dict, repo: int) -> Listed:
    last = {"code": 200 if repo % 4 else None, "status": "active", "message": PLANTED}
    return Listed([{**_hook(8_000 + repo), "last_response": last}] if repo % 2 == 0 else [])


def _hook(number: int) -> dict:
    return {
        "id": number,
        "name": "web",
        "active": number % 3 != 0,
        "events": ["push"],
        "config": {
            "url": f"https://ci:{PLANTED}@hooks.acme.example/{PLANTED}?token={PLANTED}",
            "content_type": "json",
            "insecure_ssl": str(number % 2),
            "secret": PLANTED,
        },
        "created_at": "2023-04-01T08:00:00Z",
        "updated_at": "2026-01-12T10:00:00Z",
    }
