"""Whom and where a policy's rule is for, as far as rules of all kinds say it alike."""

from typing import Any

from pydantic import Field

from collectors.contract import Record
from collectors.okta.policies import head
from collectors.okta.targets import part


class Rule(Record):
    """What rules of all kinds have in common. Of a policy's active rules, the first that fits holds."""

    id: str = Field(description="Okta's id of the rule.")
    name: str = Field(description="The rule's name.")
    status: str = Field(description="`ACTIVE` or `INACTIVE`.")
    priority: int | None = Field(description="The rule's place among the policy's rules; null where Okta has none.")
    system: bool | None = Field(
        description="Whether Okta made the rule, as it does the catch-all; null where Okta does not say."
    )
    groups: tuple[str, ...] = Field(description="Ids of the groups that the rule is limited to; empty for no limit.")
    excluded_groups: tuple[str, ...] = Field(description="Ids of the groups that the rule leaves out.")
    users: tuple[str, ...] = Field(description="Ids of the users that the rule is limited to; empty for no limit.")
    excluded_users: tuple[str, ...] = Field(description="Ids of the users that the rule leaves out.")
    network: str | None = Field(
        description="Where the rule holds, as in `ANYWHERE` or `ZONE`; null where Okta does not say."
    )
    zones: tuple[str, ...] = Field(description="Ids of the network zones that the rule holds in.")
    excluded_zones: tuple[str, ...] = Field(description="Ids of the network zones that the rule does not hold in.")
    conditions: tuple[str, ...] = Field(
        description="The kinds of conditions that the rule has, in Okta's words; empty for none."
    )


def common(rule: dict[str, Any]) -> dict[str, Any]:
    """The fields of `Rule`."""
    conditions = part(rule, "conditions")
    groups, users = (part(conditions, "people", who) for who in ("groups", "users"))
    network = part(conditions, "network")
    return {
        **head(rule),
        "system": rule.get("system"),
        "groups": groups.get("include") or (),
        "excluded_groups": groups.get("exclude") or (),
        "users": users.get("include") or (),
        "excluded_users": users.get("exclude") or (),
        "network": network.get("connection"),
        "zones": network.get("include") or (),
        "excluded_zones": network.get("exclude") or (),
        "conditions": sorted(name for name, condition in conditions.items() if condition is not None),
    }
