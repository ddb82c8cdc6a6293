"""Instants as AWS gives them, made comparable: botocore's are in the machine's own time zone."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator


def _utc(instant: datetime) -> datetime:
    return instant.astimezone(UTC)


Instant = Annotated[datetime, AfterValidator(_utc)]
