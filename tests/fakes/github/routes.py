"""Which REST paths there are, what each needs to be granted, and how lists are cut into pages."""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from tests.fakes.github.answers import Answer, Listed, not_found, not_granted

if TYPE_CHECKING:
    from tests.fakes.github.server import GitHub

ORGANIZATION = 1
FIRST_REPOSITORY = 5000  # the id of the repository with the number 0


@dataclass(frozen=True)
class Route:
    pattern: re.Pattern
    permission: str
    cursor: bool  # whether pages are named by a cursor, and not by their number
    answer: Callable


ROUTES: list[Route] = []


def route(path: str, permission: str, *, cursor: bool = False) -> Callable[[Callable], Callable]:
    """A function that answers `GET path`, called with the server, the query and what fills the path.

    `{repo}` stands for a repository of the organization, and is handed over as its number.
    """
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path.replace("/{repo}", "/repos/acme/service-{repo}"))

    def registered(answer: Callable) -> Callable:
        ROUTES.append(Route(re.compile(pattern), permission, cursor, answer))
        return answer

    return registered


def answered(github: "GitHub", path: str, query: dict[str, str]) -> Answer:
    name = _named(path)
    for each in ROUTES:
        if found := each.pattern.fullmatch(name):
            names = {key: int(text) if key == "repo" else text for key, text in found.groupdict().items()}
            if "repo" in names and not github.shows(names["repo"]):
                return not_found()
            if each.permission in github.denied:
                return not_granted(each.permission)
            return _whole(github, each, path, query, each.answer(github, query, **names))
    return not_found()


def _named(path: str) -> str:
    """GitHub's own links name organizations and repositories by their numbers."""
    path = re.sub(rf"^/organizations/{ORGANIZATION}\b", "/orgs/acme", path)
    return re.sub(
        r"^/repositories/(\d+)\b", lambda found: f"/repos/acme/service-{int(found[1]) - FIRST_REPOSITORY:03d}", path
    )


def _numbered(path: str) -> str:
    path = re.sub(r"^/orgs/acme\b", f"/organizations/{ORGANIZATION}", path)
    return re.sub(
        r"^/repos/acme/service-(\d+)", lambda found: f"/repositories/{int(found[1]) + FIRST_REPOSITORY}", path
    )


def _whole(github: "GitHub", found: Route, path: str, query: dict[str, str], answer: object) -> Answer:
    if isinstance(answer, Answer):
        return answer
    if not isinstance(answer, Listed):
        return Answer(200, answer)
    size = int(query.get("per_page", 30))
    start = _start(found, query, size)
    shown = answer.items[start : start + size]
    body = shown if answer.within is None else {"total_count": len(answer.items), answer.within: shown}
    if start + size >= len(answer.items):
        return Answer(200, body)
    place = f"{github.url}{_numbered(path)}?"
    further = place + urlencode({**query, **_next(found, start, size)})
    last = place + urlencode({**query, "page": str(-(-len(answer.items) // size))})
    return Answer(200, body, {"Link": f'<{last}>; rel="last", <{further}>; rel="next"'})


def _start(found: Route, query: dict[str, str], size: int) -> int:
    if not found.cursor:
        return (int(query.get("page", 1)) - 1) * size
    return int(base64.b64decode(query["after"])) if query.get("after") else 0


def _next(found: Route, start: int, size: int) -> dict[str, str]:
    end = start + size
    if found.cursor:
        return {"after": base64.b64encode(str(end).encode()).decode(), "before": ""}
    return {"page": str(end // size + 1)}
