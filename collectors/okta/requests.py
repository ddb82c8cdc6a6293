"""One read of Okta's API: what is asked, and what came back."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

_NAME_IN_PATH = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Ask:
    """A GET: `operation` is its template, as in `GET /api/v1/users/{userId}/factors`.

    `parameters` fill the names in the template; the rest is the query. `permission` is the scope that the read needs.
    `identity_engine` says that only orgs on Identity Engine have it, so that its absence is not a failure.
    """

    operation: str
    parameters: Mapping[str, str]
    permission: str | None
    headers: Mapping[str, str] = field(default_factory=dict)
    identity_engine: bool = False
    following: str | None = None

    @property
    def path(self) -> str:
        """Path and query, to be put behind the org's own URL."""
        if self.following is not None:
            return self.following
        template = self.operation.removeprefix("GET ")
        named = set(_NAME_IN_PATH.findall(template))
        path = _NAME_IN_PATH.sub(lambda match: quote(self.parameters[match[1]], safe=""), template)
        query = {name: value for name, value in self.parameters.items() if name not in named}
        return f"{path}?{urlencode(query)}" if query else path

    def next(self, url: str) -> "Ask":
        """The same read, of the page that `url` names. Of the URL only path and query are used."""
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        named = {name: self.parameters[name] for name in _NAME_IN_PATH.findall(self.operation)}
        return replace(self, parameters={**named, **query}, following=target)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, whole: `headers` are case-insensitive, `next` is the URL of the page that follows.

    `operation` is set where another call than the one asked gave the answer: the token endpoint.
    """

    status: int
    headers: Mapping[str, str]
    body: str
    next: str | None = None
    operation: str | None = None

    @property
    def succeeded(self) -> bool:
        return self.operation is None and 200 <= self.status <= 299  # noqa: PLR2004 - the class of success

    @property
    def media_type(self) -> str:
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()


class Lost(Exception):
    """No whole answer came: refused, cut off, or timed out. The message says which."""
