"""Evidence of changes that came into the default branches without a pull request."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Period, evidence
from collectors.errors import AccessDenied, Omitted
from collectors.github.graphql import Node
from collectors.github.history import (
    DEFAULT_BRANCH_HISTORIES,
    DELAY,
    CommitRecord,
    History,
    described,
    histories,
)
from collectors.github.queries import CONTENTS, PULL_REQUESTS
from collectors.github.targets import METADATA, Organization


class DirectPush(CommitRecord):
    """One commit on a default branch that no pull request which was merged into this branch has brought."""

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
        **described(history, commit),
        other_pull_requests=[pull["number"] for pull in pulls],
    )
