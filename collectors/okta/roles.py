"""Admin roles: who has some, and which."""

from collections.abc import Iterator
from typing import Any

from collectors.okta.targets import Tenant

READ = "okta.roles.read"
_ASSIGNEES = "GET /api/v1/iam/assignees/users"
_OF_USER = "GET /api/v1/users/{userId}/roles"
_OF_GROUP = "GET /api/v1/groups/{groupId}/roles"


def assignees(tenant: Tenant) -> Iterator[dict[str, Any]]:
    """The users who have a role, by their own right or through a group."""
    return tenant.pages(_ASSIGNEES, {"limit": "200"}, permission=READ, within="value", only=("id",))


def of_user(tenant: Tenant, user: str) -> list[dict[str, Any]]:
    """The roles that a user has, by the user's own right and through groups."""
    return tenant.listing(_OF_USER, {"userId": user}, permission=READ)


def of_group(tenant: Tenant, group: str) -> list[dict[str, Any]]:
    """The roles that a group has."""
    return tenant.listing(_OF_GROUP, {"groupId": group}, permission=READ)
