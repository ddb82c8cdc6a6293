"""What stands beside a file in `<file>.meta.toml`: who approved it, what it covers, until when it holds."""

import re
import tomllib
from datetime import date, datetime
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator, Field, StringConstraints, ValidationError, model_validator

from collectors.contract import Record
from collectors.manual.errors import READ, BadSidecar

LIMIT = 64 * 1024


def _instant(value: object) -> object:
    """A TOML date or an ISO 8601 string as a date or datetime; numbers are no dates here."""
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            return datetime.fromisoformat(value)
    return value


Text = Annotated[str, StringConstraints(strict=True, strip_whitespace=True, min_length=1)]
Day = Annotated[date, Field(strict=True), BeforeValidator(_instant)]
Instant = Annotated[
    Annotated[AwareDatetime, Field(strict=True)] | Annotated[date, Field(strict=True)], BeforeValidator(_instant)
]


class Sidecar(Record):
    """The keys of a sidecar. All are optional; any other is refused."""

    title: Text | None = Field(default=None, description="What the file is called among people.")
    description: Text | None = Field(default=None, description="What the file shows.")
    owner: Text | None = Field(default=None, description="Who answers for it.")
    reviewer: Text | None = Field(default=None, description="Who reviewed it.")
    approved_at: Instant | None = Field(
        default=None, description="When it was approved: a date, or a time with its offset."
    )
    effective_date: Day | None = Field(default=None, description="The first day on which it holds.")
    period_start: Day | None = Field(default=None, description="The first day that it covers.")
    period_end: Day | None = Field(default=None, description="The last day that it covers.")
    expires: Day | None = Field(default=None, description="The day from which it no longer holds.")
    supersedes: Text | None = Field(default=None, description="What it takes the place of.")
    controls: tuple[Text, ...] = Field(default=(), description="Further controls that it is evidence of.")

    @model_validator(mode="after")
    def _in_order(self) -> "Sidecar":
        if self.period_start and self.period_end and self.period_end < self.period_start:
            raise ValueError("period_end is before period_start")
        if self.effective_date and self.expires and self.expires < self.effective_date:
            raise ValueError("expires is before effective_date")
        return self


def parse(content: bytes, name: str) -> Sidecar:
    """The sidecar called `name`. Raises BadSidecar, which names every faulty key and its line."""
    if len(content) > LIMIT:
        raise BadSidecar(f"{name} is larger than {LIMIT} bytes", operation=READ)
    try:
        text = content.decode("utf-8-sig")
        # With a last line end, an error at the end of the text is told with its line too.
        keys = tomllib.loads(text + "\n")
    except UnicodeDecodeError as error:
        raise BadSidecar(f"{name} is not UTF-8 text", operation=READ) from error
    except tomllib.TOMLDecodeError as error:
        raise BadSidecar(f"{name} is not TOML: {error}", operation=READ) from error
    try:
        return Sidecar.model_validate(keys)
    except ValidationError as error:
        faults = "; ".join(_fault(fault, text) for fault in error.errors(include_url=False, include_context=False))
        raise BadSidecar(f"{name}: {faults}", operation=READ) from error


def _fault(fault: Any, text: str) -> str:
    key = str(fault["loc"][0]) if fault["loc"] else ""
    if fault["type"] != "extra_forbidden":
        reason = fault["msg"].removeprefix("Value error, ")
        return f"{_line(key, text)}{key}: {reason}" if key else reason
    near = get_close_matches(key, Sidecar.model_fields, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"the keys are {', '.join(Sidecar.model_fields)}"
    return f'{_line(key, text)}"{key}" is not a key; {hint}'


def _line(key: str, text: str) -> str:
    """`line N: ` of a top-level key, or nothing where the key is written in some unusual way."""
    found = re.search(rf"""^[ \t]*\[?["']?{re.escape(key)}["']?[ \t]*[=.\]]""", text, re.MULTILINE) if key else None
    return f"line {text.count(chr(10), 0, found.start()) + 1}: " if found else ""
