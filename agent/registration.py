"""The webhook that this agent registered at the API, kept so that it is registered once.

    the secret is in its file, flushed ──► the API is asked ──► what it answered is written down

Cut short anywhere, doing it again comes to the same end: the secret that is there is used, under the same key.
"""

import hashlib
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from agent.private import replace_private

FILE = "webhook.json"


class Registration(BaseModel):
    """One webhook. `secret` is the digest of what signs it; `id` is None where the API would not tell it again."""

    model_config = ConfigDict(frozen=True)

    base_url: str
    url: str
    events: tuple[str, ...]
    secret: str
    id: str | None = None

    @classmethod
    def of(cls, base_url: str, url: str, events: tuple[str, ...], secret: str) -> Self:
        """What is to be registered."""
        digest = hashlib.sha256(secret.encode()).hexdigest()
        return cls(base_url=base_url, url=url, events=tuple(sorted(events)), secret=digest)

    @property
    def key(self) -> str:
        """The Idempotency-Key, the same for the same webhook."""
        told = "\0".join((self.url, *self.events, self.secret))
        return f"chequr-agent-webhook-{hashlib.sha256(told.encode()).hexdigest()[:40]}"

    def is_registered(self, directory: Path) -> "Registration | None":
        """The same one as it was registered before; None where it was not."""
        try:
            kept = Registration.model_validate_json((directory / FILE).read_bytes())
        except (OSError, ValidationError):
            return None
        return kept if kept.model_copy(update={"id": None}) == self else None

    def save(self, directory: Path) -> None:
        """Raises OSError."""
        replace_private(directory / FILE, self.model_dump_json().encode())
