"""The groups of an org, who is in them, and what a link names."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from collectors.okta.targets import Tenant, part

READ = "okta.groups.read"
_GROUPS = "GET /api/v1/groups"
_MEMBERS = "GET /api/v1/groups/{groupId}/users"


def groups(tenant: Tenant) -> Iterator[dict[str, Any]]:
    """Every group of the org, with Okta's own counts."""
    return tenant.pages(_GROUPS, {"expand": "stats", "limit": "200"}, permission=READ)


def members(tenant: Tenant, group: str) -> Iterator[dict[str, Any]]:
    """The users in a group, by id alone, whoever or whatever put them there."""
    return tenant.pages(_MEMBERS, {"groupId": group, "limit": "200"}, permission=READ, only=("id",))


def is_admin(group: dict[str, Any]) -> bool | None:
    """Whether the group itself has an admin role; None where Okta does not say."""
    stats = part(group, "_embedded", "stats")
    # The description of the API leaves a letter out.
    found = stats.get("hasAdminPrivilege", stats.get("hasAdminPrivlege"))
    return found if isinstance(found, bool) else None


def linked(thing: dict[str, Any], link: str, kind: str) -> str | None:
    """The id that a link of a thing names, as in `/api/v1/groups/{id}` for the kind `groups`; None without such."""
    href = part(thing, "_links", link).get("href")
    path = urlsplit(href).path.split("/") if isinstance(href, str) else []
    return path[-1] if len(path) > 1 and path[-2] == kind and path[-1] else None
