"""What people must, may and may not enroll in."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Record, evidence
from collectors.okta.conditions import Rule, common
from collectors.okta.policies import READ, each_policy, head
from collectors.okta.targets import Tenant, part


class EnrollRule(Rule):
    """A rule of an enrollment policy: when people are asked to enroll."""

    enroll: str | None = Field(
        description="When to enroll: `CHALLENGE` (when it is needed), `LOGIN` or `NEVER`; null where Okta does not say."
    )


class Enrollment(Record):
    """Whether one authenticator, or one factor on Classic Engine, may be enrolled in."""

    key: str = Field(description="Okta's key of the authenticator or factor, as in `okta_verify` or `fido_webauthn`.")
    enroll: str | None = Field(description="`REQUIRED`, `OPTIONAL` or `NOT_ALLOWED`; null where Okta does not say.")
    grace_period: str | None = Field(
        description="Until when enrolling may be put off, as in `BY_DATE_TIME`; null where Okta has no such period."
    )
    grace_period_expiry: str | None = Field(description="When the grace period ends, UTC; null where no date is set.")
    aaguid_groups: tuple[str, ...] = Field(
        description="Names of the groups of security keys that alone may be enrolled; empty where all may be."
    )


class MfaEnrollPolicy(Record):
    """An enrollment policy: the authenticators that its groups must, may and may not enroll in, and its rules."""

    id: str = Field(description="Okta's id of the policy.")
    name: str = Field(description="The policy's name.")
    status: str = Field(description="`ACTIVE` or `INACTIVE`.")
    priority: int | None = Field(description="The policy's place: the first that fits a user holds; null for none.")
    system: bool | None = Field(description="Whether Okta made the policy, as the default one; null if not told.")
    groups: tuple[str, ...] = Field(description="The ids of the groups that the policy is for.")
    settings_type: str | None = Field(
        description="`AUTHENTICATORS` or `FACTORS`; null where Okta does not say, as on Classic Engine (factors)."
    )
    required: tuple[str, ...] = Field(description="The keys of what must be enrolled in, sorted; empty for nothing.")
    authenticators: tuple[Enrollment, ...] = Field(description="What the policy says of each authenticator or factor.")
    rules: tuple[EnrollRule, ...] = Field(description="The policy's rules, in Okta's order.")


@evidence(READ)
def policy(tenant: Tenant) -> Iterator[MfaEnrollPolicy | Gap]:
    """Every MFA enrollment policy of the org with its rules; on Classic Engine they speak of factors."""
    yield from each_policy(tenant, "MFA_ENROLL", _policy)


def _policy(found: dict[str, Any], rules: list[dict[str, Any]]) -> MfaEnrollPolicy:
    settings = part(found, "settings")
    authenticators = [_enrollment(setting) for setting in _authenticators(settings)]
    return MfaEnrollPolicy.model_validate(
        {
            **head(found),
            "system": found.get("system"),
            "groups": part(found, "conditions", "people", "groups").get("include") or (),
            "settings_type": settings.get("type"),
            "required": sorted(str(each["key"]) for each in authenticators if each["enroll"] == "REQUIRED"),
            "authenticators": authenticators,
            "rules": [{**common(rule), "enroll": part(rule, "actions", "enroll").get("self")} for rule in rules],
        }
    )


def _authenticators(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """What is set for each authenticator. Factors are told as an object, in no order, with the key as its name."""
    factors = part(settings, "factors")
    return [*(settings.get("authenticators") or ()), *({**part(factors, key), "key": key} for key in sorted(factors))]


def _enrollment(setting: dict[str, Any]) -> dict[str, Any]:
    grace = part(setting, "enroll", "gracePeriod")
    return {
        "key": setting.get("key"),
        "enroll": part(setting, "enroll").get("self"),
        "grace_period": grace.get("type"),
        "grace_period_expiry": grace.get("expiry"),
        "aaguid_groups": part(setting, "constraints").get("aaguidGroups") or (),
    }
