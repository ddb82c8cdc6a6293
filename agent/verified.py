"""The last verification, kept in the state directory, and when the service makes the next one."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from agent.arrival import Verification
from agent.private import replace_private

FILE = "verified.json"
WEEK = 7 * 86400.0
SOON = 600.0
"""Seconds from a conflict to the verification that follows it."""


class Verified(BaseModel):
    """`due` is in seconds since the epoch; None where nothing was ever verified or planned."""

    model_config = ConfigDict(frozen=True)

    last: Verification | None = None
    due: float | None = None

    @classmethod
    def load(cls, state_dir: Path) -> Self:
        """What was kept; where that cannot be read, as if nothing was."""
        try:
            return cls.model_validate_json((state_dir / FILE).read_bytes())
        except (OSError, ValidationError):
            return cls()

    def save(self, state_dir: Path) -> None:
        """Replaces what was kept, all at once. Raises OSError."""
        replace_private(state_dir / FILE, self.model_dump_json().encode())

    def after(self, verification: Verification, *, begun: float) -> Self:
        """The next one is a week later, or when it was planned to be: unless for what this one has seen.

        One that had nothing to compare asked the API nothing, and is none to tell of.
        """
        latest = verification.verified_at + WEEK
        due = self.due if self.due and self.due > begun + SOON - 1 else latest
        last = verification if verification.compared else self.last
        return self.model_copy(update={"last": last, "due": min(due, latest)})

    def no_later_than(self, due: float) -> Self:
        """Also where a clock that was set back since has planned it far ahead."""
        return self.model_copy(update={"due": due if self.due is None else min(self.due, due)})
