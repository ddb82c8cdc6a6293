"""The commits of a period on the default branches, as the evidence of signatures and of direct pushes reads them.

Git knows when a commit was made, not when it was pushed. What is made in a period can be on the branch only later, so
periods that are read from here end DELAY ago; what takes longer to arrive is not seen.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from pydantic import Field

from collectors.contract import Cancelled, Gap, Period, Personal, Record
from collectors.errors import AccessDenied, Unavailable
from collectors.github.graphql import Node, Query
from collectors.github.queries import CONTENTS, PULL_REQUESTS
from collectors.github.selected import login
from collectors.github.slices import SECOND, whole_seconds
from collectors.github.targets import METADATA, Organization

DELAY = timedelta(days=7)  # by which a commit that was made is on the default branch, as a rule
PATH = ("organization", "repositories")
INSIDE = ("defaultBranchRef", "target", "history", "nodes")  # where the commits are in a repository
PAGE = 25
LONG_PAGE = 100

_COMMIT = """
fragment CommitOfHistory on Commit {
  oid
  url
  messageHeadline
  committedDate
  authoredDate
  author { user { login } }
  committer { user { login } }
  signature { __typename isValid state wasSignedByGitHub verifiedAt signer { login } }
  associatedPullRequests(first: 5) {
    totalCount
    nodes { number mergedAt baseRefName }
  }
}
"""
_PARTS = {"history": CONTENTS, "associatedPullRequests": PULL_REQUESTS}

DEFAULT_BRANCH_HISTORIES = Query(
    "DefaultBranchHistories",
    """
query DefaultBranchHistories(
  $login: String!, $first: Int!, $after: String, $since: GitTimestamp!, $until: GitTimestamp!
) {
  organization(login: $login) {
    repositories(first: $first, after: $after, ownerAffiliations: [OWNER], orderBy: {field: NAME, direction: ASC}) {
      pageInfo { hasNextPage endCursor }
      nodes {
        databaseId
        nameWithOwner
        isArchived
        isFork
        defaultBranchRef {
          name
          target {
            __typename
            oid
            ... on Commit {
              history(first: 25, since: $since, until: $until) {
                totalCount
                pageInfo { hasNextPage }
                nodes { ...CommitOfHistory }
              }
            }
          }
        }
      }
    }
  }
}
"""
    + _COMMIT,
    METADATA,
    _PARTS,
)

LONG_HISTORY = Query(
    "LongHistory",
    """
query LongHistory(
  $owner: String!, $name: String!, $head: GitObjectID!, $first: Int!, $after: String,
  $since: GitTimestamp!, $until: GitTimestamp!
) {
  repository(owner: $owner, name: $name) {
    object(oid: $head) {
      __typename
      ... on Commit {
        history(first: $first, after: $after, since: $since, until: $until) {
          totalCount
          pageInfo { hasNextPage endCursor }
          nodes { ...CommitOfHistory }
        }
      }
    }
  }
}
"""
    + _COMMIT,
    METADATA,
    _PARTS,
)


class CommitRecord(Record):
    """A record about one commit on a default branch."""

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
        description="The committer's login; null where the commit's e-mail address is no account's."
    )


@dataclass(frozen=True)
class History:
    """The commits of one repository's default branch, newest first, each with the faults that struck at it.

    GitHub tells whole seconds: who reads a period looks at each commit's own date.
    """

    repository: Mapping[str, Any]
    branch: str
    commits: Sequence[Node]


def described(history: History, commit: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a CommitRecord."""
    return {
        "repository": history.repository["nameWithOwner"],
        "repository_id": history.repository["databaseId"],
        "branch": history.branch,
        "commit": commit["oid"],
        "url": commit["url"],
        "title": commit["messageHeadline"],
        "committed_at": commit["committedDate"],
        "author": login((commit["author"] or {}).get("user")),
        "committer": login((commit["committer"] or {}).get("user")),
    }


def histories(organization: Organization, period: Period) -> Iterator[History | Gap]:
    """The history of each selected repository that is not empty, or the gap that it left."""
    part = whole_seconds(period)
    span = {"since": f"{part.since:%Y-%m-%dT%H:%M:%SZ}", "until": f"{part.until - SECOND:%Y-%m-%dT%H:%M:%SZ}"}
    variables = {"login": organization.login, **span}
    for page in organization.pages(DEFAULT_BRANCH_HISTORIES, PATH, variables, size=PAGE):
        yield from (fault.error.gap(organization.login) for fault in page.faults)
        selected = [node for node in page.nodes if node.value is None or organization.selects(node.value)]
        yield from organization.each(
            selected, partial(_history, organization, span), resource=lambda node: node.repository
        )
        if organization.run.cancelled.is_set():
            raise Cancelled
    yield from organization.unseen()


def _history(organization: Organization, span: Mapping[str, str], node: Node) -> History | None:
    """None where the repository is empty. Raises what stands in the history's place."""
    for fault in node.faults:
        if not _is_of_commit(fault.path):
            raise fault.error
    if node.value is None:
        raise _hidden("the repository is not shown", METADATA)
    branch = node.value["defaultBranchRef"]
    if branch is None:
        return None
    found = (branch["target"] or {}).get("history")
    if found is None:
        raise _hidden("the history of the default branch is not shown", CONTENTS)
    commits = _commits(node, found)
    if found["pageInfo"]["hasNextPage"]:
        commits = _long(organization, span, node.value, branch["target"]["oid"])
    if found["totalCount"] != len(commits):
        message = f"GitHub counts {found['totalCount']} commits, {len(commits)} were read"
        raise Unavailable(message, operation=DEFAULT_BRANCH_HISTORIES.operation)
    return History(node.value, branch["name"], commits)


def _hidden(message: str, permission: str) -> AccessDenied:
    return AccessDenied(message, operation=DEFAULT_BRANCH_HISTORIES.operation, permission=permission)


def _is_of_commit(path: Sequence[str | int]) -> bool:
    inside = path[len(PATH) + 2 :]  # behind `nodes` and the repository's place there
    return inside[: len(INSIDE)] == INSIDE and len(inside) > len(INSIDE)


def _commits(node: Node, found: Mapping[str, Any]) -> list[Node]:
    place = len(PATH) + 2 + len(INSIDE)
    return [
        Node(value, [fault for fault in node.faults if _is_of_commit(fault.path) and fault.path[place] == index])
        for index, value in enumerate(found["nodes"] or ())
    ]


def _long(organization: Organization, span: Mapping[str, str], repository: Mapping[str, Any], head: str) -> list[Node]:
    """All commits up to `head`, so that what is pushed meanwhile moves nothing. They can be many, and are not kept."""
    owner, _, name = repository["nameWithOwner"].partition("/")
    variables = {"owner": owner, "name": name, "head": head, **span}
    commits: list[Node] = []
    path = ("repository", "object", "history")
    for page in organization.pages(LONG_HISTORY, path, variables, size=LONG_PAGE, keep=False):
        for fault in page.faults:
            raise fault.error
        commits += page.nodes
    return commits
