"""JSON as it is hashed, measured and sent: RFC 8785, and nothing that it cannot carry."""

import hashlib
import json
import math
import re
from typing import Any

import rfc8785

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_EXACT_INTEGER = 2**53 - 1


def canonical(value: Any) -> bytes:
    """The RFC 8785 bytes of a value that `carriable` has passed."""
    return rfc8785.dumps(value)


def widest(value: Any) -> int:
    """The bytes that `value` takes where an encoder escapes non-ASCII and puts spaces after separators.

    The API measures 1 MB without saying on which encoding; no common encoder writes more than this.
    """
    return len(json.dumps(value))


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def carriable(value: Any) -> Any:
    """`value` with what JSON cannot carry written so that it can: the same value back where there is nothing to mend.

    Infinities, NaN and integers that a double cannot hold become strings; lone surrogates become U+FFFD.
    """
    match value:
        case str():
            return _LONE_SURROGATE.sub("\ufffd", value)
        case bool() | None:
            return value
        case int():
            return value if abs(value) <= _EXACT_INTEGER else str(value)
        case float():
            return value if math.isfinite(value) else str(value)
        case dict():
            return {carriable(str(key)): carriable(inner) for key, inner in value.items()}
        case list() | tuple():
            return [carriable(inner) for inner in value]
    raise TypeError(f"{type(value).__name__} has no place in JSON")
