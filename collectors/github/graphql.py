"""GraphQL answers: data and errors are both kept, and each error belongs to the path that it names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collectors.errors import CollectionError, Invalid, Unavailable
from collectors.github.budget import RATE_LIMIT
from collectors.github.patience import Overloaded, Reply
from collectors.github.refusals import fault, refusal

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Query:
    """A named query. `permission` is what it needs as a whole, `parts` what single fields need beyond that."""

    name: str
    text: str
    permission: str
    parts: Mapping[str, str]

    def __post_init__(self) -> None:
        # A read-only agent has no other kind of document, and no second one behind the first.
        if not self.text.lstrip().startswith(f"query {self.name}(") or "mutation" in self.text:
            raise ValueError(f"{self.name} is not a single GraphQL query")

    @property
    def document(self) -> str:
        """What is sent: the text, and a look at the limit that it is counted against, which is free."""
        return self.text.replace(") {", f") {{\n  {RATE_LIMIT}", 1)

    @property
    def operation(self) -> str:
        return f"POST /graphql {self.name}"

    def part(self, path: Path) -> tuple[str, str]:
        """The operation and the permission of the field at `path`."""
        for step in reversed(path):
            if step in self.parts:
                return f"{self.operation}.{step}", self.parts[str(step)]
        return self.operation, self.permission


@dataclass(frozen=True)
class Fault:
    """One error, and where in the answer it struck."""

    path: Path
    error: CollectionError

    def below(self, path: Path) -> bool:
        return self.path[: len(path)] == path


@dataclass(frozen=True)
class Node:
    """One element of a connection: None where it could not be read, and the faults that struck at it or below it."""

    value: Mapping[str, Any] | None
    faults: Sequence[Fault]

    @property
    def repository(self) -> str:
        """The name of the repository that it is; where in the answer it stood, where that is not shown."""
        if self.value is not None:
            return str(self.value["nameWithOwner"])
        return "/".join(str(step) for fault in self.faults[:1] for step in fault.path)


@dataclass(frozen=True)
class Page:
    """One page of a connection: its own fields, its nodes, and the faults that belong to none of them."""

    connection: Mapping[str, Any]
    nodes: Sequence[Node]
    faults: Sequence[Fault]

    @property
    def cursor(self) -> str | None:
        """Where the next page begins; None on the last."""
        more: Mapping[str, Any] = self.connection["pageInfo"]
        return more["endCursor"] if more["hasNextPage"] else None


def page(query: Query, reply: Reply, path: Path) -> Page:
    """The page of the connection at `path`. Raises what stands in its place."""
    error = refusal(reply, query.operation, query.permission)
    if error is not None:
        raise error
    faults = list(_faults(query, reply.body))
    connection = _at(query, reply.body.get("data"), path, faults)
    nodes = [
        Node(value, [each for each in faults if each.below((*path, "nodes", index))])
        for index, value in enumerate(connection["nodes"])
    ]
    elsewhere = [each for each in faults if not (each.below((*path, "nodes")) and len(each.path) > len(path) + 1)]
    return Page(connection, nodes, elsewhere)


def data(query: Query, reply: Reply) -> Mapping[str, Any]:
    """The data of an answer that is wanted whole. Raises the first error in it, or what stands in its place."""
    error = refusal(reply, query.operation, query.permission)
    if error is not None:
        raise error
    for found in _faults(query, reply.body):
        raise found.error
    told: Any = reply.body.get("data")
    if not isinstance(told, dict):
        raise Unavailable("the answer is no GraphQL answer", operation=query.operation)
    return told


def overload(found: Page) -> CollectionError | None:
    """The first sign that the server gave up on part of the page."""
    faults = [*found.faults, *(each for node in found.nodes for each in node.faults)]
    return next((each.error for each in faults if isinstance(each.error, Overloaded)), None)


def _faults(query: Query, body: Any) -> Iterator[Fault]:
    if not isinstance(body, dict):
        raise Unavailable("the answer is no GraphQL answer", operation=query.operation)
    for error in body.get("errors") or []:
        path = tuple(error.get("path") or ())
        yield Fault(path, fault(error, *query.part(path)))


def _at(query: Query, data: Any, path: Path, faults: Sequence[Fault]) -> Mapping[str, Any]:
    for step in path:
        data = data.get(step) if isinstance(data, dict) else None
    if isinstance(data, dict) and isinstance(data.get("nodes"), list) and isinstance(data.get("pageInfo"), dict):
        return data
    if faults:
        raise faults[0].error
    raise Invalid(f"the answer has no {'.'.join(map(str, path))}", operation=query.operation)
