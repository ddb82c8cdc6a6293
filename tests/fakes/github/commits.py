"""The commits of the default branches: every third came directly, every second is signed."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tests.fakes.github.answers import digits, time
from tests.fakes.github.connections import Resolver, granted, paged, whole
from tests.fakes.github.people import user

if TYPE_CHECKING:
    from tests.fakes.github.server import GitHub

LAST = timedelta(days=8)  # before the end: the newest commit
APART = timedelta(hours=6)


def count(number: int) -> int:
    """How many commits a repository has; one has more than fit into a first page."""
    return 30 if number == 1 else 3 + number % 4


def target(github: "GitHub", number: int) -> dict:
    """The newest commit of a default branch, with its history."""

    def history(info: object, since: str, until: str, **asked: object) -> dict:
        first, last = (datetime.fromisoformat(each).astimezone(UTC) for each in (since, until))
        found = [index for index in range(count(number)) if first <= committed_at(github, index) <= last]
        return paged(found, lambda index: commit(github, number, index))(info, **asked)

    return {**commit(github, number, 0), "history": granted(github, "contents", history)}


def committed_at(github: "GitHub", index: int) -> datetime:
    return github.until - LAST - APART * index


def is_direct(index: int) -> bool:
    return index % 3 == 0


def is_signed(index: int) -> bool:
    return index % 2 == 0


def oid(number: int, index: int) -> str:
    return digits(number * 1000 + index, kind=1)


def commit(github: "GitHub", number: int, index: int) -> dict:
    at = time(committed_at(github, index))
    author = {"user": user((number + index) % github.members)}
    signature = {
        "__typename": "SshSignature",
        "isValid": index % 4 == 0,
        "state": "VALID" if index % 4 == 0 else "UNKNOWN_KEY",
        "wasSignedByGitHub": False,
        "verifiedAt": at if index % 4 == 0 else None,
        "signer": author["user"],
    }
    return {
        "__typename": "Commit",
        "oid": oid(number, index),
        "url": f"https://github.com/acme/service-{number:03d}/commit/{oid(number, index)}",
        "messageHeadline": f"Change {index} of service {number}",
        "committedDate": at,
        "authoredDate": at,
        "author": author,
        "committer": author,
        "signature": signature if is_signed(index) else None,
        "associatedPullRequests": _pulls(github, index, at),
    }


def _pulls(github: "GitHub", index: int, at: str) -> Resolver:
    pulls = [] if is_direct(index) else [{"number": 900 + index, "mergedAt": at, "baseRefName": "main"}]
    return granted(github, "pull_requests", whole(*pulls))
