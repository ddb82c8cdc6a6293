"""The merges that a search must find. GitHub leaves out of a search, without a word, what the identity may not read.

Each repository is asked for the pull requests that were changed last, which is refused where they may not be read. What
of these was merged in the period, the search has to give out as well.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from collectors.contract import Gap, Period
from collectors.errors import AccessDenied, CollectionError
from collectors.github.graphql import Node
from collectors.github.queries import LATEST_MERGES, MERGED_PULL_REQUESTS, PULL_REQUESTS
from collectors.github.targets import Organization

PATH = ("organization", "repositories")
PAGE = 100


class Expected:
    """Which merges of the period are known of, by the id of the pull request, until they are found."""

    def __init__(self) -> None:
        self._missing: dict[str, str] = {}
        self.searched = True  # whether all of the period was; what lacks otherwise is a gap already

    def read(self, organization: Organization, period: Period) -> Iterator[Gap]:
        """Asks each selected repository; a gap for each that does not tell, or for all of them."""
        place = f"{organization.login}/latest merges"
        try:
            for page in organization.pages(LATEST_MERGES, PATH, {"login": organization.login}, size=PAGE, keep=False):
                yield from (fault.error.gap(place) for fault in page.faults)
                for node in page.nodes:
                    if node.value is None or organization.selects(node.value):
                        yield from self._note(node, period)
        except CollectionError as error:
            yield error.gap(place)

    def _note(self, node: Node, period: Period) -> Iterator[Gap]:
        yield from (fault.error.gap(node.repository) for fault in node.faults[:1])
        found: Any = (node.value or {}).get("pullRequests")
        for pull in (found or {}).get("nodes") or ():
            if pull is not None and period.since <= datetime.fromisoformat(pull["mergedAt"]) < period.until:
                self._missing[pull["id"]] = f"{node.repository}#{pull['number']}"

    def found(self, number: str) -> None:
        """The search has this one."""
        self._missing.pop(number, None)

    def gaps(self) -> Iterator[Gap]:
        """What the whole search does not have."""
        for name in self._missing.values() if self.searched else ():
            message = "it was merged in the period, and the search does not show it to this identity"
            yield AccessDenied(message, operation=MERGED_PULL_REQUESTS.operation, permission=PULL_REQUESTS).gap(name)
