"""When people left, as HR tells it, and when their accounts ended, as Okta does."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Personal, Record
from collectors.okta import people
from collectors.okta.leavers import Leaver, leavers
from collectors.okta.moment import instant, stamp
from collectors.okta.system import LOGS, READ
from collectors.okta.targets import Tenant, part

_KEPT = timedelta(days=90)
_DEACTIVATED = "user.lifecycle.deactivate"
_DELETED = "user.lifecycle.delete.initiated"
_GONE = "DEPROVISIONED"


class UserTermination(Record):
    """Somebody who left by HR's list, or whose account ended in the last 90 days, or both."""

    id: str | None = Field(description="Okta's id of the user; null for a leaver whom Okta does not know.")
    login: Personal = Field(description="The user's login; HR's e-mail or login for a leaver whom Okta does not know.")
    status: str | None = Field(description="Okta's status of the user now; null where there is no such account.")
    left_at: str | None = Field(
        description="When the user left by HR's list, UTC, a date alone as the end of its day; null where HR's list "
        "does not name the user, or there is no list."
    )
    deactivated_at: str | None = Field(
        description="When the account was last deactivated, UTC; null where it is not, or where nothing tells."
    )
    deactivated_by: str | None = Field(
        description="Okta's id of who or what ended it; null where the System Log, which keeps 90 days, does not tell."
    )
    hours: float | None = Field(
        description="Hours from leaving to the account's end, negative where it ended first; null where one is unknown."
    )
    active: bool | None = Field(
        description="Whether the account exists and is not deprovisioned; null where Okta knows no such user."
    )


@dataclass(frozen=True)
class _End:
    """How the System Log says that an account ended."""

    at: str
    by: str | None
    login: str


def terminations(tenant: Tenant, file: Path | None) -> Iterator[UserTermination | Gap]:
    """Leavers in HR's order, then accounts that ended without being on HR's list. Raises CollectionError."""
    left, unread = _left(file)
    yield from unread
    ends = _ends(tenant)
    matched: set[str] = set()
    seen: set[str] = set()
    for user in people.everybody(tenant):
        profile = part(user, "profile")
        names = {str(profile.get(key)).casefold() for key in ("login", "email") if profile.get(key)}
        leaver = next((left[name] for name in sorted(names) if name in left), None)  # whoever leaves, all accounts end
        matched |= names
        seen.add(str(user.get("id")))
        end = ends.get(str(user.get("id"))) if user.get("status") == _GONE else None
        if leaver or end:
            yield _of_user(user, leaver, end)
    yield from _without_account(left, matched, {user: end for user, end in ends.items() if user not in seen})


def _left(file: Path | None) -> tuple[dict[str, Leaver], list[Gap]]:
    """Who left, by name in lower case, the last time where one left twice; and the rows that cannot be read."""
    found: dict[str, Leaver] = {}
    unread: list[Gap] = []
    for row in leavers(file) if file else ():
        if isinstance(row, Gap):
            unread.append(row)
        elif row.name not in found or found[row.name].left_at < row.left_at:
            found[row.name] = row
    return found, unread


def _ends(tenant: Tenant) -> dict[str, _End]:
    """The end of each account that the log tells of, by the user's id: when it was last deactivated.

    Only who is deactivated can be deleted, so a deletion counts where the log has no more of what came before.
    """
    now = tenant.run.started.replace(microsecond=0)
    asked = {
        "since": stamp(now - _KEPT),
        "until": stamp(now),
        "filter": f'(eventType eq "{_DEACTIVATED}" or eventType eq "{_DELETED}") and outcome.result eq "SUCCESS"',
        "limit": "1000",
        "sortOrder": "ASCENDING",
    }
    found: dict[str, _End] = {}
    for event in tenant.pages(LOGS, asked, permission=READ, keep=False):
        for target in event.get("target") or ():
            if target.get("type") == "User" and event.get("published"):
                end = _End(event["published"], part(event, "actor").get("id"), str(target.get("alternateId")))
                if event.get("eventType") == _DEACTIVATED:
                    found[str(target.get("id"))] = end
                else:
                    found.setdefault(str(target.get("id")), end)
    return found


def _of_user(user: dict[str, Any], leaver: Leaver | None, end: _End | None) -> UserTermination:
    gone = user.get("status") == _GONE
    at = (end.at if end else user.get("statusChanged")) if gone else None
    return _record(people.who(user), leaver, at, by=end.by if end else None, active=not gone)


def _without_account(
    left: Mapping[str, Leaver], matched: Collection[str], ends: Mapping[str, _End]
) -> Iterator[UserTermination]:
    """Accounts that were deleted, and leavers whom Okta does not know at all."""
    for user, end in ends.items():
        leaver = left.get(end.login.casefold())
        yield _record({"id": user, "login": end.login, "status": None}, leaver, end.at, by=end.by, active=False)
    deleted = {end.login.casefold() for end in ends.values()}
    for leaver in (leaver for name, leaver in left.items() if name not in matched and name not in deleted):
        yield _record({"id": None, "login": leaver.name, "status": None}, leaver, None, by=None, active=None)


def _record(
    who: Mapping[str, Any], leaver: Leaver | None, ended: str | None, *, by: str | None, active: bool | None
) -> UserTermination:
    hours = (instant(ended) - leaver.left_at) / timedelta(hours=1) if leaver and ended else None
    return UserTermination.model_validate(
        {
            **who,
            "left_at": stamp(leaver.left_at) if leaver else None,
            "deactivated_at": ended,
            "deactivated_by": by,
            "hours": None if hours is None else round(hours, 2),
            "active": active,
        }
    )
