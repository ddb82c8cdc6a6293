"""Releases of every fourth repository: two in the last month, one long ago; the files of every second are attested."""

from datetime import timedelta
from typing import TYPE_CHECKING

from tests.fakes.github.answers import Answer, Listed, not_found, time
from tests.fakes.github.connections import Resolver, paged
from tests.fakes.github.people import account, user
from tests.fakes.github.routes import route

if TYPE_CHECKING:
    from tests.fakes.github.server import GitHub

AGES = (3, 10, 400)  # days


def _of(github: "GitHub", number: int) -> list[dict]:
    return [_release(github, number, index) for index in range(len(AGES))] if number % 4 == 0 else []


def digest(number: int, index: int) -> str:
    return f"sha256:{number * 10 + index:064x}"


def is_attested(number: int) -> bool:
    return number % 8 == 0


def _release(github: "GitHub", number: int, index: int) -> dict:
    at = time(github.until - timedelta(days=AGES[index]))
    asset = {"name": "service.tar.gz", "size": 4096, "uploader": account(user(0)), "digest": digest(number, index)}
    return {
        "id": 80_000 + number * 10 + index,
        "html_url": f"https://github.com/acme/service-{number:03d}/releases/tag/v{len(AGES) - index}",
        "tag_name": f"v{len(AGES) - index}",
        "name": None,
        "target_commitish": "main",
        "author": account(user(0)),
        "draft": False,
        "prerelease": index == 1,
        "immutable": True,
        "created_at": at,
        "published_at": at,
        "assets": [asset],
    }


def releases(github: "GitHub", number: int) -> Resolver:
    return paged(
        _of(github, number), lambda each: {"createdAt": each["created_at"], "publishedAt": each["published_at"]}
    )


@route("/{repo}/releases", "contents")
def listed(github: "GitHub", _query: dict, repo: int) -> Listed:
    return Listed(_of(github, repo))


@route("/{repo}/attestations/{digest}", "attestations")
def attestations(_github: "GitHub", _query: dict, repo: int, digest: str) -> Answer | dict:
    known = digest.startswith(("sha256:", "sha256%3A")) and is_attested(repo)
    return {"attestations": [{"bundle": {}, "repository_id": repo}]} if known else not_found()
