"""IAM's credential report: one document on all users, which AWS draws up on demand and keeps for four hours."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import accumulate, repeat

from collectors.aws.targets import Account
from collectors.contract import Cancelled
from collectors.errors import Invalid, Unavailable

GENERATE = "iam:GenerateCredentialReport"
PAUSES = tuple(accumulate(repeat(2, 9), lambda pause, factor: min(pause * factor, 30), initial=0.5))  # seconds
ROOT = "<root_account>"
NEVER = frozenset({"", "N/A", "no_information", "not_supported"})
KEYS = ("access_key_1", "access_key_2")  # what the columns of a user's keys begin with


@dataclass(frozen=True)
class CredentialReport:
    """The report as AWS wrote it: one row a user, the root user among them."""

    generated_at: datetime
    content: bytes

    def users(self) -> Iterator[dict[str, str]]:
        """Every IAM user's row."""
        return (row for row in self.rows() if row["user"] != ROOT)

    def root(self) -> dict[str, str]:
        """The root user's row. Raises Invalid where there is none."""
        for row in self.rows():
            if row["user"] == ROOT:
                return row
        raise Invalid(f"the credential report has no row {ROOT}", operation="iam:GetCredentialReport")

    def rows(self) -> Iterator[dict[str, str]]:
        """Every row, the root user's as well."""
        return csv.DictReader(io.TextIOWrapper(io.BytesIO(self.content), encoding="utf-8", newline=""))


def credential_report(account: Account) -> CredentialReport:
    """The account's report, drawn up once a run however many evidence types want it. Raises CollectionError."""
    account.remember(GENERATE, partial(_await, account))
    answer = account.read("iam:GetCredentialReport")
    return CredentialReport(answer["GeneratedTime"], answer["Content"])


def moment(cell: str | None) -> datetime | None:
    """A cell's time; None where the report says that there was none, or that AWS does not know."""
    return None if cell is None or cell in NEVER else datetime.fromisoformat(cell)


def keys_last_used(row: dict[str, str]) -> datetime | None:
    """The last use of a user's access keys; None where AWS knows of none."""
    return latest(moment(row.get(f"{key}_last_used_date")) for key in KEYS)


def latest(moments: Iterable[datetime | None]) -> datetime | None:
    """The last of the moments that are known."""
    return max(filter(None, moments), default=None)


def days(since: datetime | None, until: datetime) -> int | None:
    """Whole days between two moments, 0 where the second comes first; None where the first is not known."""
    return None if since is None else max((until - since).days, 0)


def _await(account: Account) -> None:
    for pause in PAUSES:
        if account.call(GENERATE)["State"] == "COMPLETE":
            return
        account.run.waiting("AWS draws up the credential report", pause)
        if account.run.cancelled.wait(pause):
            raise Cancelled
    raise Unavailable(f"the credential report was not ready after {sum(PAUSES):.0f} seconds", operation=GENERATE)
