"""Evidence of how changes came into the default branches."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from collectors.contract import Cancelled, Gap, Period, Personal, Record, evidence
from collectors.errors import AccessDenied, CollectionError, Omitted, Unavailable
from collectors.github.graphql import Node
from collectors.github.merges import Expected
from collectors.github.queries import CHECKS, CONTENTS, MERGED_PULL_REQUESTS, PULL_REQUESTS, STATUSES
from collectors.github.selected import kind, login
from collectors.github.slices import SECOND, Slice, halves, whole_seconds
from collectors.github.targets import METADATA, Organization

PAGE = 50
MOST_RESULTS = 1000  # of one search
DELAY = timedelta(minutes=15)  # by which a search knows of a merge
GONE = "ghost"  # as GitHub shows an account that was deleted


class Review(Record):
    """A reviewer's last word before the merge."""

    reviewer: Personal | None = Field(description="The reviewer's login; null where the account is gone.")
    reviewer_kind: str | None = Field(description="`user`, `bot` or another kind; null where the account is gone.")
    state: str = Field(description="`approved`, `changes_requested` or `dismissed`.")
    submitted_at: datetime = Field(description="When it was given.")
    after_last_push: bool = Field(
        description="Whether it was given on the commit that was merged, so after every push."
    )


class Check(Record):
    """A check run or commit status on the last commit of the pull request."""

    name: str = Field(description="The name of the check run, or the context of the status.")
    conclusion: str = Field(description="How it ended, as in `success`; its state where it has not ended.")
    completed_at: datetime | None = Field(description="When it ended; null where it has not.")
    before_merge: bool = Field(description="Whether it had ended when the pull request was merged.")


class PullRequestReviews(Record):
    """One pull request that was merged into a default branch."""

    repository: str = Field(description="The repository, as owner/name.")
    number: int = Field(description="The pull request's number in its repository.")
    url: str = Field(description="Its page.")
    title: str = Field(description="Its title.")
    branch: str = Field(description="The default branch that it was merged into.")
    author: Personal | None = Field(description="The author's login; null where the account is gone.")
    author_kind: str | None = Field(description="`user`, `bot` or another kind of account; null where it is gone.")
    created_at: datetime = Field(description="When it was opened.")
    merged_at: datetime = Field(description="When it was merged.")
    merged_by: Personal | None = Field(description="Who merged it; null where the account is gone.")
    head_commit: str = Field(description="The last commit that was pushed to it.")
    merge_commit: str | None = Field(description="The commit that it became on the default branch.")
    reviews: list[Review] = Field(description="Each reviewer's last word before the merge, in the order of time.")
    approvers: list[Personal] = Field(description="Who approved it, other than its author.")
    approvers_after_last_push: list[Personal] = Field(description="Those of them who saw the commit that was merged.")
    self_approved: bool = Field(description="Whether its author approved it.")
    merged_by_author: bool | None = Field(description="Whether its author merged it; null where either is gone.")
    merged_without_review: bool = Field(description="Whether nobody other than its author approved it.")
    checks: list[Check] | None = Field(description="The checks on its last commit; null where they could not be seen.")


@evidence(PULL_REQUESTS, CONTENTS, CHECKS, STATUSES, METADATA, window=timedelta(days=30), lag=DELAY)
def reviews(organization: Organization, period: Period) -> Iterator[PullRequestReviews | Gap]:
    """Every pull request merged into the default branch of its repository in the period, with who wrote, approved and
    merged it, and the checks on its last commit.

    The population is whole: what was read is counted against what GitHub says there is, and a difference is a gap. So
    is what a repository shows and the search does not.
    """
    expected = Expected()
    yield from expected.read(organization, period)
    yield from _slice(organization, whole_seconds(period), period, expected)
    yield from expected.gaps()
    yield from organization.unseen()


def _slice(
    organization: Organization, part: Slice, period: Period, expected: Expected
) -> Iterator[PullRequestReviews | Gap]:
    """What one search finds. A search gives out only so many results: where there are more, each half is searched."""
    search = f"org:{organization.login} is:pr is:merged merged:{part.name}"
    pages = organization.pages(MERGED_PULL_REQUESTS, ("search",), {"search": search}, size=PAGE, keep=False)
    counted, hidden, seen = 0, 0, set[str]()
    for page in pages:
        counted = page.connection["issueCount"]
        if counted > MOST_RESULTS and not seen:  # later on, halves would tell again what was told
            yield from _halves(organization, part, period, expected, counted)
            return
        yield from (fault.error.gap(part.name) for fault in page.faults)
        for node in page.nodes:
            if organization.run.cancelled.is_set():
                raise Cancelled
            if node.value is None:
                hidden += 1
                yield from _unseen(node, part)
            elif node.value["id"] not in seen:  # what is merged meanwhile can push a result onto the next page
                seen.add(node.value["id"])
                expected.found(node.value["id"])
                if organization.selects(node.value["repository"]):
                    yield from _seen(node, node.value, period)
    if counted != len(seen) + hidden:
        message = f"GitHub counts {counted} merged pull requests, {len(seen) + hidden} were read"
        yield Unavailable(message, operation=MERGED_PULL_REQUESTS.operation).gap(part.name)


