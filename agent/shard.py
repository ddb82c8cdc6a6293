"""Which places one of several agents reads, where one machine is not enough.

Each place goes to the shard whose digest of it is the highest (rendezvous hashing). So each is on exactly one shard,
nobody has to be asked which, and with one shard more only those places move that the new one gets.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

_INDEX = "JOB_COMPLETION_INDEX"  # set by Kubernetes in each pod of an Indexed Job


@dataclass(frozen=True)
class Shard:
    """One of `count` shards; `index` counts from 0."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str, environment: Mapping[str, str]) -> Self:
        """`0/8` is the first of eight; `8` alone leaves the index to Kubernetes. Raises ValueError."""
        index, slash, count = text.rpartition("/")
        if not slash:
            index = environment.get(_INDEX, "")
            if not index:
                raise ValueError(f"{text} names no shard, and {_INDEX} is not set; name one, as in 0/8")
        try:
            shard = cls(int(index), int(count))
        except ValueError:
            raise ValueError(f"{index}/{count} is no shard; the first of eight is 0/8, the last 7/8") from None
        if not 0 <= shard.index < shard.count:
            raise ValueError(f"there is no shard {shard}; the first is 0/{max(shard.count, 1)}")
        return shard

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def has(self, collector: str, place: str) -> bool:
        """Whether the place, which is named by its target's id, is this shard's."""
        return self.index == max(range(self.count), key=lambda index: _weight(index, collector, place))


WHOLE = Shard(0, 1)
"""All places."""


def _weight(index: int, collector: str, place: str) -> bytes:
    return hashlib.blake2b(f"{index}\0{collector}\0{place}".encode(), digest_size=16).digest()
