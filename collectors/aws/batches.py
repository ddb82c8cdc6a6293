"""Names in batches, for operations that take several at once."""

from collections.abc import Iterable, Iterator
from itertools import islice


def batches(items: Iterable[str], size: int) -> Iterator[list[str]]:
    """The items in lists of `size`, the last one shorter; lazy."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
