"""Merged pull requests: as many as are wanted, over the days before the end, made when they are looked at."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tests.fakes.github.answers import digits, fault, time
from tests.fakes.github.connections import Resolver, page, paged, whole
from tests.fakes.github.people import user
from tests.fakes.github.repositories import is_archived, is_fork

if TYPE_CHECKING:
    from tests.fakes.github.server import GitHub

MOST_RESULTS = 1000  # of one search
DEVELOPERS = 23


class Pulls(Sequence):
    """The pull requests by number, the oldest first."""

    def __init__(self, count: int, repositories: int, until: datetime, days: int) -> None:
        step = timedelta(days=days) / max(1, count)
        self.merged_at = [(until - step * (count - number)).replace(microsecond=0) for number in range(count)]
        self._repositories = repositories

    def __len__(self) -> int:
        return len(self.merged_at)

    def __getitem__(self, number: int) -> dict:
        return pull(number, self.at(number), self.merged_at[number])

    def at(self, number: int) -> int:
        """The number of the repository that it is in."""
        return number % self._repositories

    def between(self, since: str, until: str) -> range:
        """The numbers of those merged in a time, both ends included."""
        first, last = (datetime.fromisoformat(each).astimezone(UTC) for each in (since, until))
        return range(bisect_left(self.merged_at, first), bisect_right(self.merged_at, last))

    def of(self, repository: int) -> Resolver:
        """Those of one repository, the newest first."""
        return paged(range(repository, len(self), self._repositories)[::-1], self.__getitem__)


def pull(number: int, repository: int, merged_at: datetime) -> dict:
    """The pull request of this number: always the same one but for its time. Every seventh has no approval."""
    name = f"acme/service-{repository:03d}"
    head = digits(number)
    author = {"__typename": "Bot", "login": "dependabot"} if number % 9 == 8 else _author(number)
    review = {
        "state": "APPROVED",
        "submittedAt": time(merged_at - timedelta(hours=1)),
        "author": _author(number + 1),
        "commit": {"oid": head if number % 5 else digits(number + 1)},
    }
    return {
        "__typename": "PullRequest",
        "id": f"PR_{number:08d}",
        "number": number,
        "url": f"https://github.com/{name}/pull/{number}",
        "title": f"Change {number}",
        "createdAt": time(merged_at - timedelta(days=2)),
        "updatedAt": time(merged_at),
        "mergedAt": time(merged_at),
        "baseRefName": "release" if number % 50 == 49 else "main",
        "headRefOid": head,
        "author": author,
        "mergedBy": _author(number + 1),
        "mergeCommit": {"oid": digits(number + 10**9)},
        "repository": {
            "nameWithOwner": name,
            "isArchived": is_archived(repository),
            "isFork": is_fork(repository),
            "defaultBranchRef": {"name": "main"},
        },
        "reviews": whole(*([] if number % 7 == 6 else [review])),
        "commits": whole({"commit": {"oid": head, "statusCheckRollup": {"contexts": _checks(merged_at)}}}),
    }


def _author(number: int) -> dict:
    return user(number % DEVELOPERS)


def _checks(merged_at: datetime) -> Resolver:
    run = {
        "__typename": "CheckRun",
        "name": "build",
        "status": "COMPLETED",
        "conclusion": "SUCCESS",
        "completedAt": time(merged_at - timedelta(hours=2)),
    }
    status = {"__typename": "StatusContext", "context": "deploy", "state": "SUCCESS", "createdAt": time(merged_at)}
    return whole(run, status)


def search(github: "GitHub", query: str, first: int, after: str | None = None) -> dict:
    """Who may not read pull requests finds none, and is not told so."""
    since, until = re.search(r"\borg:acme is:pr is:merged merged:(\S+)\.\.(\S+)", query).groups()
    hidden = github.search_hides or "pull_requests" in github.denied
    found = (
        [] if hidden else [each for each in github.pulls.between(since, until) if github.shows(github.pulls.at(each))]
    )
    shown = page(found[:MOST_RESULTS], first, after)
    nodes = [_shown(github, github.pulls[number]) for number in shown["nodes"]]
    return {**shown, "nodes": nodes, "issueCount": len(found) + github.miscounted}


def _shown(github: "GitHub", found: dict) -> dict:
    def refuse(_info: object, **_: object) -> dict:
        raise fault("FORBIDDEN", "Resource not accessible by personal access token")

    if found["number"] in github.reviews_hidden:
        return {**found, "reviews": None}
    if "contents" in github.denied:
        return {**found, "commits": refuse}
    rollup = {"contexts": refuse} if "statuses" in github.denied else None
    rollup = refuse if "checks" in github.denied else rollup
    if rollup is None:
        return found
    return {**found, "commits": whole({"commit": {"oid": found["headRefOid"], "statusCheckRollup": rollup}})}
