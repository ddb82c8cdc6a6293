"""How a sandbox is set up, and what is refused before it starts."""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.sandbox.keys import SCOPES, Scope
from agent.sandbox.limits import PRODUCTION

PORT = 8400
DAY = 24 * 3600.0
TOKENS: Mapping[Scope, str] = {
    "read": "chequr-sandbox-read",
    "write": "chequr-sandbox-write",
    "admin": "chequr-sandbox-admin",
}
"""The tokens where none are given. They open nothing but a sandbox."""


class InvalidOption(ValueError):
    """The sandbox cannot start as told; the message says what to change."""


@dataclass(frozen=True)
class Options:
    """What `serve` and `running` take.

    `tokens` pairs scopes with values; a scope that is not named has its default. `rate` is in requests a second
    and a key: 100 as in production, or `limits.SANDBOX`. `state` is a file to remember in. `controls` is a JSON
    file instead of the seed. `faults` are strings as `faults` explains, drawn from `seed`. An idempotency key is
    kept for `idempotency_ttl` seconds. `too_large` is the status of a payload over 1 MB. A webhook is sent again
    after `webhook_backoff` seconds, then twice that, and so on. A host beyond loopback needs `remote`.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    remote: bool = False
    tokens: Sequence[tuple[Scope, str]] = ()
    rate: float = PRODUCTION
    faults: Sequence[str] = ()
    seed: int = 0
    state: Path | None = None
    controls: Path | None = None
    idempotency_ttl: float = DAY
    too_large: int = 422
    webhook_backoff: float = 1.0
    all_tokens: tuple[tuple[Scope, str], ...] = field(init=False)

    def __post_init__(self) -> None:
        if not (self.remote or loopback(self.host)):
            message = f"The sandbox does not listen on {self.host}: its tokens are no secret. Use 127.0.0.1."
            raise InvalidOption(message)
        if not self.rate > 0:
            raise InvalidOption(f"The rate must be more than 0 requests a second, not {self.rate:g}.")
        named = {scope for scope, _ in self.tokens}
        missing = tuple((scope, value) for scope, value in TOKENS.items() if scope not in named)
        object.__setattr__(self, "all_tokens", (*self.tokens, *missing))


def token(text: str) -> tuple[Scope, str]:
    """`write=some-value`, as on the command line. Raises InvalidOption."""
    scope, equals, value = text.partition("=")
    for known in SCOPES:
        if scope == known and equals and value.isascii() and value.isprintable() and value and " " not in value:
            return known, value
    raise InvalidOption(
        f"A token is given as SCOPE=VALUE, with {', '.join(SCOPES)} as the scope and no blank in the value."
    )


def loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
