"""The people of an org, and how they prove who they are."""

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import Field, ValidationError

from collectors.contract import Gap, Personal, Record, evidence, explain
from collectors.errors import Invalid
from collectors.okta.targets import Tenant, id_of, part

_READ = "okta.users.read"
_USERS = "GET /api/v1/users"
_FACTORS = "GET /api/v1/users/{userId}/factors"
_CURRENT = {"limit": "200"}
# The list without a search leaves these out; the search index may lag behind by seconds.
_DEPROVISIONED = {"limit": "200", "search": 'status eq "DEPROVISIONED"'}
# Okta's way of asking for less: recovery questions and the like stay where they are.
_WITHOUT_CREDENTIALS = {
    "Content-Type": "application/json; okta-response=omitCredentials,omitCredentialsLinks,omitTransitioningToStatus"
}
_PHISHING_RESISTANT = frozenset({"webauthn", "u2f", "signed_nonce"})


class UserLifecycle(Record):
    """A user of the org, and where in its life the account stands."""

    id: str = Field(description="Okta's id of the user.")
    login: Personal = Field(description="What the user signs in with, most often an e-mail address.")
    status: str = Field(
        description="Okta's status, as in `ACTIVE`, `SUSPENDED` or `DEPROVISIONED`; others come through."
    )
    status_changed: str | None = Field(description="When the status last changed, UTC; null where Okta has none.")
    created: str | None = Field(description="When the user was created, UTC.")
    last_login: str | None = Field(description="When the user last signed in to Okta, UTC; null for never.")
    type: str | None = Field(description="The id of the user type that the profile follows.")


class UserMfa(Record):
    """A user who is not deprovisioned, and the factors that the user has enrolled. Every such user has a record."""

    id: str = Field(description="Okta's id of the user.")
    login: Personal = Field(description="What the user signs in with, most often an e-mail address.")
    status: str = Field(description="Okta's status of the user; accounts that were never activated count too.")
    factor_types: tuple[str, ...] = Field(description="The types of the active factors in Okta's words, sorted.")
    phishing_resistant: bool = Field(
        description="Whether an active factor is of type `webauthn`, `u2f` or `signed_nonce` (Okta FastPass)."
    )
    none: bool = Field(description="Whether the user has no active factor at all.")


@evidence(_READ)
def lifecycle(tenant: Tenant) -> Iterator[UserLifecycle | Gap]:
    """Every user of the org once, deprovisioned users included."""
    for user in _once(_everybody(tenant)):
        try:
            yield _lifecycle(user)
        except ValidationError as error:
            yield Invalid(explain(error), operation=_USERS).gap(_name(user))


@evidence(_READ)
def mfa(tenant: Tenant) -> Iterator[UserMfa | Gap]:
    """Each user's enrolled factors, for all users who are not deprovisioned: never a sample."""

    def look(user: dict[str, Any]) -> UserMfa:
        parameters = {"userId": id_of(user)}
        return _mfa(user, tenant.listing(_FACTORS, parameters, permission=_READ))

    users = (user for user in _once(_current(tenant)) if user.get("status") != "DEPROVISIONED")
    yield from tenant.each(users, look, resource=_name)


def _everybody(tenant: Tenant) -> Iterator[dict[str, Any]]:
    """Who is deprovisioned while this is read is met twice; in the other order, such a user would be missed."""
    yield from _current(tenant)
    yield from tenant.pages(_USERS, _DEPROVISIONED, permission=_READ, headers=_WITHOUT_CREDENTIALS)


def _current(tenant: Tenant) -> Iterator[dict[str, Any]]:
    return tenant.pages(_USERS, _CURRENT, permission=_READ, headers=_WITHOUT_CREDENTIALS)


def _once(users: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    seen = set()
    for user in users:
        if (name := user.get("id")) not in seen or name is None:
            seen.add(name)
            yield user


def _lifecycle(user: dict[str, Any]) -> UserLifecycle:
    return UserLifecycle.model_validate(
        {
            **_who(user),
            "status_changed": user.get("statusChanged"),
            "created": user.get("created"),
            "last_login": user.get("lastLogin"),
            "type": part(user, "type").get("id"),
        }
    )


def _mfa(user: dict[str, Any], factors: list[dict[str, Any]]) -> UserMfa:
    types = sorted({str(factor.get("factorType")) for factor in factors if factor.get("status") == "ACTIVE"})
    return UserMfa.model_validate(
        {
            **_who(user),
            "factor_types": types,
            "phishing_resistant": not _PHISHING_RESISTANT.isdisjoint(types),
            "none": not types,
        }
    )


def _who(user: dict[str, Any]) -> dict[str, Any]:
    return {"id": user.get("id"), "login": part(user, "profile").get("login"), "status": user.get("status")}


def _name(user: dict[str, Any]) -> str:
    return f"user {user.get('id')}"