def _halves(
    organization: Organization, part: Slice, period: Period, expected: Expected, counted: int
) -> Iterator[PullRequestReviews | Gap]:
    """Both halves of a slice; where one fails, the other is still read."""
    if part.until - part.since <= SECOND:
        expected.searched = False
        message = f"{counted} pull requests were merged in one second, and a search gives out {MOST_RESULTS}"
        yield Unavailable(message, operation=MERGED_PULL_REQUESTS.operation).gap(part.name)
        return
    for half in halves(part):
        try:
            yield from _slice(organization, half, period, expected)
        except CollectionError as error:
            expected.searched = False
            yield error.gap(half.name)


def _unseen(node: Node, part: Slice) -> Iterator[Gap]:
    message = "a pull request that the search counts is not shown"
    hidden = AccessDenied(message, operation=MERGED_PULL_REQUESTS.operation, permission=PULL_REQUESTS)
    for error in [fault.error for fault in node.faults] or [hidden]:
        yield error.gap(part.name)


def _seen(node: Node, pull: Mapping[str, Any], period: Period) -> Iterator[PullRequestReviews | Gap]:
    """The record of a pull request that was merged in the period into the default branch; nothing of another."""
    default = (pull["repository"]["defaultBranchRef"] or {}).get("name")
    merged_at = datetime.fromisoformat(pull["mergedAt"])
    if pull["baseRefName"] != default or not period.since <= merged_at < period.until:
        return
    name = f"{pull['repository']['nameWithOwner']}#{pull['number']}"
    yield from (fault.error.gap(name) for fault in node.faults)
    rollup = pull["commits"]["nodes"][-1]["commit"]["statusCheckRollup"] if pull["commits"]["nodes"] else None
    contexts = (rollup or {"contexts": {"totalCount": 0, "nodes": []}})["contexts"]
    whole = [_whole(found, what) for found, what in ((pull["reviews"], "reviews"), (contexts, "checks"))]
    yield from (error.gap(name) for error in whole if error)
    if pull["reviews"] is None and not any("reviews" in fault.path for fault in node.faults):
        message = "its reviews are not shown"
        yield AccessDenied(message, operation=MERGED_PULL_REQUESTS.operation, permission=PULL_REQUESTS).gap(name)
    if pull["reviews"] is None or whole[0]:
        return
    unknown = whole[1] or any("statusCheckRollup" in fault.path for fault in node.faults)
    yield _record(pull, merged_at, None if unknown else [_check(each, merged_at) for each in contexts["nodes"]])


def _whole(found: Mapping[str, Any] | None, what: str) -> Omitted | None:
    if found is None or found["totalCount"] <= len(found["nodes"]):
        return None
    message = f"{found['totalCount']} {what}, of which {len(found['nodes'])} were read"
    return Omitted(message, operation=MERGED_PULL_REQUESTS.operation)


def _record(pull: Mapping[str, Any], merged_at: datetime, checks: list[Check] | None) -> PullRequestReviews:
    author, merger = login(pull["author"]), login(pull["mergedBy"])
    last_words = _last_words(pull, merged_at)
    approved = [each for each in last_words if each.state == "approved"]
    others = [each for each in approved if each.reviewer != author]
    return PullRequestReviews(
        repository=pull["repository"]["nameWithOwner"],
        number=pull["number"],
        url=pull["url"],
        title=pull["title"],
        branch=pull["baseRefName"],
        author=author,
        author_kind=kind(pull["author"]),
        created_at=pull["createdAt"],
        merged_at=merged_at,
        merged_by=merger,
        head_commit=pull["headRefOid"],
        merge_commit=(pull["mergeCommit"] or {}).get("oid"),
        reviews=last_words,
        approvers=[each.reviewer or GONE for each in others],
        approvers_after_last_push=[each.reviewer or GONE for each in others if each.after_last_push],
        self_approved=author is not None and len(others) < len(approved),
        merged_by_author=None if author is None or merger is None else author == merger,
        merged_without_review=not others,
        checks=checks,
    )


def _last_words(pull: Mapping[str, Any], merged_at: datetime) -> list[Review]:
    """The last review of each reviewer before the merge: an approval that was taken back is none."""
    latest: dict[str | None, Review] = {}
    for given in sorted(pull["reviews"]["nodes"], key=lambda each: each["submittedAt"] or ""):
        submitted_at = given["submittedAt"] and datetime.fromisoformat(given["submittedAt"])
        if submitted_at and submitted_at <= merged_at:
            reviewer = login(given["author"])
            latest.pop(reviewer, None)
            latest[reviewer] = Review(
                reviewer=reviewer,
                reviewer_kind=kind(given["author"]),
                state=given["state"].lower(),
                submitted_at=submitted_at,
                after_last_push=(given["commit"] or {}).get("oid") == pull["headRefOid"],
            )
    return list(latest.values())


def _check(given: Mapping[str, Any], merged_at: datetime) -> Check:
    if given["__typename"] == "CheckRun":
        name, ended = given["name"], given["completedAt"]
        conclusion = given["conclusion"] or given["status"]
    else:
        name, conclusion = given["context"], given["state"]
        ended = given["createdAt"] if conclusion in ("SUCCESS", "FAILURE", "ERROR") else None
    completed_at = ended and datetime.fromisoformat(ended)
    return Check(
        name=name,
        conclusion=conclusion.lower(),
        completed_at=completed_at,
        before_merge=bool(completed_at and completed_at <= merged_at),
    )
