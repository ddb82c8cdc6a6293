"""Evidence of changes that came into the default branches without a pull request."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Period, Personal, Record, evidence
from collectors.errors import AccessDenied, Omitted
from collectors.github.graphql import Node
from collectors.github.history import DEFAULT_BRANCH_HISTORIES, DELAY, History, histories
from collectors.github.queries import CONTENTS, PULL_REQUESTS
from collectors.github.selected import login
from collectors.github.targets import METADATA, Organization


class DirectPush(Record):
    """One commit on a default branch that no pull request which was merged into this branch has brought."""

    repository: str = Field(description="The repository, as owner/name.")
    repository_id: int | None = Field(description="GitHub's id of the repository; null where GitHub does not say.")
    branch: str = Field(description="The default branch.")
    commit: str = Field(description="The commit's hash.")
    url: str = Field(description="Its page.")
    title: str = Field(description="The first line of its message.")
    committed_at: datetime = Field(description="When it was made, by the clock of who made it.")
    author: Personal | None = Field(
        description="The author's login; null where the commit's e-mail address is no account's."
    )
    committer: Personal | None = Field(
        description="The committer's login, as a rule who pushed it; null where the address is no account's."
    )
    other_pull_requests: list[int] = Field(
        description="The numbers of pull requests that it is in without having come by one of them."
    )


@evidence(METADATA, CONTENTS, PULL_REQUESTS, window=timedelta(days=30), lag=DELAY)
def pushes(organization: Organization, period: Period) -> Iterator[DirectPush | Gap]:
    """Every commit of the period on the default branch of each repository that did not come by a pull request.

    The period is that in which commits were made, and it ends a week ago, so that what is pushed within a week of being
    made is read. What a force push took away is not seen.
    """
    for found in histories(organization, period):
        if isinstance(found, Gap):
            yield found
            continue
        for node in found.commits:
            commit = node.value
            if commit is None or period.since <= datetime.fromisoformat(commit["committedDate"]) < period.until:
                yield from _seen(found, node)


def _seen(history: History, node: Node) -> Iterator[DirectPush | Gap]:
    """The record of a commit that came directly, nothing of another, a gap where that is not to be seen."""
    commit = node.value
    name = f"{history.repository['nameWithOwner']}@{commit['oid'] if commit else 'unknown'}"
    yield from (fault.error.gap(name) for fault in node.faults)
    pulls = commit["associatedPullRequests"] if commit else None
    if commit is None or pulls is None:
        if not node.faults:
            yield _hidden("the pull requests of a commit are not shown").gap(name)
        return
    shown = [pull for pull in pulls["nodes"] or () if pull is not None]
    if _came_by_one(shown, history.branch):
        return
    if pulls["totalCount"] > len(shown):
        message = f"it is in {pulls['totalCount']} pull requests, of which {len(shown)} were read"
        yield Omitted(message, operation=DEFAULT_BRANCH_HISTORIES.operation).gap(name)
        return
    yield _record(history, commit, shown)


def _came_by_one(pulls: Sequence[Mapping[str, Any]], branch: str) -> bool:
    return any(pull["mergedAt"] and pull["baseRefName"] == branch for pull in pulls)


def _hidden(message: str) -> AccessDenied:
    return AccessDenied(message, operation=DEFAULT_BRANCH_HISTORIES.operation, permission=PULL_REQUESTS)


def _record(history: History, commit: Mapping[str, Any], pulls: Sequence[Mapping[str, Any]]) -> DirectPush:
    return DirectPush(
        repository=history.repository["nameWithOwner"],
        repository_id=history.repository["databaseId"],
        branch=history.branch,
        commit=commit["oid"],
        url=commit["url"],
        title=commit["messageHeadline"],
        committed_at=commit["committedDate"],
        author=login((commit["author"] or {}).get("user")),
        committer=login((commit["committer"] or {}).get("user")),
        other_pull_requests=[pull["number"] for pull in pulls],
    )
