"""The API token: where it comes from, and how it changes without a restart."""

import hashlib
from contextlib import suppress
from pathlib import Path

from agent.errors import TokenUnusable
from collectors.secret import SecretMissing, read_secret, secret_file

_ROTATED = 90 * 86400.0  # seconds after which the API's documentation recommends another token


class Token:
    """The API token, from `file`, else `$CREDENTIALS_DIRECTORY/chequr_token`, else `CHEQUR_TOKEN`.

    It is read at first use and kept until `renew`. Reading raises TokenUnusable.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._value: str | None = None
        self._stamp: tuple[int, int, int] | None = None

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

    def look(self) -> None:
        """Takes up another token that was put into its file; while there is none, this costs one `stat`.

        What is missing, half written or no token changes nothing, and is looked at again. An environment never changes.
        """
        file = secret_file("chequr_token", self._file)
        with suppress(OSError, TokenUnusable):
            stamp = _stamp(file) if file else None
            if stamp != self._stamp:
                self.renew()
                self._stamp = stamp

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


def is_due_for_rotation(first_seen: float | None, *, now: float) -> bool:
    """Whether a token that was first used then, in seconds since the epoch, is to be replaced."""
    return first_seen is not None and now - first_seen > _ROTATED


def _stamp(file: Path) -> tuple[int, int, int]:
    told = file.stat()
    return told.st_ino, told.st_mtime_ns, told.st_size
