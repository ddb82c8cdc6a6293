"""The people of an org: where their accounts stand, how they prove who they are, and when they leave."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field, ValidationError

from collectors.contract import Gap, Personal, Record, evidence, explain
from collectors.errors import CollectionError, Invalid
from collectors.okta import directory, people, policies, roles, system
from collectors.okta import terminations as ends
from collectors.okta.automations import Automation, on_inactivity
from collectors.okta.factors import UserMfa, enrolled, user_mfa
from collectors.okta.inactivity import UserInactivity, user_inactivity
from collectors.okta.targets import Tenant, id_of, part
from collectors.okta.terminations import UserTermination


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


@evidence(people.READ)
def lifecycle(tenant: Tenant) -> Iterator[UserLifecycle | Gap]:
    """Every user of the org once, deprovisioned users included."""
    for user in people.everybody(tenant):
        try:
            yield _lifecycle(user)
        except ValidationError as error:
            yield Invalid(explain(error), operation=people.LISTED).gap(people.name(user))


@evidence(people.READ, roles.READ)
def mfa(tenant: Tenant) -> Iterator[UserMfa | Gap]:
    """Each user's enrolled factors, for all users who are not deprovisioned: never a sample. Administrators first."""
    admins: set[Any] | None = None
    try:
        admins = {user.get("id") for user in roles.assignees(tenant)}
    except CollectionError as error:
        yield error.gap("who has an admin role")

    def look(user: dict[str, Any]) -> UserMfa:
        known = id_of(user)
        types, as_of = enrolled(tenant, known)
        return user_mfa({**user, "admin": None if admins is None else known in admins, "as_of": as_of}, types)

    users: Iterator[dict[str, Any]] = map(people.who, people.current(tenant))
    if tenant.run.pool is not None:  # else access is only probed, and one user is enough
        users = _first(admins or set(), users)
    yield from tenant.each(users, look, resource=people.name)


@evidence(people.READ, policies.READ, directory.READ)
def inactivity(tenant: Tenant) -> Iterator[UserInactivity | Gap]:
    """How long each user stayed away, for all who are not deprovisioned, and the automation that is for the user.

    Only signing in to Okta counts as activity. A user of two groups comes under the automations of both.
    """
    automations: list[Automation] = []
    try:
        for found in on_inactivity(tenant):
            if isinstance(found, Gap):
                yield found
            else:
                automations.append(found)
    except CollectionError as error:
        yield error.gap("automations")
    automations.sort(key=lambda automation: automation.days)
    started = tenant.run.started
    for user in people.current(tenant):
        try:
            yield user_inactivity(user, automations, started)
        except (CollectionError, ValidationError) as error:
            cause = error if isinstance(error, CollectionError) else Invalid(explain(error))
            yield cause.gap(people.name(user))


@evidence(people.READ, system.READ)
def terminations(tenant: Tenant) -> Iterator[UserTermination | Gap]:
    """Whose account ended in the last 90 days, and who left by HR's list (`hr_leavers_file`), the two joined: the hours
    from leaving to the account's end, and who is still active.

    Names are compared with login and e-mail address without regard to case.
    """
    yield from ends.terminations(tenant, tenant.hr_leavers_file)


def _first(some: set[Any], users: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """All of the users, `some` of them first. Where the list breaks, those before it come all the same."""
    listed: list[dict[str, Any]] = []
    failure: CollectionError | None = None
    try:
        listed.extend(users)
    except CollectionError as error:
        failure = error
    yield from sorted(listed, key=lambda user: user["id"] not in some)
    if failure:
        raise failure


def _lifecycle(user: dict[str, Any]) -> UserLifecycle:
    return UserLifecycle.model_validate(
        {
            **people.who(user),
            "status_changed": user.get("statusChanged"),
            "created": user.get("created"),
            "last_login": user.get("lastLogin"),
            "type": part(user, "type").get("id"),
        }
    )
