"""Lists whose elements GitHub tells more of than their nodes do, as the role of a member in a team: GraphQL's edges."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collectors.errors import AccessDenied
from collectors.github.graphql import Node, Path, Query
from collectors.github.population import PartlyShown
from collectors.github.targets import Organization

EDGES = 100

Edge = Mapping[str, Any]


@dataclass(frozen=True)
class Edges:
    """A connection below each node of what `first` lists; `rest` reads the whole of one, at `path`."""

    first: Query
    rest: Query
    path: Path

    def of(self, organization: Organization, owner: Mapping[str, Any], variables: Mapping[str, Any]) -> list[Edge]:
        """All edges that `owner` has: those that came with it or, where these are not all, those read anew with
        `variables`. Raises what failed, and PartlyShown where GitHub counts more than it shows.
        """
        came = owner[str(self.path[-1])]
        if came is None:
            message = f"the {self.path[-1]} are not shown"
            raise AccessDenied(message, operation=self.first.operation, permission=self.first.permission)
        if not came["pageInfo"]["hasNextPage"]:
            return self._whole(came["edges"], came["totalCount"], self.first)
        found: list[Edge | None] = []
        total = 0
        for page in organization.pages(self.rest, self.path, variables, size=EDGES, keep=False):
            for fault in (*page.faults, *(each for node in page.nodes for each in node.faults)):
                raise fault.error
            found += page.connection["edges"]
            total = page.connection["totalCount"]
        return self._whole(found, total, self.rest)

    def _whole(self, found: list[Edge | None] | None, total: int, query: Query) -> list[Edge]:
        shown = [edge for edge in found or () if edge is not None]
        if len(shown) < total:
            message = f"{total} {self.path[-1]}, of which {len(shown)} were shown"
            raise PartlyShown(message, operation=query.operation)
        return shown


def whole(node: Node, query: Query) -> Mapping[str, Any]:
    """What GraphQL tells of a node. Raises what failed at it or below it."""
    for fault in node.faults:
        raise fault.error
    if node.value is None:
        raise AccessDenied("it is not shown", operation=query.operation, permission=query.permission)
    return node.value
