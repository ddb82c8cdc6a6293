"""The API token: where it comes from, and how it changes without a restart."""

import hashlib
from pathlib import Path

from agent.errors import TokenUnusable
from collectors.secret import SecretMissing, read_secret


class Token:
    """The API token, from `file`, else `$CREDENTIALS_DIRECTORY/chequr_token`, else `CHEQUR_TOKEN`.

    It is read at first use and kept until `renew`. Reading raises TokenUnusable.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._value: str | None = None

    @property
    def value(self) -> str:
        """The secret itself, for the Authorization header and for nothing else."""
        if self._value is None:
            self._value = self._read()
        return self._value

    @property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits that tell one token from another without giving it away."""
        return hashlib.sha256(self.value.encode()).hexdigest()[:8]

    def renew(self) -> bool:
        """Reads the token again, and returns whether it is another one now. Where that fails the old one stays."""
        before, self._value = self._value, self._read()
        return self._value != before

    def _read(self) -> str:
        try:
            token = read_secret("chequr_token", self._file)
        except SecretMissing as error:
            raise TokenUnusable(str(error)) from error
        if not (token.isascii() and token.isprintable()) or " " in token:
            raise TokenUnusable(f"{self._place} holds more than a token: leave only the token's own characters in it")
        return token

    @property
    def _place(self) -> str:
        return f"the token file {self._file}" if self._file else "chequr_token (systemd credential or CHEQUR_TOKEN)"

    def __repr__(self) -> str:
        return f"Token(file={str(self._file)!r})" if self._file else "Token()"
