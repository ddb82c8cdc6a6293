"""GraphQL's connections: nodes or edges in pages, as they are asked for."""

import base64
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tests.fakes.github.answers import NO_GRANT, fault

if TYPE_CHECKING:
    from tests.fakes.github.server import GitHub

Resolver = Callable[..., Any]


def whole(*nodes: dict) -> Resolver:
    """A connection that gives its first or last nodes, as asked."""

    def connection(_info: object, *, first: int | None = None, last: int | None = None, **_: object) -> dict:
        shown = nodes[:first] if first is not None else nodes[-last:] if last else nodes
        return {"totalCount": len(nodes), "nodes": list(shown), "pageInfo": {"hasNextPage": len(shown) < len(nodes)}}

    return connection


def page(nodes: Sequence, first: int, after: str | None) -> dict:
    start = int(base64.b64decode(after)) if after else 0
    end = start + first
    cursor = base64.b64encode(str(end).encode()).decode()
    shown = list(nodes[start:end])
    more = {"hasNextPage": end < len(nodes), "endCursor": cursor if shown else None}
    return {"totalCount": len(nodes), "nodes": shown, "pageInfo": more}


def paged(nodes: Sequence, made: Callable[[Any], dict] = lambda node: node) -> Resolver:
    """A connection of any length: only what is on the page is `made`."""

    def connection(_info: object, *, first: int, after: str | None = None, **_: object) -> dict:
        found = page(nodes, first, after)
        shown = [made(node) for node in found["nodes"]]
        return {**found, "nodes": shown, "edges": shown}

    return connection


def granted(github: "GitHub", permission: str, resolve: Resolver) -> Resolver:
    """A field that is shown to who has the permission."""

    def shown(info: object, **asked: object) -> object:
        if permission in github.denied:
            raise fault("FORBIDDEN", NO_GRANT)
        return resolve(info, **asked)

    return shown
