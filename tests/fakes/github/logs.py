"""What the organization keeps of what was done: its audit log, and pushes that went past rules."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tests.fakes.github.answers import Listed, digits, time
from tests.fakes.github.people import user
from tests.fakes.github.routes import FIRST_REPOSITORY, route
from tests.fakes.github.tokens import PLANTED

if TYPE_CHECKING:
    from tests.fakes.github.server import GitHub

EVENTS = 130  # over more than a page
SUITES = 6
REACHES = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=31)}


def happened_at(github: "GitHub", index: int) -> datetime:
    """When an entry of the log was made: one every four hours, the newest a day before the end."""
    return github.until - timedelta(days=1, hours=4 * index, milliseconds=-7)


@route("/orgs/acme/audit-log", "organization_administration", cursor=True)
def audit(github: "GitHub", query: dict) -> Listed:
    since, until = re.search(r"created:(\S+)\.\.(\S+)", query["phrase"]).groups()
    first, last = (datetime.fromisoformat(each).astimezone(UTC) for each in (since, until))
    found = [index for index in range(EVENTS) if first <= happened_at(github, index) < last + timedelta(seconds=1)]
    return Listed([_event(github, index) for index in reversed(found)])


def _event(github: "GitHub", index: int) -> dict:
    at = int(happened_at(github, index).timestamp() * 1000)
    hook = {"action": "hook.create", "config": {"url": f"https://x:{PLANTED}@hooks.acme.example", "secret": PLANTED}}
    member = {"action": "org.update_member", "user": user(5)["login"], "old_permission": "read", "permission": "admin"}
    return {
        "_document_id": f"doc-{index:06d}",
        "@timestamp": at,
        "created_at": at,
        "actor": user(index % github.members)["login"],
        "actor_id": 4000 + index % github.members,
        "actor_is_bot": False,
        "actor_location": {"country_code": "DE"},
        "hashed_token": PLANTED,
        "operation_type": "modify",
        "org": "acme",
        "org_id": 1,
        **(hook if index % 2 else member),
        **({"repo": f"acme/service-{index % github.repositories:03d}"} if index % 2 else {}),
    }


def pushed_at(github: "GitHub", index: int) -> datetime:
    return github.until - timedelta(days=1 + 2 * index)


@route("/orgs/acme/rulesets/rule-suites", "organization_administration")
def suites(github: "GitHub", query: dict) -> Listed:
    reach = REACHES[query["time_period"]]
    return Listed([_suite(github, index) for index in range(SUITES) if pushed_at(github, index) > github.until - reach])


def _suite(github: "GitHub", index: int) -> dict:
    number = index % github.repositories
    return {
        "id": 2_400_000 + index,
        "actor_id": 4000,
        "actor_name": user(0)["login"],
        "before_sha": digits(index, kind=5),
        "after_sha": digits(index + 1, kind=5),
        "ref": "refs/heads/main",
        "repository_id": FIRST_REPOSITORY + number,
        "repository_name": f"service-{number:03d}",
        "pushed_at": time(pushed_at(github, index)),
        "result": "bypass",
    }
