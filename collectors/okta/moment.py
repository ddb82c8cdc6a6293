"""Instants as Okta writes and reads them."""

from datetime import UTC, datetime

from collectors.errors import Invalid


def instant(text: str) -> datetime:
    """The instant that Okta gave. Raises Invalid where it is none."""
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise Invalid("a time that Okta gave cannot be read as one") from error


def stamp(at: datetime) -> str:
    """As Okta's queries take it: UTC, to the millisecond."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
