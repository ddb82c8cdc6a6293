"""What an org demands of passwords."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Record, evidence
from collectors.okta.policies import READ, each_policy, head
from collectors.okta.targets import Tenant, part


class Rule(Record):
    """A rule of a password policy: from where users may do what by themselves."""

    id: str = Field(description="Okta's id of the rule.")
    name: str = Field(description="The rule's name.")
    status: str = Field(description="`ACTIVE` or `INACTIVE`.")
    priority: int | None = Field(description="The rule's place: the first that matches holds.")
    network: str | None = Field(description="Where the rule holds, as in `ANYWHERE`, `ZONE` or `ON_NETWORK`.")
    password_change: str | None = Field(description="`ALLOW` or `DENY`: changing the own password.")
    password_reset: str | None = Field(description="`ALLOW` or `DENY`: resetting the own password.")
    unlock: str | None = Field(description="`ALLOW` or `DENY`: unlocking the own account.")


class PasswordPolicy(Record):
    """A password policy with its rules. Null stands where Okta says nothing; 0 is what Okta itself says."""

    id: str = Field(description="Okta's id of the policy.")
    name: str = Field(description="The policy's name.")
    status: str = Field(description="`ACTIVE` or `INACTIVE`.")
    priority: int | None = Field(description="The policy's place: the first that fits a user holds.")
    groups: tuple[str, ...] = Field(description="The ids of the groups that the policy is for.")
    min_length: int | None = Field(description="The least number of characters.")
    min_lower_case: int | None = Field(description="The least number of lower-case letters.")
    min_upper_case: int | None = Field(description="The least number of upper-case letters.")
    min_number: int | None = Field(description="The least number of digits.")
    min_symbol: int | None = Field(description="The least number of symbols.")
    exclude_username: bool | None = Field(description="Whether the password may not contain the user name.")
    exclude_attributes: tuple[str, ...] = Field(description="Profile attributes that it may not contain.")
    exclude_common_passwords: bool | None = Field(description="Whether common passwords are refused.")
    history_count: int | None = Field(description="How many earlier passwords may not be used again.")
    max_age_days: int | None = Field(description="The days after which a password expires; 0 for never.")
    min_age_minutes: int | None = Field(description="The minutes before a password may be changed again; 0 for none.")
    lockout_max_attempts: int | None = Field(description="Failed attempts that lock the account; 0 for no lockout.")
    lockout_auto_unlock_minutes: int | None = Field(description="The minutes a lockout lasts; 0 until it is lifted.")
    rules: tuple[Rule, ...] = Field(description="The policy's rules, in Okta's order.")
    settings: dict[str, Any] = Field(description="Okta's `settings.password` as it came, with what has no field here.")


@evidence(READ)
def policy(tenant: Tenant) -> Iterator[PasswordPolicy | Gap]:
    """Every password policy of the org with its rules; the groups that each is for stand in it."""
    yield from each_policy(tenant, "PASSWORD", _policy)


def _policy(found: dict[str, Any], rules: list[dict[str, Any]]) -> PasswordPolicy:
    password = part(found, "settings", "password")
    complexity, age, lockout = (part(password, name) for name in ("complexity", "age", "lockout"))
    return PasswordPolicy.model_validate(
        {
            **head(found),
            "groups": part(found, "conditions", "people", "groups").get("include") or (),
            "min_length": complexity.get("minLength"),
            "min_lower_case": complexity.get("minLowerCase"),
            "min_upper_case": complexity.get("minUpperCase"),
            "min_number": complexity.get("minNumber"),
            "min_symbol": complexity.get("minSymbol"),
            "exclude_username": complexity.get("excludeUsername"),
            "exclude_attributes": complexity.get("excludeAttributes") or (),
            "exclude_common_passwords": part(complexity, "dictionary", "common").get("exclude"),
            "history_count": age.get("historyCount"),
            "max_age_days": age.get("maxAgeDays"),
            "min_age_minutes": age.get("minAgeMinutes"),
            "lockout_max_attempts": lockout.get("maxAttempts"),
            "lockout_auto_unlock_minutes": lockout.get("autoUnlockMinutes"),
            "rules": [_rule(rule) for rule in rules],
            "settings": password,
        }
    )


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    return {
        **head(rule),
        "network": part(rule, "conditions", "network").get("connection"),
        "password_change": part(rule, "actions", "passwordChange").get("access"),
        "password_reset": part(rule, "actions", "selfServicePasswordReset").get("access"),
        "unlock": part(rule, "actions", "selfServiceUnlock").get("access"),
    }
