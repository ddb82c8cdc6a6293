"""IAM's credential report: one document on all users, which AWS draws up on demand and keeps for four hours."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, repeat

from collectors.aws.permissions import action
from collectors.aws.targets import Account
from collectors.contract import Cancelled
from collectors.errors import Invalid, Unavailable

GENERATE = "iam:GenerateCredentialReport"
PAUSES = tuple(accumulate(repeat(2, 9), lambda pause, factor: min(pause * factor, 30), initial=0.5))  # seconds
ROOT = "<root_account>"
NEVER = frozenset({"", "N/A", "no_information", "not_supported"})


@dataclass(frozen=True)
class CredentialReport:
    """The report as AWS wrote it: one row a user, the root user among them."""

    generated_at: datetime
    text: str

    def users(self) -> Iterator[dict[str, str]]:
        """Every IAM user's row."""
        return (row for row in self._rows() if row["user"] != ROOT)

    def root(self) -> dict[str, str]:
        """The root user's row. Raises Invalid where there is none."""
        for row in self._rows():
            if row["user"] == ROOT:
                return row
        raise Invalid(f"the credential report has no row {ROOT}", operation="iam:GetCredentialReport")

    def _rows(self) -> Iterator[dict[str, str]]:
        return csv.DictReader(io.StringIO(self.text))


def credential_report(account: Account) -> CredentialReport:
    """The account's report, drawn up once a run however many evidence types want it. Raises CollectionError."""
    account.reads.read(GENERATE, {}, lambda: _await(account), permission=action(GENERATE))
    answer = account.read("iam:GetCredentialReport")
    return CredentialReport(answer["GeneratedTime"], answer["Content"].decode())


def moment(cell: str | None) -> datetime | None:
    """A cell's time; None where the report says that there was none, or that AWS does not know."""
    return None if cell is None or cell in NEVER else datetime.fromisoformat(cell)


def _await(account: Account) -> None:
    for pause in PAUSES:
        if account.call(GENERATE)["State"] == "COMPLETE":
            return
        account.run.waiting("AWS draws up the credential report", pause)
        if account.run.cancelled.wait(pause):
            raise Cancelled
    raise Unavailable(f"the credential report was not ready after {sum(PAUSES):.0f} seconds", operation=GENERATE)
