"""The organizations that are read, and their reads by REST and GraphQL."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import quote

from collectors.contract import Gap, Run, Target, Unreachable, note
from collectors.errors import CollectionError, NotFound, Unavailable
from collectors.github.answer import checked, listed
from collectors.github.budget import Budget
from collectors.github.connection import PER_PAGE
from collectors.github.credentials import Credentials, Installation
from collectors.github.grants import missing_permissions, missing_scopes
from collectors.github.graphql import Page, Path, Query, data, overload, page
from collectors.github.links import next_page
from collectors.github.patience import Overloaded, Reply
from collectors.github.population import INSTALLATION, LISTED, unseen
from collectors.github.queries import ADMINISTRATION
from collectors.github.settings import Settings
from collectors.github.transport import ATTEMPTS, Question, Transport

R = TypeVar("R")
T = TypeVar("T")

METADATA = "metadata:read"
_NONE: Mapping[str, str] = MappingProxyType({})


def connect(settings: Settings, run: Run) -> Iterator[Target | Unreachable]:
    """Each configured organization. Raises Unauthenticated where there is no secret to read with."""
    credentials, budget = settings.credentials(), Budget()
    for login in settings.organizations:
        yield Organization(login, settings, credentials, budget, run)


class Organization(Target):
    """One organization, and the repositories of it that are selected."""

    def __init__(self, login: str, settings: Settings, credentials: Credentials, budget: Budget, run: Run) -> None:
        super().__init__(run)
        self.id = self.login = login
        self.selection = settings.selection
        self.description = {"organization": login, "base_url": settings.base_url, **self.selection.told}
        self._base_url = settings.base_url
        self._credentials = credentials
        self._transport = Transport(settings.base_url, credentials, budget, run, settings.longest_wait)

    def identity(self) -> str:
        """The login of the token's owner, or the App's slug and its installation. Raises CollectionError."""
        if isinstance(self._credentials, Installation):
            question = Question("GET /app", "/app", requester=self._credentials.application)
            app = checked(dict, self._transport.send(question), question.operation, None)
            return f"{app.get('slug')}/{self._credentials.installation_id}"
        return str(self.get("GET /user", permission=None).get("login"))

    def refused(self, permissions: Iterable[str]) -> Mapping[str, str]:
        """What the App's installation, or the scopes of a classic token, do not grant; a fine-grained token's are not
        told.
        """
        try:
            return self._lacking(permissions) or {}
        except CollectionError:
            return {}

    def administers(self, repository: Mapping[str, Any]) -> bool:
        """Whether "there is none" is a fact where GraphQL says it of what only a repository's administrators are shown.

        Others are told so, too. `viewerCanAdminister` speaks of the user, and a token can be granted less: it is
        believed only where GitHub also says that the token was granted as much.
        """
        return repository["viewerCanAdminister"] and self._lacking([ADMINISTRATION]) == {}

    def _lacking(self, permissions: Iterable[str]) -> Mapping[str, str] | None:
        """Which of the permissions were not granted; None where GitHub does not say what was."""
        installation = self.installation()
        if installation is not None:
            return missing_permissions(installation, permissions)
        scopes = self.reply("GET /user", permission=None).headers.get("x-oauth-scopes")
        return None if scopes is None else missing_scopes(scopes, permissions)

    def unseen(self) -> Iterator[Gap]:
        """What is left out where the App was given selected repositories only, or more are counted than listed."""
        return unseen(self)

    def installation(self) -> dict[str, Any] | None:
        """What GitHub says of the App's installation; None where a token reads."""
        if not isinstance(self._credentials, Installation):
            return None
        names = {"installation_id": str(self._credentials.installation_id)}
        question = Question(INSTALLATION, _path(INSTALLATION, names), requester=self._credentials.application)
        reply = self.reads.read(INSTALLATION, names, lambda: self._transport.send(question))
        found: dict[str, Any] = checked(dict, reply, INSTALLATION, None)
        return found

    def get(
        self,
        operation: str,
        filters: Mapping[str, str] = _NONE,
        /,
        *,
        permission: str | None,
        absent: type[CollectionError] = NotFound,
        **names: str,
    ) -> dict[str, Any]:
        """The object that `operation`, as in `GET /orgs/{org}`, answers with. `absent` is what a 404 means."""
        reply = self.reply(operation, filters, permission=permission, **names)
        found: dict[str, Any] = checked(dict, reply, operation, permission, absent)
        return found

    def once(
        self,
        operation: str,
        filters: Mapping[str, str] = _NONE,
        /,
        *,
        permission: str | None,
        absent: type[CollectionError] = NotFound,
        **names: str,
    ) -> dict[str, Any]:
        """Like `get`, for an answer that is large and that nobody else wants: it is not kept."""
        reply = self._read(operation, _path(operation, names), names, filters, permission, keep=False)
        found: dict[str, Any] = checked(dict, reply, operation, permission, absent)
        return found

    def reply(
        self, operation: str, filters: Mapping[str, str] = _NONE, /, *, permission: str | None, **names: str
    ) -> Reply:
        """The reply of `operation`, whatever its status, for calls on which a refusal can be a fact."""
        return self._read(operation, _path(operation, names), names, filters, permission)

    def items(
        self,
        operation: str,
        filters: Mapping[str, str],
        *,
        permission: str,
        absent: type[CollectionError] = NotFound,
        within: str | None = None,
        **names: str,
    ) -> Iterator[dict[str, Any]]:
        """All elements of a list, over all its pages, of which memory holds one.

        `within` is the field that holds the list, where an object does.
        """
        for reply in self._replies(operation, filters, names, permission, keep=False):
            yield from listed(reply, within, operation, permission, absent)

    def _replies(
        self, operation: str, filters: Mapping[str, str], names: Mapping[str, str], permission: str, *, keep: bool
    ) -> Iterator[Reply]:
        """All pages of a list; with `keep` others of this run have the same ones."""
        place: tuple[str, Mapping[str, str]] | None
        place = _path(operation, names), {**filters, "per_page": str(PER_PAGE)}
        while place is not None:
            reply = self._read(operation, place[0], names, place[1], permission, keep=keep)
            yield reply
            before, place = place, next_page(reply.headers, self._base_url, operation)
            if place == before:
                raise Unavailable("the next page is the same page again", operation=operation)

    def repositories(self) -> Iterator[dict[str, Any]]:
        """The selected repositories, by name, as REST lists them; asked for once in a run."""
        for found in self.all_repositories():
            if self.selection.has(found["name"], archived=found["archived"], fork=found["fork"]):
                yield found

    def all_repositories(self) -> Iterator[dict[str, Any]]:
        """Those that are not selected, too."""
        filters = {"type": "all", "sort": "full_name"}
        for reply in self._replies(LISTED, filters, {"org": self.login}, METADATA, keep=True):
            yield from listed(reply, None, LISTED, METADATA)

    def each_repository(self, look: Callable[[dict[str, Any]], R | None]) -> Iterator[R | Gap]:
        """`look` at each selected repository, as `Target.each` does, and the gaps for those that are not shown."""
        yield from self.each(self.repositories(), look, resource=lambda found: str(found["full_name"]))
        yield from self.unseen()

    def selects(self, repository: Mapping[str, Any]) -> bool:
        """Whether a repository, as GraphQL tells it, is one that is read."""
        name = repository["nameWithOwner"].partition("/")[2]
        return self.selection.has(name, archived=repository["isArchived"], fork=repository["isFork"])

    def ask(self, query: Query) -> Mapping[str, Any]:
        """The data that answers a query about the organization without a connection. Raises the first error in it."""
        variables = {"login": self.login}
        question = Question(query.operation, body={"query": query.document, "variables": variables})
        return data(query, self._asked(query, variables, lambda: self._transport.send(question), keep=True))

    def pages(
        self, query: Query, path: Path, variables: Mapping[str, Any], *, size: int, keep: bool = True
    ) -> Iterator[Page]:
        """All pages of the connection at `path` of a query's answer, beginning with `size` nodes in each.

        Where the server gives up on a page, smaller ones are asked for from there on, until the one node that was too
        much is passed. `keep` lets other evidence types of this run have the same pages; without it memory holds one.
        """
        cursor, largest = None, size
        while True:
            found = self._page(query, path, {**variables, "first": size, "after": cursor}, keep=keep)
            if found is None:
                size //= 2
                continue
            yield found
            if found.cursor is None:
                return
            if found.cursor == cursor:
                raise Unavailable("the next page is the same page again", operation=query.operation)
            cursor = found.cursor
            if size == 1 and overload(found):
                size = largest

    def _page(self, query: Query, path: Path, variables: Mapping[str, Any], *, keep: bool) -> Page | None:
        """One page; None where a smaller one should be asked for."""
        smallest = variables["first"] == 1
        question = Question(query.operation, body={"query": query.document, "variables": variables})

        def ask() -> Page:
            return page(query, self._transport.send(question, attempts=ATTEMPTS if smallest else 1), path)

        try:
            found = self._asked(query, variables, ask, keep=keep)
        except Overloaded:
            if smallest:
                raise
            return None
        return found if smallest or not overload(found) else None

    def _asked(self, query: Query, variables: Mapping[str, Any], ask: Callable[[], T], *, keep: bool) -> T:
        for part, permission in query.parts.items():
            note(f"{query.operation}.{part}", variables, permission=permission, reused=True)
        if keep:
            return self.reads.read(query.operation, variables, ask, permission=query.permission)
        note(query.operation, variables, permission=query.permission)
        return ask()

    def _read(
        self,
        operation: str,
        path: str,
        names: Mapping[str, str],
        query: Mapping[str, str],
        permission: str | None,
        *,
        keep: bool = True,
    ) -> Reply:
        question = Question(operation, path, query)
        parameters = {**names, **query}
        if not keep:
            note(operation, parameters, permission=permission)
            return self._transport.send(question)
        return self.reads.read(operation, parameters, lambda: self._transport.send(question), permission=permission)

    def close(self) -> None:
        super().close()
        self._transport.close()


def _path(operation: str, names: Mapping[str, str]) -> str:
    return operation.partition(" ")[2].format(**{name: quote(value, safe="") for name, value in names.items()})
