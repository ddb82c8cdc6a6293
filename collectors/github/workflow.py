"""Evidence of what GitHub Actions ran, and how it ended."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

from pydantic import Field

from collectors.contract import Cancelled, Gap, Period, Personal, Record, evidence
from collectors.errors import AccessDenied, CollectionError, Unavailable
from collectors.github.connection import PER_PAGE
from collectors.github.selected import login, place
from collectors.github.slices import SECOND, Slice, halves, whole_seconds
from collectors.github.targets import METADATA, Organization

ACTIONS = "actions:read"
RUNS = "GET /repos/{owner}/{repo}/actions/runs"
MOST_RESULTS = 1000  # of one search
DELAY = timedelta(hours=6)  # by which a job on GitHub's own runners has ended


class WorkflowRun(Record):
    """One run of a workflow, as its last attempt left it."""

    repository: str = Field(description="The repository, as owner/name.")
    repository_id: int = Field(description="GitHub's id of the repository.")
    id: int = Field(description="GitHub's id of the run.")
    url: str = Field(description="Its page.")
    workflow: str = Field(description="The workflow's file, as in `.github/workflows/build.yml`.")
    workflow_id: int = Field(description="GitHub's id of the workflow.")
    name: str | None = Field(description="The workflow's name; null where GitHub does not say.")
    number: int = Field(description="How many runs the workflow has had, this one included.")
    attempt: int | None = Field(description="Which attempt this is, from 1; null where GitHub does not say.")
    event: str = Field(description="What started it, as in `push`, `pull_request` or `schedule`.")
    branch: str | None = Field(description="The branch or tag that it ran for; null where there is none.")
    commit: str = Field(description="The commit that it ran for.")
    head_repository: str | None = Field(
        description="The repository that the commit comes from, which can be a fork; null where it is gone."
    )
    status: str | None = Field(description="`completed`, or how far it is, as in `in_progress`; null if not said.")
    conclusion: str | None = Field(description="How it ended, as in `success`; null where it has not ended.")
    actor: Personal | None = Field(description="The login of who caused the first attempt; null if not said.")
    triggering_actor: Personal | None = Field(description="The login of who caused this attempt; null if not said.")
    created_at: datetime = Field(description="When the run was made.")
    started_at: datetime | None = Field(description="When this attempt began; null where GitHub does not say.")
    updated_at: datetime = Field(description="When anything of it changed last.")
    check_suite_id: int | None = Field(
        description="GitHub's id of the suite of its checks, which branches can require; null where it is not said."
    )


@evidence(ACTIONS, METADATA, window=timedelta(days=30), lag=DELAY)
def runs(organization: Organization, period: Period) -> Iterator[WorkflowRun | Gap]:
    """Every workflow run that was made in the period, with who caused it, for which commit, and how it ended.

    A run that is tried again after it was read is not read again. What was read is counted against what GitHub says
    there is, and a difference is a gap. Runs that were deleted are not seen.
    """
    for found in organization.each_repository(partial(_of_repository, organization, period)):
        if organization.run.cancelled.is_set():
            raise Cancelled
        if isinstance(found, Gap):
            yield found
        else:
            yield from found


def _of_repository(
    organization: Organization, period: Period, repository: Mapping[str, Any]
) -> list[WorkflowRun | Gap]:
    return [
        found if isinstance(found, Gap) else _run(repository, found)
        for found in _slice(organization, repository, whole_seconds(period))
        if isinstance(found, Gap) or period.since <= datetime.fromisoformat(found["created_at"]) < period.until
    ]


def _slice(organization: Organization, repository: Mapping[str, Any], part: Slice) -> Iterator[Mapping[str, Any] | Gap]:
    """What one search finds. It gives out only so many results: where there are more, each half is searched."""
    found: dict[int, Mapping[str, Any]] = {}
    for number in count(1):
        page = _page(organization, repository, part, number)
        counted = page["total_count"]
        if counted >= MOST_RESULTS and part.until - part.since > SECOND:
            yield from _halves(organization, repository, part)
            return
        found |= {run["id"]: run for run in page["workflow_runs"]}
        if number * PER_PAGE >= min(counted, MOST_RESULTS):
            break
    yield from found.values()
    if len(found) != counted:
        message = f"GitHub counts {counted} runs from {part.name}, {len(found)} were read"
        yield Unavailable(message, operation=RUNS).gap(repository["full_name"])


def _page(organization: Organization, repository: Mapping[str, Any], part: Slice, number: int) -> Mapping[str, Any]:
    filters = {
        "created": part.name,
        "exclude_pull_requests": "true",  # which would be those that are open now
        "per_page": str(PER_PAGE),
        "page": str(number),
    }
    page = organization.once(RUNS, filters, permission=ACTIONS, absent=AccessDenied, **place(repository))
    if not (isinstance(page.get("total_count"), int) and isinstance(page.get("workflow_runs"), list)):
        raise Unavailable("the answer has no list of workflow_runs", operation=RUNS)
    return page


def _halves(
    organization: Organization, repository: Mapping[str, Any], part: Slice
) -> Iterator[Mapping[str, Any] | Gap]:
    """Both halves of a slice; where one fails, the other is still read."""
    for half in halves(part):
        try:
            yield from _slice(organization, repository, half)
        except CollectionError as error:
            yield error.gap(f"{repository['full_name']}, runs from {half.name}")


def _run(repository: Mapping[str, Any], run: Mapping[str, Any]) -> WorkflowRun:
    return WorkflowRun(
        repository=repository["full_name"],
        repository_id=repository["id"],
        id=run["id"],
        url=run["html_url"],
        workflow=run["path"],
        workflow_id=run["workflow_id"],
        name=run.get("name"),
        number=run["run_number"],
        attempt=run.get("run_attempt"),
        event=run["event"],
        branch=run["head_branch"],
        commit=run["head_sha"],
        head_repository=(run["head_repository"] or {}).get("full_name"),
        status=run["status"],
        conclusion=run["conclusion"],
        actor=login(run.get("actor")),
        triggering_actor=login(run.get("triggering_actor")),
        created_at=run["created_at"],
        started_at=run.get("run_started_at"),
        updated_at=run["updated_at"],
        check_suite_id=run.get("check_suite_id"),
    )
