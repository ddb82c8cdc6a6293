"""Evidence of who signed what is on the default branches."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Period, Personal, evidence
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
from collectors.github.selected import login
from collectors.github.targets import METADATA, Organization

PULLS = "associatedPullRequests"


class SignedCommit(CommitRecord):
    """One commit on a default branch, signed or not."""

    authored_at: datetime = Field(description="When the change in it was first written, by the same clock.")
    signed: bool = Field(description="Whether it bears a signature, good or not.")
    verified: bool = Field(description="Whether GitHub has verified the signature; false where there is none.")
    state: str = Field(description="`valid`, `unsigned`, or why the signature does not count, as in `unknown_key`.")
    kind: str | None = Field(description="The signature's kind, as in `gpg`, `ssh` or `smime`; null without one.")
    signed_by_github: bool | None = Field(
        description="Whether GitHub's own key made it, as for merges on its pages; null without a signature."
    )
    signer: Personal | None = Field(
        description="The login of who signed; null without a signature, or where GitHub knows no account for it."
    )
    verified_at: datetime | None = Field(
        description="When GitHub verified the signature; null where it has not, or does not say."
    )
    pull_requests: list[int] | None = Field(
        description="The numbers of the merged pull requests that brought it here; null where not all are shown."
    )


@evidence(METADATA, CONTENTS, PULL_REQUESTS, window=timedelta(days=30), lag=DELAY)
def commits(organization: Organization, period: Period) -> Iterator[SignedCommit | Gap]:
    """Every commit of the period on the default branch of each repository, with the state of its signature.

    The period is that in which commits were made, and it ends a week ago, so that what is merged or pushed within a
    week of being made is read. What takes longer is missing, unless it was squashed or rebased on its way.
    """
    for found in histories(organization, period):
        if isinstance(found, Gap):
            yield found
        else:
            for node in found.commits:
                yield from _seen(found, node, period)


def _seen(history: History, node: Node, period: Period) -> Iterator[SignedCommit | Gap]:
    """The record of a commit that was made in the period, and what of it was not shown."""
    commit = node.value
    if commit and not period.since <= datetime.fromisoformat(commit["committedDate"]) < period.until:
        return
    name = f"{history.repository['nameWithOwner']}@{commit['oid'] if commit else 'unknown'}"
    yield from (fault.error.gap(name) for fault in node.faults)
    if commit is None:
        if not node.faults:
            yield _denied("the commit is not shown", CONTENTS).gap(name)
        return
    pulls = commit[PULLS]
    if pulls is None and not node.faults:
        yield _denied("its pull requests are not shown", PULL_REQUESTS).gap(name)
    elif pulls and pulls["totalCount"] > len(pulls["nodes"]):
        message = f"{pulls['totalCount']} pull requests, of which {len(pulls['nodes'])} were read"
        yield Omitted(message, operation=DEFAULT_BRANCH_HISTORIES.operation).gap(name)
    if all(PULLS in fault.path for fault in node.faults):
        yield _record(history, commit)


def _denied(message: str, permission: str) -> AccessDenied:
    return AccessDenied(message, operation=DEFAULT_BRANCH_HISTORIES.operation, permission=permission)


def _record(history: History, commit: Mapping[str, Any]) -> SignedCommit:
    signature = commit["signature"]
    return SignedCommit(
        **described(history, commit),
        authored_at=commit["authoredDate"],
        signed=signature is not None,
        verified=signature is not None and signature["isValid"],
        state=signature["state"].lower() if signature else "unsigned",
        kind=signature["__typename"].removesuffix("Signature").lower() if signature else None,
        signed_by_github=signature["wasSignedByGitHub"] if signature else None,
        signer=login(signature["signer"]) if signature else None,
        verified_at=signature["verifiedAt"] if signature else None,
        pull_requests=_numbers(commit[PULLS]),
    )


def _numbers(pulls: Mapping[str, Any] | None) -> list[int] | None:
    if pulls is None or pulls["totalCount"] > len(pulls["nodes"]) or None in pulls["nodes"]:
        return None
    return [pull["number"] for pull in pulls["nodes"] if pull["mergedAt"]]
