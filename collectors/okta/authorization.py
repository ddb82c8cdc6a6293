"""Who may get tokens for an org's APIs and for one's own: authorization servers, trusted origins, and apps' grants."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Record, evidence
from collectors.okta.parts import in_turn
from collectors.okta.policies import head
from collectors.okta.targets import Tenant, id_of, part

_READ_SERVERS = "okta.authorizationServers.read"
_SERVERS = "GET /api/v1/authorizationServers"
_SCOPES = "GET /api/v1/authorizationServers/{authServerId}/scopes"
_POLICIES = "GET /api/v1/authorizationServers/{authServerId}/policies"
_RULES = "GET /api/v1/authorizationServers/{authServerId}/policies/{policyId}/rules"
_ORIGINS, _READ_ORIGINS = "GET /api/v1/trustedOrigins", "okta.trustedOrigins.read"
_APPS, _READ_APPS = "GET /api/v1/apps", "okta.apps.read"
_GRANTS, _READ_GRANTS = "GET /api/v1/apps/{appId}/grants", "okta.appGrants.read"
_WITH_GRANTS = "OPENID_CONNECT"  # the sign-on mode of the only apps that scopes of Okta's API are granted to


class Scope(Record):
    """A scope that an authorization server gives out."""

    name: str = Field(description="The scope's name.")
    system: bool | None = Field(description="Whether Okta made it, as `openid`; null where Okta does not say.")
    default: bool | None = Field(description="Whether it is given to who asks for no scope; null where not said.")
    consent: str | None = Field(
        description="Whether users are asked, as in `IMPLICIT` (they are not) or `REQUIRED`; null where not said."
    )


class TokenRule(Record):
    """A rule of an authorization server: who gets which tokens, and for how long."""

    id: str = Field(description="Okta's id of the rule.")
    name: str = Field(description="The rule's name.")
    status: str = Field(description="`ACTIVE` or `INACTIVE`.")
    priority: int | None = Field(description="The rule's place: the first that matches holds.")
    grant_types: tuple[str, ...] = Field(description="The ways to get a token that it is for.")
    scopes: tuple[str, ...] = Field(description="The scopes that it is for; `*` for all.")
    groups: tuple[str, ...] = Field(description="The ids of the groups that it is for; `EVERYONE` for all.")
    users: tuple[str, ...] = Field(description="The ids of the users that it is for.")
    access_token_lifetime_minutes: int | None = Field(description="How long an access token lives.")
    refresh_token_lifetime_minutes: int | None = Field(description="How long a refresh token lives; 0 for ever.")
    refresh_token_window_minutes: int | None = Field(
        description="How long a refresh token may go unused; null where there is no limit."
    )
    inline_hook: str | None = Field(description="The id of the hook that may change the tokens; null for none.")


class TokenPolicy(Record):
    """A policy of an authorization server, with its rules."""

    id: str = Field(description="Okta's id of the policy.")
    name: str = Field(description="The policy's name.")
    status: str = Field(description="`ACTIVE` or `INACTIVE`.")
    priority: int | None = Field(description="The policy's place: the first that fits a client holds.")
    clients: tuple[str, ...] = Field(description="The ids of the clients that it is for; `ALL_CLIENTS` for all.")
    rules: tuple[TokenRule, ...] = Field(description="The policy's rules, in Okta's order.")


class AuthorizationServer(Record):
    """A custom authorization server."""

    issuer: str | None = Field(description="The issuer that stands in its tokens.")
    audiences: tuple[str, ...] = Field(description="The audiences of its tokens.")
    rotation_mode: str | None = Field(description="How its signing keys change: `AUTO` or `MANUAL`; null if not said.")
    last_rotated: str | None = Field(description="When its signing key last changed, UTC; null where not said.")
    scopes: tuple[Scope, ...] = Field(description="The scopes that it gives out.")
    policies: tuple[TokenPolicy, ...] = Field(description="Its policies, in Okta's order.")


class TrustedOrigin(Record):
    """A web origin whose pages may call Okta, be redirected to, or show Okta in a frame."""

    origin: str = Field(description="The origin, as in `https://app.example.com`.")
    scopes: tuple[str, ...] = Field(description="What it may do, as in `CORS`, `REDIRECT` or `IFRAME_EMBED`.")


class Grant(Record):
    """A scope of Okta's own API that an administrator granted to an app."""

    scope: str = Field(description="The scope, as in `okta.users.read`.")
    issuer: str | None = Field(description="The org authorization server that gives it out.")
    status: str | None = Field(description="`ACTIVE` or `REVOKED`; null where Okta does not say.")
    source: str | None = Field(description="Who granted it: `ADMIN` or `END_USER`; null where Okta does not say.")
    created: str | None = Field(description="When it was granted, UTC; null where Okta does not say.")


class App(Record):
    """An OpenID Connect app, and what it may do with Okta's own API."""

    application_type: str | None = Field(description="As in `web`, `native`, `browser` or `service`; null if not said.")
    grants: tuple[Grant, ...] = Field(description="The scopes granted to it; empty for none.")


