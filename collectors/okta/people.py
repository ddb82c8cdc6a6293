"""The users of an org, and how they are listed."""

from collections.abc import Iterable, Iterator
from typing import Any

from collectors.okta.targets import Tenant, part

READ = "okta.users.read"
LISTED = "GET /api/v1/users"
_CURRENT = {"limit": "200"}
# The list without a search leaves these out; the search index may lag behind by seconds.
_DEPROVISIONED = {"limit": "200", "search": 'status eq "DEPROVISIONED"'}
# Okta's way of asking for less: recovery questions and the like stay where they are.
_WITHOUT_CREDENTIALS = {
    "Content-Type": "application/json; okta-response=omitCredentials,omitCredentialsLinks,omitTransitioningToStatus"
}


def everybody(tenant: Tenant) -> Iterator[dict[str, Any]]:
    """Every user once, deprovisioned ones included.

    Who is deprovisioned while this is read is met twice; in the other order, such a user would be missed.
    """
    return _once(_everybody(tenant))


def current(tenant: Tenant) -> Iterator[dict[str, Any]]:
    """Every user once who is not deprovisioned."""
    return (user for user in _once(_current(tenant)) if user.get("status") != "DEPROVISIONED")


def who(user: dict[str, Any]) -> dict[str, Any]:
    """What each record of a user begins with."""
    return {"id": user.get("id"), "login": part(user, "profile").get("login"), "status": user.get("status")}


def name(user: dict[str, Any]) -> str:
    """The user as a gap names it, without personal data."""
    return f"user {user.get('id')}"


def _everybody(tenant: Tenant) -> Iterator[dict[str, Any]]:
    yield from _current(tenant)
    yield from tenant.pages(LISTED, _DEPROVISIONED, permission=READ, headers=_WITHOUT_CREDENTIALS)


def _current(tenant: Tenant) -> Iterator[dict[str, Any]]:
    return tenant.pages(LISTED, _CURRENT, permission=READ, headers=_WITHOUT_CREDENTIALS)


def _once(users: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    seen = set()
    for user in users:
        if (known := user.get("id")) not in seen or known is None:
            seen.add(known)
            yield user
