"""The apps of an org, and who may use them."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field, ValidationError

from collectors.contract import Gap, Record, evidence, explain
from collectors.errors import CollectionError, Invalid
from collectors.okta.directory import linked
from collectors.okta.targets import Tenant, id_of

_READ = "okta.apps.read"
_APPS = "GET /api/v1/apps"
_USERS = "GET /api/v1/apps/{appId}/users"
_GROUPS = "GET /api/v1/apps/{appId}/groups"


class AppAssignment(Record):
    """A user or a group that an app is assigned to."""

    app: str = Field(description="Okta's id of the app.")
    app_name: str | None = Field(description="The kind of app, as in `oidc_client` or `salesforce`; null if unsaid.")
    app_label: str | None = Field(description="The name that the org gave to the app; null where it has none.")
    app_status: str | None = Field(description="`ACTIVE` or `INACTIVE`; null where Okta says nothing.")
    principal: str = Field(description="Okta's id of the user or group.")
    principal_type: str = Field(description="`user` or `group`.")
    scope: str | None = Field(
        description="`USER` where a user has the app directly, `GROUP` where through a group; null for a group."
    )
    group: str | None = Field(
        description="The id of the group through which a user has the app; null where direct, or not named by Okta."
    )
    status: str | None = Field(
        description="Okta's status of the user in the app, as in `ACTIVE` or `PROVISIONED`; null for a group."
    )
    status_changed: str | None = Field(description="When that last changed, UTC; null for a group, or if unsaid.")
    priority: int | None = Field(description="The group's place where several give the app; null for a user.")
    created: str | None = Field(description="When the user got the app, UTC; null for a group: Okta does not say.")
    last_updated: str | None = Field(description="When the assignment last changed, UTC; null where Okta has none.")


@evidence(_READ)
def assignments(tenant: Tenant) -> Iterator[AppAssignment | Gap]:
    """Every assignment of every app: first its users, direct or through groups, then its groups."""
    # One app after the other: an app of a hundred thousand users passes through page by page.
    for app in tenant.pages(_APPS, {"limit": "200"}, permission=_READ):
        yield from _told(_users(tenant, app), app)
        yield from _told(_groups(tenant, app), app)


def _told(assigned: Iterator[dict[str, Any]], app: dict[str, Any]) -> Iterator[AppAssignment | Gap]:
    """What was read of an app, and the gap where it broke off."""
    try:
        for fields in assigned:
            try:
                yield AppAssignment.model_validate(fields)
            except ValidationError as error:
                yield Invalid(explain(error)).gap(f"app {app.get('id')}, {fields['principal_type']}")
    except CollectionError as error:
        yield error.gap(f"app {app.get('id')}")


def _users(tenant: Tenant, app: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for user in tenant.pages(_USERS, {"appId": id_of(app), "limit": "500"}, permission=_READ, keep=False):
        yield {
            **_common(app, user, "user"),
            "scope": user.get("scope"),
            "group": linked(user, "group", "groups"),
            "status": user.get("status"),
            "status_changed": user.get("statusChanged"),
            "created": user.get("created"),
        }


def _groups(tenant: Tenant, app: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for group in tenant.pages(_GROUPS, {"appId": id_of(app), "limit": "200"}, permission=_READ, keep=False):
        yield {**_common(app, group, "group"), "priority": group.get("priority")}


def _common(app: dict[str, Any], assigned: dict[str, Any], kind: str) -> dict[str, Any]:
    unsaid = dict.fromkeys(("scope", "group", "status", "status_changed", "priority", "created"))
    return {
        **unsaid,
        "app": app.get("id"),
        "app_name": app.get("name"),
        "app_label": app.get("label"),
        "app_status": app.get("status"),
        "principal": assigned.get("id"),
        "principal_type": kind,
        "last_updated": assigned.get("lastUpdated"),
    }
