"""Times cut into slices, as GitHub's search wants them: whole seconds, both ends included."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from collectors.contract import Period

SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Slice:
    """The half-open time from `since` to `until`, both UTC and whole seconds."""

    since: datetime
    until: datetime

    @property
    def name(self) -> str:
        """As a search qualifier's value: a range with both its ends in it."""
        return f"{self.since:%Y-%m-%dT%H:%M:%SZ}..{self.until - SECOND:%Y-%m-%dT%H:%M:%SZ}"


def whole_seconds(period: Period) -> Slice:
    """The least slice that holds the period."""
    since, until = period.since.astimezone(UTC), period.until.astimezone(UTC)
    end = until.replace(microsecond=0)
    return Slice(since.replace(microsecond=0), end if end == until else end + SECOND)


def halves(part: Slice) -> Iterator[Slice]:
    """Two slices that together are `part`, which is longer than a second."""
    seconds = int((part.until - part.since).total_seconds())
    middle = part.since + timedelta(seconds=seconds // 2)
    yield Slice(part.since, middle)
    yield Slice(middle, part.until)
