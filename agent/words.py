"""Numbers and instants as people say them."""

from datetime import UTC, datetime


def when(instant: float | datetime | None, *, now: datetime | None = None) -> str:
    """An instant as people say it: `2026-04-15 09:14 UTC (3 h ago)`."""
    if instant is None:
        return "never"
    moment = instant if isinstance(instant, datetime) else datetime.fromtimestamp(instant, UTC)
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    distance = f"{span(seconds)} ago" if seconds >= 0 else f"in {span(-seconds)}"
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC ({distance})"


def span(seconds: float) -> str:
    """A length of time in its largest unit: `45 s`, `12 min`, `3 h`, `9 d`."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def size(number: float) -> str:
    """Bytes in their largest decimal unit: `1.2 MB`."""
    for unit, length in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= length:
            return f"{number / length:.1f} {unit}"
    return f"{number:.0f} B"


def count(number: int, noun: str) -> str:
    """`1 record`, `2 records`, `3 copies` of `copy`."""
    plural = noun if number == 1 else f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {plural}"