class ApiAccess(Record):
    """One thing that opens an API: an authorization server, a trusted origin, or an app with its grants."""

    kind: str = Field(description="`authorization_server`, `trusted_origin` or `app`.")
    id: str = Field(description="Okta's id of it.")
    name: str = Field(description="Its name; of an app, its label.")
    status: str = Field(description="`ACTIVE` or `INACTIVE`.")
    server: AuthorizationServer | None = Field(description="The authorization server; null of the other kinds.")
    origin: TrustedOrigin | None = Field(description="The trusted origin; null of the other kinds.")
    app: App | None = Field(description="The app; null of the other kinds.")


@evidence(_READ_GRANTS, _READ_APPS, _READ_SERVERS, _READ_ORIGINS)
def servers(tenant: Tenant) -> Iterator[ApiAccess | Gap]:
    """Every custom authorization server with all that it gives out, every trusted origin, every OpenID Connect app."""
    yield from in_turn(
        {"authorization servers": _servers(tenant), "trusted origins": _origins(tenant), "apps": _apps(tenant)}
    )


def _servers(tenant: Tenant) -> Iterator[ApiAccess | Gap]:
    def look(server: dict[str, Any]) -> ApiAccess:
        at = {"authServerId": id_of(server)}
        scopes = list(tenant.pages(_SCOPES, at, permission=_READ_SERVERS))
        policies = tenant.listing(_POLICIES, at, permission=_READ_SERVERS)
        rules = [
            tenant.listing(_RULES, {**at, "policyId": id_of(policy)}, permission=_READ_SERVERS) for policy in policies
        ]
        return _access("authorization_server", server, server=_server(server, scopes, policies, rules))

    found = tenant.pages(_SERVERS, {"limit": "200"}, permission=_READ_SERVERS)
    yield from tenant.each(found, look, resource=lambda server: f"authorization server {server.get('name')}")


def _origins(tenant: Tenant) -> Iterator[ApiAccess | Gap]:
    def look(origin: dict[str, Any]) -> ApiAccess:
        scopes = [scope.get("type") for scope in origin.get("scopes") or ()]
        return _access("trusted_origin", origin, origin={"origin": origin.get("origin"), "scopes": scopes})

    found = tenant.pages(_ORIGINS, {"limit": "200"}, permission=_READ_ORIGINS)
    yield from tenant.each(found, look, resource=lambda origin: f"trusted origin {origin.get('name')}")


def _apps(tenant: Tenant) -> Iterator[ApiAccess | Gap]:
    def look(app: dict[str, Any]) -> ApiAccess:
        grants = tenant.listing(_GRANTS, {"appId": id_of(app)}, permission=_READ_GRANTS)
        client = part(app, "settings", "oauthClient")
        told = {"application_type": client.get("application_type"), "grants": [_grant(grant) for grant in grants]}
        return _access("app", {**app, "name": app.get("label")}, app=told)

    found = tenant.pages(_APPS, {"limit": "200"}, permission=_READ_APPS)
    clients = (app for app in found if app.get("signOnMode") == _WITH_GRANTS)
    yield from tenant.each(clients, look, resource=lambda app: f"app {app.get('label')}")


def _access(kind: str, found: dict[str, Any], **told: dict[str, Any]) -> ApiAccess:
    common = {"kind": kind, "id": found.get("id"), "name": found.get("name"), "status": found.get("status")}
    return ApiAccess.model_validate({**common, "server": None, "origin": None, "app": None, **told})


def _server(
    found: dict[str, Any],
    scopes: list[dict[str, Any]],
    policies: list[dict[str, Any]],
    rules: list[list[dict[str, Any]]],
) -> dict[str, Any]:
    signing = part(found, "credentials", "signing")
    return {
        "issuer": found.get("issuer"),
        "audiences": found.get("audiences") or (),
        "rotation_mode": signing.get("rotationMode"),
        "last_rotated": signing.get("lastRotated"),
        "scopes": [{name: scope.get(name) for name in Scope.model_fields} for scope in scopes],
        "policies": [_policy(policy, its) for policy, its in zip(policies, rules, strict=True)],
    }


def _policy(found: dict[str, Any], rules: list[dict[str, Any]]) -> dict[str, Any]:
    clients = part(found, "conditions", "clients").get("include") or ()
    return {**head(found), "clients": clients, "rules": [_rule(rule) for rule in rules]}


def _rule(found: dict[str, Any]) -> dict[str, Any]:
    conditions, token = part(found, "conditions"), part(found, "actions", "token")
    return {
        **head(found),
        "grant_types": part(conditions, "grantTypes").get("include") or (),
        "scopes": part(conditions, "scopes").get("include") or (),
        "groups": part(conditions, "people", "groups").get("include") or (),
        "users": part(conditions, "people", "users").get("include") or (),
        "access_token_lifetime_minutes": token.get("accessTokenLifetimeMinutes"),
        "refresh_token_lifetime_minutes": token.get("refreshTokenLifetimeMinutes"),
        "refresh_token_window_minutes": token.get("refreshTokenWindowMinutes"),
        "inline_hook": part(token, "inlineHook").get("id"),
    }


def _grant(found: dict[str, Any]) -> dict[str, Any]:
    common = {name: found.get(name) for name in ("issuer", "status", "source", "created")}
    return {**common, "scope": found.get("scopeId")}
