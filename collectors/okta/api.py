"""The tokens by which programs act on an org."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Record, evidence
from collectors.errors import NotFound
from collectors.okta import roles
from collectors.okta.targets import Tenant, part

_READ = "okta.apiTokens.read"
_TOKENS = "GET /api/v1/api-tokens"


class ApiToken(Record):
    """An active API token: what it may do is what its owner may. The token itself is never seen."""

    id: str = Field(description="Okta's id of the token; not the token.")
    name: str | None = Field(description="The name that was given to it; null where Okta has none.")
    client_name: str | None = Field(description="What it is for, as in `Okta API`; null where Okta says nothing.")
    owner: str | None = Field(description="The id of the user as whom it acts; null where Okta names none.")
    owner_roles: tuple[str, ...] | None = Field(
        description="The types of the owner's active admin roles, direct or through groups, sorted; null without owner."
    )
    super_admin_owner: bool | None = Field(description="Whether `SUPER_ADMIN` is one of them; null without an owner.")
    network: str | None = Field(
        description="From where it may be used: `ANYWHERE`, or `ZONE` for zones; null where Okta says nothing."
    )
    network_include: tuple[str, ...] | None = Field(
        description="The zones that it may be used from; null where unsaid."
    )
    network_exclude: tuple[str, ...] | None = Field(
        description="The zones that it may not be used from; null if unsaid."
    )
    created: str | None = Field(description="When it was made, UTC; null where Okta does not say.")
    last_updated: str | None = Field(description="When it last changed, UTC; null where Okta does not say.")
    expires_at: str | None = Field(description="When it ends if it is not used, UTC; null where Okta has no such time.")
    token_window: str | None = Field(
        description="How long it lasts without use, as an ISO 8601 duration; null where Okta has none."
    )


@evidence(_READ, roles.READ)
def tokens(tenant: Tenant) -> Iterator[ApiToken | Gap]:
    """Every active API token of the org, with the admin roles of its owner. Okta lists no revoked or expired ones."""

    def look(owned: tuple[str | None, list[dict[str, Any]]]) -> list[ApiToken | Gap]:
        owner, theirs = owned
        try:
            held = None if owner is None else _active(roles.of_user(tenant, owner))
        except NotFound as error:  # the tokens were there; they must not vanish with their owner
            return [error.gap(_resource(owned))]
        return [_token(token, held) for token in theirs]

    for found in tenant.each(_by_owner(tenant).items(), look, resource=_resource):
        if isinstance(found, Gap):
            yield found
        else:
            yield from found


def _by_owner(tenant: Tenant) -> dict[str | None, list[dict[str, Any]]]:
    """The tokens of each owner, so that whoever has several is asked for once."""
    owners: dict[str | None, list[dict[str, Any]]] = {}
    for token in tenant.pages(_TOKENS, {}, permission=_READ):
        owners.setdefault(token.get("userId"), []).append(token)
    return owners


def _active(held: list[dict[str, Any]]) -> list[str]:
    return sorted({str(role.get("type")) for role in held if role.get("status") == "ACTIVE"})


def _token(token: dict[str, Any], held: list[str] | None) -> ApiToken:
    network = part(token, "network")
    return ApiToken.model_validate(
        {
            "id": token.get("id"),
            "name": token.get("name"),
            "client_name": token.get("clientName"),
            "owner": token.get("userId"),
            "owner_roles": held,
            "super_admin_owner": None if held is None else "SUPER_ADMIN" in held,
            "network": network.get("connection"),
            "network_include": network.get("include"),
            "network_exclude": network.get("exclude"),
            "created": token.get("created"),
            "last_updated": token.get("lastUpdated"),
            "expires_at": token.get("expiresAt"),
            "token_window": token.get("tokenWindow"),
        }
    )


def _resource(owned: tuple[str | None, list[dict[str, Any]]]) -> str:
    owner, theirs = owned
    names = ", ".join(str(token.get("id")) for token in theirs)
    return f"API tokens {names} of user {owner}"
