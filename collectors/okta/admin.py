"""Who may administer an org."""

from collections.abc import Collection, Iterator
from itertools import chain
from typing import Any

from pydantic import Field, ValidationError

from collectors.contract import Gap, Record, evidence, explain
from collectors.errors import CollectionError, Invalid
from collectors.okta import directory
from collectors.okta.directory import is_admin, linked
from collectors.okta.roles import READ, assignees, of_group, of_user
from collectors.okta.targets import Tenant, id_of

_ROLES = "GET /api/v1/iam/roles"
_PERMISSIONS = "GET /api/v1/iam/roles/{roleIdOrLabel}/permissions"
_RESOURCE_SETS = "GET /api/v1/iam/resource-sets"
_VIA = {"USER": "direct", "GROUP": "group"}
# Okta may list a user of a group, and the group has the user again: one way to one role is told once.
_WAY = ("principal", "via", "group", "role", "custom_role", "resource_set")


class AdminRole(Record):
    """A role that a user or a group has. A user with two roles, or with one role in two ways, has two records."""

    principal: str = Field(description="Okta's id of the user or group that has the role.")
    principal_type: str = Field(description="`user` or `group`.")
    assignment: str = Field(description="Okta's id of the assignment.")
    role: str = Field(description="Okta's type of the role, as in `SUPER_ADMIN`; `CUSTOM` for one made by the org.")
    label: str | None = Field(description="The role's name; null where Okta has none.")
    status: str | None = Field(description="`ACTIVE` or `INACTIVE`; null where Okta says nothing.")
    via: str | None = Field(
        description="`direct`, or `group` where a user has the role by being in a group; null where Okta says nothing."
    )
    group: str | None = Field(
        description="The id of the group through which a user has the role; null where it is direct or not named."
    )
    custom_role: str | None = Field(description="The id of the custom role; null for a standard one.")
    permissions: tuple[str, ...] | None = Field(
        description="What the custom role allows, sorted; null for a standard one, where Okta does not list the role, "
        "and where a gap says that it could not be read."
    )
    resource_set: str | None = Field(description="The id of the resource set that limits the role; null without one.")
    resource_set_label: str | None = Field(
        description="The resource set's name; null without one, and where Okta does not list it."
    )
    created: str | None = Field(description="When the role was assigned, UTC; null where Okta does not say.")
    last_updated: str | None = Field(description="When the assignment last changed, UTC; null where Okta has none.")


@evidence(READ, directory.READ)
def roles(tenant: Tenant) -> Iterator[AdminRole | Gap]:
    """Every admin role of every user and group, standard and custom.

    The super admins are the different principals of type `user` with an active `SUPER_ADMIN`, direct or through a
    group: every member of a group has its roles. Groups are those that Okta counts as admins, and those that a user's
    role comes from. Left out: roles of service apps, and the apps or groups that a standard role may be limited to.
    """
    allows: dict[Any, tuple[str, ...]] = {}
    labels: dict[Any, str | None] = {}
    yield from _custom_roles(tenant, allows)
    yield from _resource_sets(tenant, labels)
    groups: dict[str, None] = {}  # in the order of their discovery
    told: set[tuple[Any, ...]] = set()
    for found in chain(_users(tenant), _groups(tenant, groups)):
        if isinstance(found, Gap):
            yield found
            continue
        for assignment in found:
            groups.update({} if assignment["group"] is None else {assignment["group"]: None})
            if (way := tuple(assignment[name] for name in _WAY)) not in told:
                told.add(way)
                permissions, label = allows.get(assignment["custom_role"]), labels.get(assignment["resource_set"])
                yield _told({**assignment, "permissions": permissions, "resource_set_label": label})


def _told(fields: dict[str, Any]) -> AdminRole | Gap:
    try:
        return AdminRole.model_validate(fields)
    except ValidationError as error:
        return Invalid(explain(error)).gap(f"{fields['principal_type']} {fields['principal']}")


def _custom_roles(tenant: Tenant, allows: dict[Any, tuple[str, ...]]) -> Iterator[Gap]:
    """Fills `allows` with the permissions of each custom role. What fails is a gap: standard roles need none of it."""

    def look(role: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
        name = {"roleIdOrLabel": id_of(role)}
        listed = tenant.pages(_PERMISSIONS, name, permission=READ, within="permissions", keep=False)
        return id_of(role), tuple(sorted(str(permission.get("label")) for permission in listed))

    custom = tenant.pages(_ROLES, {}, permission=READ, within="roles")
    try:
        for found in tenant.each(custom, look, resource=lambda role: f"custom role {role.get('id')}"):
            if isinstance(found, Gap):
                yield found
            else:
                allows.update([found])
    except CollectionError as error:
        yield error.gap("custom roles")


def _resource_sets(tenant: Tenant, labels: dict[Any, str | None]) -> Iterator[Gap]:
    try:
        for found in tenant.pages(_RESOURCE_SETS, {}, permission=READ, within="resource-sets"):
            labels[id_of(found)] = found.get("label")
    except CollectionError as error:
        yield error.gap("resource sets")


def _users(tenant: Tenant) -> Iterator[list[dict[str, Any]] | Gap]:
    def look(user: dict[str, Any]) -> list[dict[str, Any]]:
        name = id_of(user)
        return [_assignment(role, name, "user") for role in of_user(tenant, name)]

    yield from tenant.each(assignees(tenant), look, resource=lambda user: f"user {user.get('id')}")


def _groups(tenant: Tenant, known: Collection[str]) -> Iterator[list[dict[str, Any]] | Gap]:
    """The roles of the groups that are known already, then of all others that may have some; with their members."""

    def look(group: str) -> list[dict[str, Any]]:
        own = [_assignment(role, group, "group") for role in of_group(tenant, group)]
        users = [id_of(user) for user in directory.members(tenant, group)] if own else []
        through = {"principal_type": "user", "via": "group", "group": group}
        return own + [{**assignment, **through, "principal": user} for user in users for assignment in own]

    others = (id_of(group) for group in directory.groups(tenant) if is_admin(group) is not False)
    before = tuple(known)
    names = chain(before, (name for name in others if name not in before))
    yield from tenant.each(names, look, resource=lambda name: f"group {name}")


def _assignment(role: dict[str, Any], principal: str, kind: str) -> dict[str, Any]:
    given: Any = role.get("assignmentType")
    via = "direct" if kind == "group" else _VIA.get(given, given)
    return {
        "principal": principal,
        "principal_type": kind,
        "assignment": role.get("id"),
        "role": role.get("type"),
        "label": role.get("label"),
        "status": role.get("status"),
        "via": via,
        "group": linked(role, "assignee", "groups") if via == "group" else None,
        "custom_role": role.get("role"),
        "resource_set": role.get("resource-set"),
        "created": role.get("created"),
        "last_updated": role.get("lastUpdated"),
    }
