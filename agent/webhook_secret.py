"""The secret that signs webhooks: read, and made."""

import os
import secrets as random
import tempfile
from pathlib import Path

from agent.private import flush, hand_over
from collectors.secret import SecretMissing, read_secret

NAME = "webhook_secret"
SHORTEST = 32  # characters, by the API's own rule
_BYTES = 32


def secrets(file: Path | None) -> list[str]:
    """All that are in force, one a line, the newest first. Raises SecretMissing."""
    found = [line.strip() for line in read_secret(NAME, file).splitlines() if line.strip()]
    if any(len(secret) < SHORTEST for secret in found):
        raise SecretMissing(f"{NAME} has fewer than {SHORTEST} characters; `chequr-agent webhooks register` makes one")
    return found


def make(file: Path) -> str:
    """A fresh secret of 256 bits in a new file for its owner only; whole, or not there, and durable. Raises OSError."""
    secret = f"whsec_{random.token_hex(_BYTES)}"
    with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=f".{file.name}.", encoding="ascii") as fresh:
        fresh.write(f"{secret}\n")
        fresh.flush()
        os.fsync(fresh.fileno())
        hand_over(Path(fresh.name))
        file.hardlink_to(fresh.name)
    flush(file.parent)
    return secret
