"""Secrets are taken out of records before anything touches the disk.

Collectors do not read secrets; this is the second lock, for what people leave in tags, names and spreadsheets.
A field is judged by its name where its name says that it holds a secret, and every text by its shape.
"""

import re
from typing import Any

REDACTED = "[redacted]"

# The last word of a field's name decides: `client_secret` and `dbPassword` hold secrets, `password_last_used`,
# `secret_scanning` and `token_count` do not.
_SECRET_NAME = re.compile(
    r"(?:^|[_\-. ])(?:password|passwd|passphrase|pwd|secret|api[_\-. ]?key|private[_\-. ]?key|token)$"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

# What every secret of a kind contains, and its whole shape. The first is looked for before the second: most text has
# none. Each shape has a character that base64 lacks, or stands apart from it: the content of a file stays as it is.
_SECRET_SHAPES = tuple(
    (marker, re.compile(shape, re.DOTALL))
    for marker, shape in (
        ("PRIVATE KEY", r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)"),
        ("gh", r"gh[pousr]_[A-Za-z0-9]{20,}"),  # GitHub
        ("github_pat_", r"github_pat_[A-Za-z0-9_]{20,}"),
        ("glpat-", r"glpat-[A-Za-z0-9_-]{20,}"),  # GitLab
        ("xox", r"xox[abeoprs]-[A-Za-z0-9-]{10,}"),  # Slack
        ("hooks.slack.com", r"hooks\.slack\.com/services/[A-Za-z0-9/_-]+"),
        ("SSWS", r"SSWS +[A-Za-z0-9_-]{20,}"),  # Okta
        ("k_", r"[sr]k_(?:live|test)_[A-Za-z0-9]{10,}"),  # Stripe
        ("whsec_", r"whsec_[A-Za-z0-9+/=_-]{16,}"),
        ("AIza", r"(?<![A-Za-z0-9+/])AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9+/=])"),  # Google
        ("npm_", r"npm_[A-Za-z0-9]{30,}"),
        ("pypi-", r"pypi-[A-Za-z0-9_-]{40,}"),
        ("SG.", r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),  # SendGrid
        ("earer", r"[Bb]earer +[A-Za-z0-9._~+/-]{16,}=*"),
        ("asic", r"[Bb]asic +[A-Za-z0-9+/]{16,}=*"),
        ("eyJ", r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),  # JWT
        ("://", r"(?<=://)[^/\s:@]+:[^/\s:@]+(?=@)"),  # user and password in a URL
        ("ecret", r"(?i:secret_?access_?key)[\"'\s:=]+[A-Za-z0-9/+]{40}"),  # AWS
    )
)


def redact(value: Any) -> tuple[Any, int]:
    """`value` without the secrets in it, and how many there were."""
    match value:
        case str():
            return _text(value)
        case dict():
            pairs = [(key, _field(key, inner)) for key, inner in value.items()]
            return {key: clean for key, (clean, _) in pairs}, sum(count for _, (_, count) in pairs)
        case list():
            items = [redact(inner) for inner in value]
            return [clean for clean, _ in items], sum(count for _, count in items)
    return value, 0


def names_secret(name: str) -> bool:
    """Whether a field of this name holds a secret by its own account."""
    return _SECRET_NAME.search(_CAMEL.sub("_", name).lower()) is not None


def _text(value: str) -> tuple[str, int]:
    found = 0
    for marker, shape in _SECRET_SHAPES:
        if marker in value:
            value, count = shape.subn(REDACTED, value)
            found += count
    return value, found


def _field(name: str, value: Any) -> tuple[Any, int]:
    if isinstance(value, str) and value and names_secret(name):
        return REDACTED, 1
    return redact(value)
