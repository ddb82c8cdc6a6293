"""How long a user stayed away."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import Field

from collectors.contract import Record
from collectors.okta.automations import Automation
from collectors.okta.moment import instant


class UserInactivity(Record):
    """A user who is not deprovisioned, how long the user stayed away, and what the org does about it by itself."""

    id: str = Field(description="Okta's id of the user.")
    status: str = Field(description="Okta's status of the user; accounts that were never activated count too.")
    created: str | None = Field(description="When the user was created, UTC; null where Okta does not say.")
    age_days: int | None = Field(description="Whole days since then; null where Okta does not say.")
    last_login: str | None = Field(description="When the user last signed in to Okta, UTC; null for never.")
    days_inactive: int | None = Field(description="Whole days since then; null for a user who never signed in.")
    automation_days: int | None = Field(
        description="The days of inactivity after which an active automation changes this user's status; the fewest, "
        "where several are for the user. Null where none is, or where a gap says that it could not be read."
    )
    automation_action: str | None = Field(
        description="The status that it then gives, as in `SUSPENDED`; null where `automation_days` is."
    )


def user_inactivity(user: dict[str, Any], automations: Sequence[Automation], now: datetime) -> UserInactivity:
    """`automations` are in order, the one that acts soonest first."""
    own = next((automation for automation in automations if user.get("id") in automation.users), None)
    return UserInactivity.model_validate(
        {
            "id": user.get("id"),
            "status": user.get("status"),
            "created": user.get("created"),
            "age_days": _days_since(user.get("created"), now),
            "last_login": user.get("lastLogin"),
            "days_inactive": _days_since(user.get("lastLogin"), now),
            "automation_days": own.days if own else None,
            "automation_action": own.action if own else None,
        }
    )


def _days_since(moment: Any, now: datetime) -> int | None:
    """0 for what happened while this run was under way."""
    return None if moment is None else max(0, (now - instant(moment)).days)
