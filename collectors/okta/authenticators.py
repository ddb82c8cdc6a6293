"""What people can prove with who they are."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Record, evidence
from collectors.okta.targets import Tenant, id_of, part

_READ = "okta.authenticators.read"
_AUTHENTICATORS = "GET /api/v1/authenticators"
_METHODS = "GET /api/v1/authenticators/{authenticatorId}/methods"


class Method(Record):
    """One way of using an authenticator, as `push` and `totp` are of Okta Verify."""

    type: str = Field(description="The method in Okta's words, as in `push`, `webauthn` or `sms`.")
    status: str | None = Field(description="`ACTIVE` or `INACTIVE`; null where Okta does not say.")
    user_verification: str | None = Field(
        description="Whether a key asks for a PIN or biometrics, as in `REQUIRED`; null where there is no such setting."
    )
    attachment: str | None = Field(
        description="Which keys may be used, as in `ROAMING` or `ANY`; null where this method has no such setting."
    )
    key_protection: str | None = Field(
        description="Where the key must be kept: `HARDWARE` or `ANY`; null where this method has no such setting."
    )
    algorithms: tuple[str, ...] | None = Field(
        description="The algorithms that signatures may have; null where there is no such setting."
    )
    aaguid_groups: tuple[str, ...] | None = Field(
        description="Names of the groups that the org sorts security keys into; null where there is no such setting."
    )


class Authenticator(Record):
    """An authenticator of the org with its methods. Keys and secrets of its provider are left out."""

    id: str = Field(description="Okta's id of the authenticator.")
    key: str = Field(description="What it is, as in `okta_verify`, `webauthn` or `phone_number`.")
    name: str | None = Field(description="The name that people see; null where Okta has none.")
    type: str | None = Field(description="Its kind, as in `app`, `phone` or `security_key`; null where Okta has none.")
    status: str = Field(description="`ACTIVE` or `INACTIVE`.")
    created: str | None = Field(description="When it was set up, UTC; null where Okta does not say.")
    last_updated: str | None = Field(description="When it was last changed, UTC; null where Okta does not say.")
    allowed_for: str | None = Field(
        description="What it may be used for: `any`, `sso`, `recovery` or `none`; null where it has no such setting."
    )
    fips: str | None = Field(
        description="`REQUIRED` where only FIPS-compliant devices may enroll, else `OPTIONAL`; null if it has no such."
    )
    user_verification: str | None = Field(
        description="Whether a PIN or biometrics are asked for, as in `PREFERRED`; null where it has no such setting."
    )
    user_verification_methods: tuple[str, ...] | None = Field(
        description="What counts as user verification, as in `BIOMETRICS`; null where Okta does not say."
    )
    number_challenge: str | None = Field(
        description="When a push shows a number to choose, as in `ALWAYS`; null where it has no such setting."
    )
    token_lifetime_minutes: int | float | None = Field(
        description="The minutes for which a code that was sent is good; null where it has no such setting."
    )
    provider: str | None = Field(description="The kind of outside provider, as in `DUO`; null where there is none.")
    methods: tuple[Method, ...] = Field(description="Its methods, in Okta's order.")


@evidence(_READ)
def authenticators(tenant: Tenant) -> Iterator[Authenticator | Gap]:
    """Every authenticator of the org with its methods and how strict each is. Only on Identity Engine."""

    def look(found: dict[str, Any]) -> Authenticator:
        parameters = {"authenticatorId": id_of(found)}
        return _authenticator(found, tenant.listing(_METHODS, parameters, permission=_READ, identity_engine=True))

    all_of_them = tenant.pages(_AUTHENTICATORS, {}, permission=_READ, identity_engine=True)
    yield from tenant.each(all_of_them, look, resource=lambda found: f"authenticator {found.get('key')}")


def _authenticator(found: dict[str, Any], methods: list[dict[str, Any]]) -> Authenticator:
    settings = part(found, "settings")
    return Authenticator.model_validate(
        {
            **{name: found.get(name) for name in ("id", "key", "name", "type", "status", "created")},
            "last_updated": found.get("lastUpdated"),
            "allowed_for": settings.get("allowedFor"),
            "fips": part(settings, "compliance").get("fips"),
            "user_verification": settings.get("userVerification"),
            "user_verification_methods": settings.get("userVerificationMethods"),
            "number_challenge": part(settings, "channelBinding").get("required"),
            "token_lifetime_minutes": settings.get("tokenLifetimeInMinutes"),
            "provider": part(found, "provider").get("type"),
            "methods": [_method(method) for method in methods],
        }
    )


def _method(method: dict[str, Any]) -> dict[str, Any]:
    settings = part(method, "settings")
    groups = settings.get("aaguidGroups")
    return {
        "type": method.get("type"),
        "status": method.get("status"),
        "user_verification": settings.get("userVerification"),
        "attachment": settings.get("attachment"),
        "key_protection": settings.get("keyProtection"),
        "algorithms": settings.get("algorithms"),
        "aaguid_groups": None if groups is None else [group.get("name") for group in groups],
    }
