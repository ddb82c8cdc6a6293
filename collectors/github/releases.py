"""Evidence of releases: what was given out, by whom, and whether it can be told from a forgery."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Period, Personal, Record, evidence
from collectors.errors import AccessDenied, CollectionError, Unavailable
from collectors.github import listing
from collectors.github.change_queries import RELEASES
from collectors.github.queries import CONTENTS
from collectors.github.refusals import refusal
from collectors.github.selected import RepositoryRecord, login
from collectors.github.targets import METADATA, Organization

ATTESTATIONS = "attestations:read"
LIST = "GET /repos/{owner}/{repo}/releases"
ATTESTED = "GET /repos/{owner}/{repo}/attestations/{subject_digest}"
PAGE = 25
DELAY = timedelta(minutes=15)  # by which a list shows what was published


class ReleaseAsset(Record):
    """One file of a release."""

    name: str = Field(description="Its name.")
    size: int = Field(description="Its size in bytes.")
    digest: str | None = Field(description="Its digest, as in `sha256:2151b6…`; null for files of before 2025.")
    uploader: Personal | None = Field(description="The login of who uploaded it; null where the account is gone.")
    attested: bool | None = Field(
        description="Whether GitHub shows an attestation of it, as of how it was built; null where it has no digest, "
        "or it could not be seen, which is a gap of the repository."
    )


class Release(RepositoryRecord):
    """One release that was published."""

    id: int = Field(description="GitHub's id of the release.")
    url: str = Field(description="Its page.")
    tag: str = Field(description="Its tag.")
    name: str | None = Field(description="Its title; null where it has none.")
    target: str = Field(description="The branch or commit that the tag was made from, where it was new.")
    author: Personal | None = Field(description="The login of who made it; null where the account is gone.")
    author_kind: str | None = Field(description="`user`, `bot` or another kind of account; null where it is gone.")
    published_at: datetime = Field(description="When it was published.")
    prerelease: bool = Field(description="Whether it is marked as not ready for production.")
    immutable: bool | None = Field(
        description="Whether its tag and files can no longer be changed; null where GitHub does not say."
    )
    assets: list[ReleaseAsset] = Field(description="Its files; the source code that GitHub packs itself is not one.")


@evidence(METADATA, CONTENTS, ATTESTATIONS, window=timedelta(days=30), lag=DELAY)
def releases(organization: Organization, period: Period) -> Iterator[Release | Gap]:
    """Every release that was published in the period, with its author and files, and whether these are attested.

    That an attestation is there is what is told, not that it was verified.
    """
    return listing.each(organization, RELEASES, {}, partial(_look, organization, period), size=PAGE)


def _look(organization: Organization, period: Period, repository: Mapping[str, Any]) -> Iterator[Release | Gap]:
    if not _may_have(repository["releases"], period):
        return
    place = listing.at(repository)
    listed = organization.items(LIST, {}, permission=CONTENTS, absent=AccessDenied, **place)
    published = {each["id"]: each for each in listed if _is_in(each["published_at"], period)}.values()
    digests = {asset.get("digest") for each in published for asset in each["assets"]} - {None}
    attested: dict[str, bool | None] = {}
    failures: dict[tuple[str, str | None], CollectionError] = {}
    for digest in sorted(digests):
        try:
            attested[digest] = _is_attested(organization, place, digest)
        except CollectionError as error:
            attested[digest] = None
            failures.setdefault((error.kind, error.permission), error)
    yield from (_record(repository, each, attested) for each in published)
    yield from (error.gap(listing.name(repository)) for error in failures.values())  # each lack once


def _may_have(newest: Mapping[str, Any], period: Period) -> bool:
    """Whether REST is to be asked: GraphQL tells when the newest were published, but not what is said of them."""
    nodes = newest["nodes"]
    if any(_is_in(each["publishedAt"], period) for each in nodes):
        return True
    return bool(newest["pageInfo"]["hasNextPage"])  # a draft can be as old as any, and be published now


def _is_in(published_at: str | None, period: Period) -> bool:
    return published_at is not None and period.since <= datetime.fromisoformat(published_at) < period.until


def _is_attested(organization: Organization, place: Mapping[str, Any], digest: str) -> bool:
    """Whether there is an attestation: where there is none, GitHub says "Not Found" of it."""
    reply = organization.reply(ATTESTED, {"per_page": "1"}, permission=ATTESTATIONS, subject_digest=digest, **place)
    if reply.status == HTTPStatus.NOT_FOUND:
        return False
    error = refusal(reply, ATTESTED, ATTESTATIONS)
    if error is not None:
        raise error
    if not isinstance(reply.body, dict):
        raise Unavailable("the answer is not the object that it should be", operation=ATTESTED)
    return bool(reply.body.get("attestations"))


def _record(repository: Mapping[str, Any], release: Mapping[str, Any], attested: Mapping[str, bool | None]) -> Release:
    author = release["author"]
    return Release(
        **listing.described(repository),
        id=release["id"],
        url=release["html_url"],
        tag=release["tag_name"],
        name=release["name"],
        target=release["target_commitish"],
        author=login(author),
        author_kind=author["type"].lower() if author else None,
        published_at=release["published_at"],
        prerelease=release["prerelease"],
        immutable=release.get("immutable"),
        assets=[_asset(asset, attested) for asset in release["assets"]],
    )


def _asset(asset: Mapping[str, Any], attested: Mapping[str, bool | None]) -> ReleaseAsset:
    digest = asset.get("digest")
    return ReleaseAsset(
        name=asset["name"],
        size=asset["size"],
        digest=digest,
        uploader=login(asset.get("uploader")),
        attested=attested[digest] if digest else None,
    )
