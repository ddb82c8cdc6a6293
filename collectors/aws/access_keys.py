"""IAM's access keys: whose they are, how old, and when they were used. Of a key's id only the end is told."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import Field

from collectors.aws.credential_report import KEYS, ROOT, days, moment
from collectors.aws.moment import Instant
from collectors.aws.people import UserArn, UserName
from collectors.aws.permissions import action
from collectors.aws.targets import Account, Answer
from collectors.contract import Record, note
from collectors.errors import CollectionError

LAST_USED = "iam:GetAccessKeyLastUsed"
SHOWN = 4  # characters of a key's id
NO_USE = "N/A"


class AccessKey(Record):
    """One access key: its state, its age and its last use."""

    user: UserName = Field(description="The user's name; `<root_account>` for the root user.")
    arn: UserArn = Field(description="The user's ARN.")
    account: str = Field(description="The account that the user belongs to.")
    key_id: str | None = Field(
        description="Four stars and the last four characters of the key's id; null for root's, which AWS does not tell."
    )
    status: str = Field(description="`Active`, `Inactive` or `Expired`.")
    rotated_at: Instant | None = Field(
        description="When the key was made, or root's last changed; null where the credential report does not say."
    )
    age_days: int | None = Field(description="Days since then; null where the credential report does not say.")
    last_used: Instant | None = Field(description="The key's last use; null where AWS knows of none.")
    days_unused: int | None = Field(description="Days since the last use; null where AWS knows of none.")
    last_used_service: str | None = Field(
        description="The service last used, as in `s3`; null where AWS knows of none."
    )
    last_used_region: str | None = Field(
        description="The region of the last use; null where AWS knows of none, and for services without regions."
    )
    report_generated_at: Instant = Field(
        description="When AWS drew up the credential report that tells of the users: up to four hours ago."
    )


def keys_of(account: Account, generated_at: datetime, row: dict[str, str]) -> tuple[AccessKey, ...]:
    """The keys of one user, root or not, by its row of the credential report. Raises CollectionError."""
    owner = {
        "user": row["user"],
        "arn": row["arn"],
        "account": account.account,
        "report_generated_at": generated_at,
    }
    if row["user"] == ROOT:
        return tuple(_root_keys(account, owner, row))
    # Asked for every user: the report need not tell of keys that are inactive.
    listed = account.pages("iam:ListAccessKeys", "AccessKeyMetadata", UserName=row["user"])
    return tuple(_key(account, owner, key) for key in listed)


def _root_keys(account: Account, owner: dict[str, Any], row: dict[str, str]) -> Iterator[AccessKey]:
    for key in KEYS:
        active, changed = row[f"{key}_active"] == "true", moment(row[f"{key}_last_rotated"])
        if active or changed:
            use = {
                "LastUsedDate": moment(row[f"{key}_last_used_date"]),
                "ServiceName": row[f"{key}_last_used_service"],
                "Region": row[f"{key}_last_used_region"],
            }
            state = {"key_id": None, "status": "Active" if active else "Inactive"}
            yield AccessKey(**owner, **state, **_times(account, changed, use))


def _key(account: Account, owner: dict[str, Any], key: Answer) -> AccessKey:
    state = {"key_id": _masked(key["AccessKeyId"]), "status": key["Status"]}
    return AccessKey(**owner, **state, **_times(account, key["CreateDate"], _last_use(account, key)))


def _times(account: Account, rotated_at: datetime | None, use: Answer) -> dict[str, Any]:
    used, started = use.get("LastUsedDate"), account.run.started
    return {
        "rotated_at": rotated_at,
        "age_days": days(rotated_at, started),
        "last_used": used,
        "days_unused": days(used, started),
        "last_used_service": _named(use["ServiceName"]),
        "last_used_region": _named(use["Region"]),
    }


def _last_use(account: Account, key: Answer) -> Answer:
    """Asked for without the run's memory, which would tell the whole id in the payload, as AWS does when it denies."""
    key_id, masked = key["AccessKeyId"], _masked(key["AccessKeyId"])
    note(LAST_USED, {"UserName": key["UserName"], "AccessKeyId": masked}, permission=action(LAST_USED))
    try:
        answer: Answer = account.call(LAST_USED, AccessKeyId=key_id)["AccessKeyLastUsed"]
    except CollectionError as error:
        error.message = error.message.replace(key_id, masked)
        raise
    return answer


def _masked(key_id: str) -> str:
    return "****" + key_id[-SHOWN:]


def _named(cell: str) -> str | None:
    return None if cell == NO_USE else cell
