"""The groups of an org, and who is in them by what rule."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Record, evidence
from collectors.errors import CollectionError
from collectors.okta import directory
from collectors.okta.directory import is_admin, linked, members
from collectors.okta.targets import Tenant, id_of, part

_RULES = "GET /api/v1/groups/rules"


class Rule(Record):
    """A rule that puts users into the group by itself."""

    id: str = Field(description="Okta's id of the rule.")
    name: str | None = Field(description="The rule's name; null where it has none.")
    status: str | None = Field(description="`ACTIVE`, `INACTIVE` or `INVALID`; null where Okta says nothing.")
    expression: str | None = Field(description="Whom it puts in, in Okta's expression language; null where unsaid.")
    excluded_users: tuple[str, ...] | None = Field(
        description="The ids of the users that it passes over; null if unsaid."
    )


class Membership(Record):
    """A group with the users in it, and the rules that put users into it."""

    id: str = Field(description="Okta's id of the group.")
    name: str | None = Field(description="The group's name; null where it has none.")
    type: str | None = Field(
        description="`OKTA_GROUP`, `APP_GROUP` where an app or directory fills it, or `BUILT_IN`; null where unsaid."
    )
    source: str | None = Field(description="The id of the app that fills the group; null where none does.")
    members: tuple[str, ...] = Field(description="The ids of the users in the group, in Okta's order.")
    rules: tuple[Rule, ...] | None = Field(
        description="The rules that put users into the group; null where the rules could not be read, as a gap says."
    )
    has_admin_privilege: bool | None = Field(
        description="Whether the group itself has an admin role; null where Okta does not say."
    )
    apps_count: int | None = Field(description="How many apps the group gives; null where Okta does not say.")
    created: str | None = Field(description="When the group was created, UTC; null where Okta does not say.")
    last_membership_updated: str | None = Field(
        description="When its members last changed, UTC; null where Okta does not say."
    )


@evidence(directory.READ)
def membership(tenant: Tenant) -> Iterator[Membership | Gap]:
    """Every group of the org, its members, and its rules. A group that cannot be read to its last member is a gap."""
    rules: dict[str, list[Rule]] | None = None
    try:
        rules = _rules(tenant)
    except CollectionError as error:
        yield error.gap("group rules")

    def look(group: dict[str, Any]) -> Membership:
        name = id_of(group)
        users = [id_of(user) for user in members(tenant, name)]
        return _membership(group, users, None if rules is None else rules.get(name, []))

    yield from tenant.each(directory.groups(tenant), look, resource=lambda group: f"group {group.get('id')}")


def _rules(tenant: Tenant) -> dict[str, list[Rule]]:
    """The rules of each group. A rule may fill several."""
    found: dict[str, list[Rule]] = {}
    for rule in tenant.pages(_RULES, {"limit": "200"}, permission=directory.READ):
        for group in part(rule, "actions", "assignUserToGroups").get("groupIds") or ():
            found.setdefault(group, []).append(_rule(rule))
    return found


def _rule(rule: dict[str, Any]) -> Rule:
    conditions = part(rule, "conditions")
    return Rule.model_validate(
        {
            "id": rule.get("id"),
            "name": rule.get("name"),
            "status": rule.get("status"),
            "expression": part(conditions, "expression").get("value"),
            "excluded_users": part(conditions, "people", "users").get("exclude"),
        }
    )


def _membership(group: dict[str, Any], users: list[str], rules: list[Rule] | None) -> Membership:
    return Membership.model_validate(
        {
            "id": group.get("id"),
            "name": part(group, "profile").get("name"),
            "type": group.get("type"),
            "source": linked(group, "source", "apps"),
            "members": users,
            "rules": rules,
            "has_admin_privilege": is_admin(group),
            "apps_count": part(group, "_embedded", "stats").get("appsCount"),
            "created": group.get("created"),
            "last_membership_updated": group.get("lastMembershipUpdated"),
        }
    )
