"""How people sign in to the org itself, and how long their sessions last."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Record, evidence
from collectors.okta.conditions import Rule, common
from collectors.okta.policies import READ, each_policy, head
from collectors.okta.targets import Tenant, part


class SessionRule(Rule):
    """A rule of a global session policy: who may sign in, with how much, and for how long."""

    auth_type: str | None = Field(
        description="The kind of sign-in that the rule is for, as in `ANY` or `RADIUS`; null where Okta does not say."
    )
    access: str | None = Field(
        description="`ALLOW` or `DENY`, whether a session is given; null where Okta says nothing."
    )
    primary_factor: str | None = Field(
        description="What a session begins with, as in `PASSWORD_IDP`; null where Okta does not say."
    )
    require_factor: bool | None = Field(
        description="Whether a second factor is required; null where Okta does not say."
    )
    factor_prompt_mode: str | None = Field(
        description="When the factor is asked for: `ALWAYS`, `SESSION` or `DEVICE`; null where none is required."
    )
    factor_lifetime: int | None = Field(
        description="The minutes before the factor is asked for again; null where Okta does not say."
    )
    remember_device_by_default: bool | None = Field(
        description="Whether Okta remembers the device unasked; null where Okta does not say."
    )
    max_session_idle_minutes: int | None = Field(
        description="The minutes after which an idle session ends; null where Okta does not say."
    )
    max_session_lifetime_minutes: int | None = Field(
        description="The minutes after which each session ends; 0 for no limit, null where Okta does not say."
    )
    use_persistent_cookie: bool | None = Field(
        description="Whether a session outlives the closed browser; null where Okta does not say."
    )


class GlobalSessionPolicy(Record):
    """A global session policy with its rules; on Classic Engine it is called Okta sign-on policy."""

    id: str = Field(description="Okta's id of the policy.")
    name: str = Field(description="The policy's name.")
    status: str = Field(description="`ACTIVE` or `INACTIVE`.")
    priority: int | None = Field(description="The policy's place: the first that fits a user holds; null for none.")
    system: bool | None = Field(description="Whether Okta made the policy, as the default one; null if not told.")
    groups: tuple[str, ...] = Field(description="The ids of the groups that the policy is for.")
    rules: tuple[SessionRule, ...] = Field(description="The policy's rules, in Okta's order.")


@evidence(READ)
def policy(tenant: Tenant) -> Iterator[GlobalSessionPolicy | Gap]:
    """Every global session policy of the org with its rules: session lengths, cookies, and whether MFA is required."""
    yield from each_policy(tenant, "OKTA_SIGN_ON", _policy)


def _policy(found: dict[str, Any], rules: list[dict[str, Any]]) -> GlobalSessionPolicy:
    return GlobalSessionPolicy.model_validate(
        {
            **head(found),
            "system": found.get("system"),
            "groups": part(found, "conditions", "people", "groups").get("include") or (),
            "rules": [_rule(rule) for rule in rules],
        }
    )


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    sign_on = part(rule, "actions", "signon")
    session = part(sign_on, "session")
    return {
        **common(rule),
        "auth_type": part(rule, "conditions", "authContext").get("authType"),
        "access": sign_on.get("access"),
        "primary_factor": sign_on.get("primaryFactor"),
        "require_factor": sign_on.get("requireFactor"),
        "factor_prompt_mode": sign_on.get("factorPromptMode"),
        "factor_lifetime": sign_on.get("factorLifetime"),
        "remember_device_by_default": sign_on.get("rememberDeviceByDefault"),
        "max_session_idle_minutes": session.get("maxSessionIdleMinutes"),
        "max_session_lifetime_minutes": session.get("maxSessionLifetimeMinutes"),
        "use_persistent_cookie": session.get("usePersistentCookie"),
    }
