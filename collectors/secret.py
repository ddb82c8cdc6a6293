"""Where secrets come from: a file, systemd's credentials, or the environment, in that order; never the TOML."""

import os
from pathlib import Path


class SecretMissing(LookupError):
    """No usable secret: the message names each place that was looked at, and what to do."""


def read_secret(name: str, file: Path | None = None) -> str:
    """The secret `name`, without surrounding white space.

    It is read anew at each call, so that a rotated secret needs no restart: from `file` if one is configured, else
    from `$CREDENTIALS_DIRECTORY/<name>` (systemd's LoadCredential), else from the environment variable of that name
    in capitals. A file that is named but cannot be read is an error; it does not fall through to the next place.
    Raises SecretMissing.
    """
    place = secret_file(name, file)
    if place is not None:
        return _from_file(name, place)
    if value := os.environ.get(name.upper(), "").strip():
        return value
    raise SecretMissing(
        f"there is no {name}: set its file in the configuration, the systemd credential {name}, or {name.upper()}"
    )


def secret_file(name: str, file: Path | None = None) -> Path | None:
    """The file that `read_secret` reads; None where that looks at the environment."""
    if file is not None:
        return file
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    credential = Path(directory, name) if directory else None
    return credential if credential and credential.is_file() else None


def _from_file(name: str, file: Path) -> str:
    try:
        value = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SecretMissing(f"{name} cannot be read from {file}: {reason}") from error
    if not value:
        raise SecretMissing(f"{name}: the file {file} is empty")
    return value
