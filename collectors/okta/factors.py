"""The factors that a user has enrolled."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from collectors.contract import Personal, Record
from collectors.okta.people import READ
from collectors.okta.targets import Tenant

_FACTORS = "GET /api/v1/users/{userId}/factors"
_PHISHING_RESISTANT = frozenset({"webauthn", "u2f", "signed_nonce"})


class UserMfa(Record):
    """A user who is not deprovisioned, and the factors that the user has enrolled. Every such user has a record.

    A call for each user takes its time: administrators come first, and each record says as of when it holds.
    """

    id: str = Field(description="Okta's id of the user.")
    login: Personal = Field(description="What the user signs in with, most often an e-mail address.")
    status: str = Field(description="Okta's status of the user; accounts that were never activated count too.")
    factor_types: tuple[str, ...] = Field(description="The types of the active factors in Okta's words, sorted.")
    phishing_resistant: bool = Field(
        description="Whether an active factor is of type `webauthn`, `u2f` or `signed_nonce` (Okta FastPass)."
    )
    none: bool = Field(description="Whether the user has no active factor at all.")
    admin: bool | None = Field(
        description="Whether the user has an admin role, directly or through a group; null where a gap says why not."
    )
    as_of: str = Field(description="When Okta told the factors, UTC.")


def enrolled(tenant: Tenant, user: str) -> tuple[list[str], str]:
    """The types of a user's active factors, sorted, and when Okta told them; taken over from a run cut short."""
    types, as_of = tenant.resumed(_FACTORS, {"userId": user}, permission=READ, pick=_active)
    return sorted({kind for kind in types if kind is not None}), as_of


def _active(factor: dict[str, Any]) -> str | None:
    return str(factor.get("factorType")) if factor.get("status") == "ACTIVE" else None


def user_mfa(facts: Mapping[str, Any], types: list[str]) -> UserMfa:
    """The record of a user with these active factors."""
    resistant = not _PHISHING_RESISTANT.isdisjoint(types)
    return UserMfa.model_validate({**facts, "factor_types": types, "phishing_resistant": resistant, "none": not types})
