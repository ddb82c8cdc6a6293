"""Evidence that is put together from several reads which do not need each other."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from pydantic import ValidationError

from collectors.contract import Gap, explain
from collectors.errors import CollectionError, Invalid

R = TypeVar("R")


def in_turn(parts: Mapping[str, Iterable[R | Gap]]) -> Iterator[R | Gap]:
    """One part after the other. One that fails leaves a gap with its name, after what it has told; the next is read.

    Parts are lazy: a part that reads before it is asked for fails outside of this.
    """
    for name, part in parts.items():
        try:
            yield from part
        except CollectionError as error:
            yield error.gap(name)
        except ValidationError as error:
            yield Invalid(explain(error)).gap(name)
