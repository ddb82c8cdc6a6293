"""Which authentication policy stands before which app."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Record, evidence
from collectors.errors import Invalid
from collectors.okta.access import AccessRule, access_rule
from collectors.okta.policies import READ, each_policy, head
from collectors.okta.targets import Tenant, id_of, part

_MAPPINGS = "GET /api/v1/policies/{policyId}/mappings"


class AppAuthenticationPolicy(Record):
    """An authentication policy, the apps that it stands before, and its rules. An app has one such policy."""

    id: str = Field(description="Okta's id of the policy.")
    name: str = Field(description="The policy's name.")
    status: str = Field(description="`ACTIVE` or `INACTIVE`.")
    system: bool | None = Field(
        description="Whether Okta made the policy; new apps get that one. Null where Okta does not say."
    )
    apps: tuple[str, ...] = Field(description="The ids of the apps under the policy, sorted; empty where it is unused.")
    rules: tuple[AccessRule, ...] = Field(description="The policy's rules, in Okta's order.")


@evidence(READ)
def policies(tenant: Tenant) -> Iterator[AppAuthenticationPolicy | Gap]:
    """Every authentication policy with its rules and the apps mapped to it. Only on Identity Engine."""

    def look(found: dict[str, Any], rules: list[dict[str, Any]]) -> AppAuthenticationPolicy:
        # Hundreds of apps may share a policy: should Okta page this list, the pages that follow are read too.
        mappings = tenant.pages(_MAPPINGS, {"policyId": id_of(found)}, permission=READ, identity_engine=True)
        return _policy(found, rules, apps=sorted(app for app in map(_app, mappings) if app is not None))

    yield from each_policy(tenant, "ACCESS_POLICY", look, identity_engine=True)


def _policy(found: dict[str, Any], rules: list[dict[str, Any]], *, apps: list[str]) -> AppAuthenticationPolicy:
    shared = {name: value for name, value in head(found).items() if name != "priority"}  # it is 1 for each of these
    return AppAuthenticationPolicy.model_validate(
        {**shared, "system": found.get("system"), "apps": apps, "rules": [access_rule(rule) for rule in rules]}
    )


def _app(mapping: dict[str, Any]) -> str | None:
    """The id of the app that is mapped, or None where something else is. Only the link to the app holds it."""
    link = part(mapping, "_links", "application").get("href")
    if link is None:
        return None
    if not isinstance(link, str) or not (name := link.rstrip("/").rpartition("/")[2]):
        raise Invalid("a mapping's link to its app has no id", operation=_MAPPINGS)
    return name
