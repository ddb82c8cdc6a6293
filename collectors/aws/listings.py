"""Several listings of a service read as one population: one that cannot be listed does not hide the others."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from collectors.aws.targets import Region
from collectors.contract import Gap

R = TypeVar("R")


@dataclass(frozen=True)
class Listing:
    """An operation that lists resources under `key`; `arn` is the member that names one, None where a name is all.

    `keep` says that one evidence type lists them more than once.
    """

    kind: str
    operation: str
    key: str
    arn: str | None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    keep: bool = False

    def of(self, region: Region) -> Iterator[Any]:
        """The resources of a region. Raises CollectionError."""
        return region.pages(self.operation, self.key, **self.parameters, keep=self.keep)

    def name(self, resource: Any) -> str:
        """What a listed resource is called: its ARN, where the listing tells it."""
        return str(resource[self.arn] if self.arn else resource)


def look_at(
    region: Region, listings: Iterable[Listing], look: Callable[[Region, Listing, Any], R | None]
) -> Iterator[R | Gap]:
    """`look` at each resource of each listing, as `Target.each` does; a listing that fails is a gap of its key."""
    whole = region.each(
        listings, lambda listing: (listing, tuple(listing.of(region))), resource=lambda its: its.key, may_go=False
    )
    for listed in whole:
        if isinstance(listed, Gap):
            yield listed
        else:
            listing, resources = listed
            yield from region.each(resources, partial(look, region, listing), resource=listing.name)
