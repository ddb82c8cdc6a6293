"""What a rule of an authentication policy demands of those who sign in to an app."""

from typing import Any

from pydantic import Field

from collectors.okta.conditions import Rule, common
from collectors.okta.targets import part

_ASSURANCE = "ASSURANCE"


class AccessRule(Rule):
    """A rule of an authentication policy: who gets in, and with how much."""

    access: str | None = Field(description="`ALLOW` or `DENY`; null where Okta does not say.")
    verification_type: str | None = Field(
        description="How it is verified: `ASSURANCE`, `AUTH_METHOD_CHAIN` or others; null where Okta does not say."
    )
    factor_mode: str | None = Field(description="`1FA` or `2FA`; null where verification is not by assurance.")
    phishing_resistant: bool | None = Field(
        description="Whether each alternative in `constraints` says `phishingResistant: REQUIRED`;"
        " null where verification is not by assurance."
    )
    reauthenticate_in: str | None = Field(
        description="ISO 8601 duration after which one must authenticate again, `PT0S` for each time;"
        " null where Okta does not say."
    )
    inactivity_period: str | None = Field(
        description="ISO 8601 duration of inactivity after which one must; null where Okta does not say."
    )
    keep_me_signed_in: str | None = Field(
        description="Whether people may stay signed in, as in `NOT_ALLOWED`; null where Okta does not say."
    )
    device_registered: bool | None = Field(
        description="Whether the rule is for registered devices; null where it is not limited so."
    )
    device_managed: bool | None = Field(
        description="Whether the rule is for managed devices; null where it is not limited so."
    )
    constraints: tuple[dict[str, Any], ...] = Field(
        description="What authenticators must be like, as it came: one of these must be met; empty for any."
    )
    chains: tuple[dict[str, Any], ...] = Field(
        description="The orders of authentication methods, as they came: one must be gone through; empty for none."
    )


def access_rule(rule: dict[str, Any]) -> dict[str, Any]:
    """The fields of `AccessRule`."""
    sign_on = part(rule, "actions", "appSignOn")
    method = part(sign_on, "verificationMethod")
    device = part(rule, "conditions", "device")
    return {
        **common(rule),
        "access": sign_on.get("access"),
        "verification_type": method.get("type"),
        "factor_mode": method.get("factorMode"),
        "phishing_resistant": _phishing_resistant(method),
        "reauthenticate_in": method.get("reauthenticateIn"),
        "inactivity_period": method.get("inactivityPeriod"),
        "keep_me_signed_in": part(sign_on, "keepMeSignedIn").get("postAuth"),
        "device_registered": device.get("registered"),
        "device_managed": device.get("managed"),
        "constraints": method.get("constraints") or (),
        "chains": method.get("chains") or (),
    }


def _phishing_resistant(method: dict[str, Any]) -> bool | None:
    """One alternative without it is a way around it; with no constraints at all, every authenticator will do."""
    if method.get("type") != _ASSURANCE:
        return None
    demands = [
        part(constraint, "possession").get("phishingResistant") == "REQUIRED"
        for constraint in method.get("constraints") or ()
    ]
    return bool(demands) and all(demands)
