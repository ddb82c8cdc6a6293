"""Who left, as HR tells in a CSV: an e-mail address or login, and when."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from collectors.contract import Gap
from collectors.errors import Invalid

_NAMES = ("email", "login")
_LEFT_AT = "left_at"


@dataclass(frozen=True)
class Leaver:
    """Somebody who left: by what name, in lower case, and the instant, aware."""

    name: str
    left_at: datetime


def leavers(file: Path) -> Iterator[Leaver | Gap]:
    """Each row, in the file's order, or the gap that a bad one is. Raises Invalid where there is no such table."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream, skipinitialspace=True)
            _require_columns(file, rows.fieldnames or ())
            for row in rows:
                yield _leaver(row, f"{file.name}, line {rows.line_num}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise Invalid(f"hr_leavers_file {file} cannot be read: {reason}") from error


def _require_columns(file: Path, found: Sequence[str]) -> None:
    if _LEFT_AT not in found or not set(_NAMES) & set(found):
        named = ", ".join(found) or "nothing"
        needed = "needs the columns left_at, and email or login"
        raise Invalid(f"hr_leavers_file {file} {needed}; its first line has {named}")


def _leaver(row: dict[str, str | None], place: str) -> Leaver | Gap:
    name = next((value.strip() for column in _NAMES if (value := row.get(column))), "")
    try:
        left_at = _instant((row.get(_LEFT_AT) or "").strip())
    except ValueError:
        return Invalid("left_at is neither a date, as in 2026-04-15, nor a time with its offset from UTC").gap(place)
    return Leaver(name.casefold(), left_at) if name else Invalid("it names neither an email nor a login").gap(place)


def _instant(text: str) -> datetime:
    """A time with an offset as it is; a date as the end of its day, UTC. Raises ValueError."""
    if len(text) == len("2026-04-15"):
        return datetime.combine(date.fromisoformat(text) + timedelta(days=1), datetime.min.time(), UTC)
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("it has no offset")
    return instant.astimezone(UTC)
