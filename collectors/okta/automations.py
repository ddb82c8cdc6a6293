"""What an org does by itself with users who stay away."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from collectors.contract import Gap
from collectors.errors import Invalid
from collectors.okta.directory import members
from collectors.okta.policies import each_policy
from collectors.okta.targets import Tenant, id_of, part

_DAYS = frozenset({"DAY", "DAYS"})


@dataclass(frozen=True)
class Automation:
    """An active automation: after so many days without activity, these users get another status."""

    days: int
    action: str
    users: frozenset[str]


def on_inactivity(tenant: Tenant) -> Iterator[Automation | Gap]:
    """Every active automation that changes the status of inactive users. One that cannot be read is a gap.

    Okta keeps an automation as a policy that says when and for whom, with a rule that says what happens.
    """

    def look(policy: dict[str, Any], rules: list[dict[str, Any]]) -> tuple[dict[str, Any], str] | None:
        action = next(filter(None, map(_action, rules)), None)
        idle = part(policy, "conditions", "people", "users", "inactivity")
        if policy.get("status") != "ACTIVE" or action is None or not idle:
            return None
        if str(idle.get("unit")).upper() not in _DAYS or not isinstance(idle.get("number"), int):
            raise Invalid(f"its inactivity is not counted in days but in {idle.get('unit')}")
        return policy, action

    found: list[tuple[dict[str, Any], str]] = []
    for automation in each_policy(tenant, "USER_LIFECYCLE", look):
        if isinstance(automation, Gap):
            yield automation
        elif automation is not None:
            found.append(automation)
    yield from _with_users(tenant, found)


def _with_users(tenant: Tenant, found: list[tuple[dict[str, Any], str]]) -> Iterator[Automation | Gap]:
    """Reads each group once, however many automations are for it."""
    groups = {group: None for policy, _ in found for group in _groups(policy)}
    inside: dict[str, frozenset[str]] = {}

    def look(group: str) -> tuple[str, frozenset[str]]:
        return group, frozenset(id_of(user) for user in members(tenant, group))

    for seen in tenant.each(groups, look, resource=lambda group: f"group {group}"):
        if isinstance(seen, Gap):
            yield seen
        else:
            inside.update([seen])
    for policy, action in found:
        people = part(policy, "conditions", "people", "users")
        users = frozenset[str]().union(*(inside.get(group, frozenset()) for group in _groups(policy)))
        yield Automation(people["inactivity"]["number"], action, users - frozenset(people.get("exclude") or ()))


def _groups(policy: dict[str, Any]) -> list[str]:
    return part(policy, "conditions", "people", "groups").get("include") or []


def _action(rule: dict[str, Any]) -> str | None:
    """The status that an active rule gives to users, as in `SUSPENDED`."""
    status: str | None = part(rule, "actions", "updateUserLifecycle").get("targetStatus")
    return status if rule.get("status") == "ACTIVE" else None
