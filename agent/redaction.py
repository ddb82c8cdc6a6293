"""Secrets are taken out of records before anything touches the disk.

Collectors do not read secrets; this is the second lock, for what people leave in tags, names and spreadsheets.
A field is judged by its name where its name says that it holds a secret, and every text by its shape.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from agent.canonical import distinct

REDACTED = "[redacted]"

# The last word of a field's name decides: `client_secret` and `dbPassword` hold secrets, `password_last_used`,
# `secret_scanning` and `token_count` do not.
_SECRET_NAME = re.compile(
    r"(?:^|[_\-. ])(?:passwords?|passwd|passphrase|pwd|secret|token"
    r"|(?:api|private|secret|secret[_\-. ]?access)[_\-. ]?key)$"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LABELS = ("key", "Key", "name", "Name")  # a tag or a variable says in one field what another holds
_LABELLED = ("value", "Value")

_AWS_KEY = r"(?i:secret_?access_?key)[\"'\s:=]+[A-Za-z0-9/+]{40}"
# What every secret of a kind contains, and its whole shape. The first is looked for before the second: most text has
# none. Each shape has a character that base64 lacks, or stands apart from it: the content of a file stays as it is.
_SECRET_SHAPES = tuple(
    (marker, re.compile(shape, re.DOTALL))
    for marker, shape in (
        ("PRIVATE KEY", r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)"),
        ("gh", r"gh[pousr]_[A-Za-z0-9_.-]{20,}"),  # GitHub
        ("github_pat_", r"github_pat_[A-Za-z0-9_]{20,}"),
        ("glpat-", r"glpat-[A-Za-z0-9_-]{20,}"),  # GitLab
        ("xox", r"xox[abeoprs]-[A-Za-z0-9-]{10,}"),  # Slack
        ("xapp-", r"xapp-[A-Za-z0-9-]{10,}"),
        ("hooks.slack.com", r"hooks\.slack\.com/services/[A-Za-z0-9/_-]+"),
        ("SSWS", r"SSWS +[A-Za-z0-9_-]{20,}"),  # Okta
        ("k_", r"[sr]k_(?:live|test)_[A-Za-z0-9]{10,}"),  # Stripe
        ("whsec_", r"whsec_[A-Za-z0-9+/=_-]{16,}"),
        ("AIza", r"(?<![A-Za-z0-9+/])AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9+/=])"),  # Google
        ("npm_", r"npm_[A-Za-z0-9]{30,}"),
        ("pypi-", r"pypi-[A-Za-z0-9_-]{40,}"),
        ("SG.", r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),  # SendGrid
        ("sk-", r"(?<![A-Za-z0-9])sk-(?:(?:proj|ant|svcacct|admin)-[A-Za-z0-9_-]{20,}|[A-Za-z0-9]{32,})"),  # OpenAI
        ("hvs.", r"hvs\.[A-Za-z0-9_-]{20,}"),  # Vault
        ("GOCSPX-", r"GOCSPX-[A-Za-z0-9_-]{20,}"),  # Google
        ("ya29.", r"ya29\.[A-Za-z0-9_-]{20,}"),
        ("dop_v1_", r"dop_v1_[a-f0-9]{40,}"),  # DigitalOcean
        ("dckr_pat_", r"dckr_pat_[A-Za-z0-9_-]{20,}"),  # Docker
        ("ATATT3", r"ATATT3[A-Za-z0-9_-]{20,}=[A-F0-9]{8}"),  # Atlassian
        ("AccountKey=", r"(?<=AccountKey=)[A-Za-z0-9+/]{40,}=*"),  # Azure
        ("earer", r"[Bb]earer(?: |%20)+[A-Za-z0-9._~+/-]{16,}=*"),
        ("asic", r"[Bb]asic +[A-Za-z0-9+/]{16,}=*"),
        # Each part is bounded, so that no text takes time that grows with its square.
        ("eyJ", r"eyJ[A-Za-z0-9_-]{8,1000}\.eyJ[A-Za-z0-9_-]{8,9000}\.[A-Za-z0-9_-]*"),  # JWT
        ("://", r"(?<=://)[^/\s:@]*:[^/\s?#]+(?=@)"),  # user and password in a URL
        ("ecret", _AWS_KEY),
        ("SECRET", _AWS_KEY),
    )
)

# A name that says it before what it holds: in a query, a connection string, a line of a shell; in JSON as text. Both
# begin with a character to look for, and look back from there: base64 has `=` at its end only.
_NAMES = (
    "password", "passwd", "pwd", "passphrase", "secret", "token", "api_key", "apikey", "secret_key", "access_key",
    "signature",
)  # fmt: skip
# A quote is within the quotes behind any number of backslashes: `repr` doubles those of JSON.
_IN_QUOTES = r"""[^"\\]*(?:\\+[^\\][^"\\]*)*"""
_ASSIGNED = re.compile(
    f"=(?:{'|'.join(f'(?<={name}=)' for name in _NAMES)})"
    rf"""(?:(\\+"(?=[^"[])|'(?=[^'[]))[^"'\\\n]{{1,1000}}|("(?=[^"[])){_IN_QUOTES}"""
    r"""|(?!\\+")[^\s&;,"'=[][^\s&;,"']*)""",
    re.IGNORECASE,
)
_QUOTED = re.compile(
    f'": ?"(?:{"|".join(f"""(?<={name}":")|(?<={name}": ")""" for name in _NAMES)})(?=[^"[]){_IN_QUOTES}', re.IGNORECASE
)

# What a name that says that it holds a secret ends with, in JSON: as a field's own, or as the text of a label.
_SECRET_NAMES_IN_JSON = tuple(
    f'{word}"' for word in ("password", "passwords", "passwd", "passphrase", "pwd", "secret", "token", "key")
)
_QUOTED_IN_JSON = '\\":'  # JSON in a text
_SPLIT_IN_JSON = "ecret"  # the one marker whose shape has quotes in it


def is_clean(text: str) -> bool:
    """Whether `redact` would leave a value as it is, by its JSON, ASCII and compact; False where that is uncertain."""
    lowered = text.lower()
    if any(name in lowered for name in _SECRET_NAMES_IN_JSON) or _QUOTED_IN_JSON in text or _SPLIT_IN_JSON in lowered:
        return False
    if "=" in text and _ASSIGNED.search(text):
        return False
    return not any(marker in text and shape.search(text) for marker, shape in _SECRET_SHAPES)


def redact(value: Any) -> tuple[Any, int]:
    """`value` without the secrets in it, and how many there were."""
    match value:
        case str():
            return _text(value)
        case dict():
            return _fields(value)
        case list():
            items = [redact(inner) for inner in value]
            return [clean for clean, _ in items], sum(count for _, count in items)
    return value, 0


@lru_cache(maxsize=4096)
def names_secret(name: str) -> bool:
    """Whether a field of this name holds a secret by its own account."""
    return _SECRET_NAME.search(_CAMEL.sub("_", name).lower()) is not None


def _text(value: str) -> tuple[str, int]:
    found = 0
    for marker, shape in _SECRET_SHAPES:
        if marker in value:
            value, count = shape.subn(REDACTED, value)
            found += count
    if "=" in value:
        value, count = _ASSIGNED.subn(lambda told: f"={told[1] or told[2] or ''}{REDACTED}", value)
        found += count
    if '":' in value:
        value, count = _QUOTED.subn(f'": "{REDACTED}', value)
        found += count
    return value, found


def _fields(value: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    labelled = any(isinstance(value.get(label), str) and names_secret(value[label]) for label in _LABELS)
    clean: dict[str, Any] = {}
    found = 0
    for name, inner in value.items():
        told, in_name = _text(name)
        kept, in_value = _field(inner, secret=names_secret(name) or (labelled and name in _LABELLED))
        clean[distinct(told, clean)] = kept
        found += in_name + in_value
    return clean, found


def _field(value: Any, *, secret: bool) -> tuple[Any, int]:
    if secret and isinstance(value, str) and value:
        return REDACTED, 1
    if secret and isinstance(value, list):
        items = [_field(inner, secret=True) for inner in value]
        return [clean for clean, _ in items], sum(count for _, count in items)
    return redact(value)
