"""What an identity needs to be granted, and what it was: an App's permissions, and the scopes of a classic token."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from collectors.contract import EvidenceType

# The classic scopes that grant what fine-grained permissions do; what is not here needs `repo`.
SCOPES: Mapping[str, str | None] = {
    "members": "read:org",
    "organization_administration": "admin:org",
    "organization_hooks": "admin:org_hook",
    "organization_personal_access_tokens": None,  # which only Apps may list
    "organization_secrets": "admin:org",
    "organization_self_hosted_runners": "admin:org",
}
_INCLUDED = {"admin:org": {"write:org", "read:org"}, "write:org": {"read:org"}}


def grants(types: Sequence[EvidenceType[Any]]) -> Mapping[str, Any]:
    """The permissions to give a GitHub App or a fine-grained token, and the scopes that a classic token needs."""
    permissions = {permission.partition(":")[0] for kind in types for permission in kind.permissions}
    scopes = {scope for permission in permissions if (scope := _scope(permission))}
    needless = {included for scope in scopes for included in _INCLUDED.get(scope, ())}
    # Metadata comes with every other permission, and cannot be refused.
    return {
        "github_app": dict.fromkeys(sorted({*permissions, "metadata"}), "read"),
        "token_scopes": sorted(scopes - needless),
    }


def missing_scopes(granted: str, permissions: Iterable[str]) -> dict[str, str]:
    """What a classic token lacks, by its scopes as the header X-OAuth-Scopes lists them."""
    scopes = {scope.strip() for scope in granted.split(",")}
    scopes |= {included for scope in scopes for included in _INCLUDED.get(scope, ())}
    named = {permission: _scope(permission.partition(":")[0]) for permission in permissions}
    return {
        permission: f"the token's scopes, as GitHub tells them, lack {scope}" if scope else "only Apps may do it"
        for permission, scope in named.items()
        if scope not in scopes
    }


def missing_permissions(installation: Mapping[str, Any], permissions: Iterable[str]) -> dict[str, str]:
    """What the installation of an App was not granted, of its own account."""
    granted = {"metadata": "read", **(installation.get("permissions") or {})}
    slug = installation.get("app_slug")
    return {
        permission: f"the installation of the App {slug} was not granted it"
        for permission in permissions
        if permission.partition(":")[0] not in granted
    }


def _scope(permission: str) -> str | None:
    return SCOPES.get(permission, "repo")
