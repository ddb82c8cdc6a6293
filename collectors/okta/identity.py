"""Who else may say who someone is."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from collectors.contract import Gap, Record, evidence
from collectors.errors import Invalid
from collectors.okta.targets import Tenant, part

_READ = "okta.idps.read"
_PROVIDERS = "GET /api/v1/idps"


class IdentityProvider(Record):
    """An identity provider that the org trusts, and how far. Secrets, keys and addresses to call are left out."""

    id: str = Field(description="Okta's id of the provider.")
    name: str = Field(description="The provider's name.")
    type: str = Field(description="What it is, as in `SAML2`, `OIDC`, `GOOGLE` or `X509` (smart card).")
    status: str = Field(description="`ACTIVE` or `INACTIVE`.")
    created: str | None = Field(description="When it was set up, UTC; null where Okta does not say.")
    last_updated: str | None = Field(description="When it was last changed, UTC; null where Okta does not say.")
    protocol: str | None = Field(
        description="`SAML2`, `OIDC`, `OAUTH2`, `MTLS` or others; null where Okta does not say."
    )
    sign_in_host: str | None = Field(description="The host that people are sent to; null where there is none.")
    issuer: str | None = Field(
        description="Who must have issued what it says: an entity id, a URL, or a CA's name; null if not told."
    )
    audience: str | None = Field(description="For whom it must be issued; null where that is not checked.")
    trust_key_id: str | None = Field(
        description="Okta's id of the certificate, or of the CA chain of smart cards, that is trusted; null for none."
    )
    revocation: str | None = Field(
        description="How revoked certificates are found, as in `CRL` or `OCSP`; null where that is not told."
    )
    revocation_cache_minutes: int | None = Field(
        description="The minutes for which that list is kept, as Okta tells it; null where there is none."
    )
    additional_amr: tuple[str, ...] | None = Field(
        description="What a smart card counts as besides, as in `pin` or `mfa`; null where nothing is told."
    )
    request_signature: str | None = Field(description="The algorithm that Okta signs requests with; null if not told.")
    request_signature_scope: str | None = Field(
        description="`REQUEST` where requests are signed, else `NONE`; null where that is not told."
    )
    response_signature: str | None = Field(
        description="The weakest algorithm that signs responses well enough; null where that is not told."
    )
    response_signature_scope: str | None = Field(
        description="What must be signed: `RESPONSE`, `ASSERTION` or `ANY`; null where that is not told."
    )
    scopes: tuple[str, ...] | None = Field(
        description="The OAuth scopes that are asked for; null where the protocol has none."
    )
    pkce_required: bool | None = Field(description="Whether PKCE is used; null where Okta does not say.")
    account_link: str | None = Field(
        description="`AUTO` where its users are linked to existing Okta users, else `DISABLED`; null if not told."
    )
    account_link_groups: tuple[str, ...] = Field(
        description="Ids of the groups whose users alone may be linked; empty where all may be."
    )
    match_type: str | None = Field(
        description="What its users are matched with Okta users by, as in `USERNAME`; null where Okta does not say."
    )
    match_attribute: str | None = Field(description="The attribute of Okta users that is matched; null for none.")
    subject_filter: str | None = Field(
        description="The pattern that a user name from it must have; null where every name is taken."
    )
    provisioning: str | None = Field(
        description="`AUTO` where unknown users get an Okta account, else `DISABLED`; null where Okta does not say."
    )
    profile_master: bool | None = Field(description="Whether it is the source of the profile; null if not told.")
    deprovisioned_action: str | None = Field(
        description="What happens when a deprovisioned user comes back, as in `REACTIVATE`; null if not told."
    )
    suspended_action: str | None = Field(
        description="What happens when a suspended user comes back, as in `UNSUSPEND`; null if not told."
    )
    group_action: str | None = Field(
        description="How it changes group membership: `NONE`, `ASSIGN`, `APPEND` or `SYNC`; null if not told."
    )
    group_assignments: tuple[str, ...] = Field(description="Ids of the groups that its users are put into.")
    group_filter: tuple[str, ...] = Field(
        description="Ids of the groups that it alone may change with `APPEND` or `SYNC`; empty where none are named."
    )
    max_clock_skew: int | None = Field(description="The milliseconds that clocks may differ; null if not told.")


@evidence(_READ)
def providers(tenant: Tenant) -> Iterator[IdentityProvider | Gap]:
    """Every identity provider of the org: its kind, what is trusted of it, and which accounts it may make and link."""
    listed = tenant.pages(_PROVIDERS, {}, permission=_READ)
    yield from tenant.each(listed, _provider, resource=lambda found: f"identity provider {found.get('name')}")


def _provider(found: dict[str, Any]) -> IdentityProvider:
    return IdentityProvider.model_validate({**_head(found), **_trust(found), **_policy(part(found, "policy"))})


def _head(found: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: found.get(name) for name in ("id", "name", "type", "status", "created")},
        "last_updated": found.get("lastUpdated"),
        "additional_amr": part(found, "properties").get("additionalAmr"),
    }


def _trust(found: dict[str, Any]) -> dict[str, Any]:
    """What its word is checked by. Fields are named one by one: secrets and keys stand among them."""
    protocol = part(found, "protocol")
    trust = part(protocol, "credentials", "trust")
    request, response = (part(protocol, "algorithms", side, "signature") for side in ("request", "response"))
    return {
        "protocol": protocol.get("type"),
        "sign_in_host": _host(part(protocol, "endpoints")),
        "issuer": trust.get("issuer") or part(protocol, "issuer").get("url"),
        "audience": trust.get("audience"),
        "trust_key_id": trust.get("kid"),
        "revocation": trust.get("revocation"),
        "revocation_cache_minutes": trust.get("revocationCacheLifetime"),
        "request_signature": request.get("algorithm"),
        "request_signature_scope": request.get("scope"),
        "response_signature": response.get("algorithm"),
        "response_signature_scope": response.get("scope"),
        "scopes": protocol.get("scopes"),
        "pkce_required": part(protocol, "credentials", "client").get("pkce_required"),
    }


def _host(endpoints: dict[str, Any]) -> str | None:
    """SAML and smart cards call it `sso`, OAuth `authorization`. Of the URL, which may hold secrets, only the host."""
    url = part(endpoints, "sso").get("url") or part(endpoints, "authorization").get("url")
    try:
        return urlsplit(url).hostname if isinstance(url, str) else None
    except ValueError as error:
        raise Invalid("the URL that it signs in at cannot be read", operation=_PROVIDERS) from error


def _policy(policy: dict[str, Any]) -> dict[str, Any]:
    """Whom it may bring."""
    link, subject, provisioning = (part(policy, name) for name in ("accountLink", "subject", "provisioning"))
    conditions, groups = part(provisioning, "conditions"), part(provisioning, "groups")
    return {
        "account_link": link.get("action"),
        "account_link_groups": part(link, "filter", "groups").get("include") or (),
        "match_type": subject.get("matchType"),
        "match_attribute": subject.get("matchAttribute"),
        "subject_filter": subject.get("filter"),
        "provisioning": provisioning.get("action"),
        "profile_master": provisioning.get("profileMaster"),
        "deprovisioned_action": part(conditions, "deprovisioned").get("action"),
        "suspended_action": part(conditions, "suspended").get("action"),
        "group_action": groups.get("action"),
        "group_assignments": groups.get("assignments") or (),
        "group_filter": groups.get("filter") or (),
        "max_clock_skew": policy.get("maxClockSkew"),
    }
