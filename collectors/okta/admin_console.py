"""How the Admin Console itself is guarded."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Record, evidence
from collectors.errors import AccessDenied, NotEnabled
from collectors.okta.access import AccessRule, access_rule
from collectors.okta.policies import READ, head, rules
from collectors.okta.targets import Tenant, part

_APPS_READ = "okta.apps.read"
_SETTINGS = "GET /api/v1/first-party-app-settings/{appName}"
_APPS = "GET /api/v1/apps"
_POLICY = "GET /api/v1/policies/{policyId}"
_NAME = "saasure"  # Okta's name of the Admin Console among its apps; the label may be changed, this may not


class Session(Record):
    """How long a session of the Admin Console lasts."""

    session_idle_timeout_minutes: int | None = Field(
        description="The minutes after which an idle session ends; null where Okta does not say."
    )
    session_max_lifetime_minutes: int | None = Field(
        description="The minutes after which each session ends; null where Okta does not say."
    )


class ConsolePolicy(Record):
    """The authentication policy of the Admin Console."""

    id: str = Field(description="Okta's id of the policy.")
    name: str = Field(description="The policy's name.")
    status: str = Field(description="`ACTIVE` or `INACTIVE`.")
    rules: tuple[AccessRule, ...] = Field(description="The policy's rules, in Okta's order.")


class AdminConsole(Record):
    """The Okta Admin Console. Its settings are read apart from its policy; what could not be read is also a gap."""

    session: Session | None = Field(
        description="How long sessions last; null where that could not be read, which a gap tells."
    )
    policy: ConsolePolicy | None = Field(
        description="What signing in demands; null where that could not be read or does not exist, which a gap tells."
    )


@evidence(_APPS_READ, READ)
def admin_console(tenant: Tenant) -> Iterator[AdminConsole | Gap]:
    """How long sessions of the Admin Console last, and what signing in to it demands."""
    readers = {"session": _session, "policy": _policy}
    seen: dict[str, Record] = {}
    # Okta tells the settings to fewer admin roles than the policy: each is worth telling without the other.
    for half in tenant.each(readers, lambda name: (name, readers[name](tenant)), resource=_resource):
        if isinstance(half, Gap):
            yield half
        else:
            seen[half[0]] = half[1]
    if seen:
        yield AdminConsole.model_validate({"session": None, "policy": None, **seen})


def _resource(name: str) -> str:
    return f"Admin Console {name}"


def _session(tenant: Tenant) -> Session:
    found = tenant.one(_SETTINGS, {"appName": "admin-console"}, permission=_APPS_READ, identity_engine=True)
    return Session.model_validate(
        {
            "session_idle_timeout_minutes": found.get("sessionIdleTimeoutMinutes"),
            "session_max_lifetime_minutes": found.get("sessionMaxLifetimeMinutes"),
        }
    )


def _policy(tenant: Tenant) -> ConsolePolicy:
    named = {"policyId": _policy_id(tenant)}
    found = tenant.one(_POLICY, named, permission=READ, identity_engine=True)
    held = rules(tenant, named["policyId"], identity_engine=True)
    wanted: dict[str, Any] = {name: value for name, value in head(found).items() if name != "priority"}
    return ConsolePolicy.model_validate({**wanted, "rules": [access_rule(rule) for rule in held]})


def _policy_id(tenant: Tenant) -> str:
    """The id of the policy that the app links to. Raises AccessDenied where the app is not to be seen."""
    apps = tenant.pages(_APPS, {"filter": f'name eq "{_NAME}"'}, permission=_APPS_READ)
    app = next((app for app in apps if app.get("name") == _NAME), None)
    if app is None:
        message = f"the Admin Console, {_NAME}, is not among the apps that were listed: the admin role may not cover it"
        raise AccessDenied(message, operation=_APPS)
    link = part(app, "_links", "accessPolicy").get("href")
    if not isinstance(link, str):
        message = "the Admin Console links to no authentication policy: the org is not on Identity Engine"
        raise NotEnabled(message, operation=_APPS)
    return link.rstrip("/").rpartition("/")[2]
