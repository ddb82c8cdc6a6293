"""JSON as it is hashed, measured and sent: RFC 8785, and nothing that it cannot carry."""

import hashlib
import json
import math
import re
from collections.abc import Container
from typing import Any

import rfc8785

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_UNUSUAL_NUMBER = re.compile(r"[:,\[]-?(?:[0-9]+[.eE]|[0-9]{16}|N|I)")  # or what looks like one in a text
_EXACT_INTEGER = 2**53 - 1


def canonical(value: Any) -> bytes:
    """The RFC 8785 bytes of a value that `carriable` has passed."""
    return rfc8785.dumps(value)


def plain(value: Any) -> str | None:
    """The same as text for an object or a list, where nothing is to be mended and `json` writes it as RFC 8785 does.

    None where that is not certain: not all ASCII, with fractions or with great numbers. It takes a tenth of the time.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    except TypeError:
        return None
    return None if not text.isascii() or _UNUSUAL_NUMBER.search(text) else text


def widest(value: Any, content: bytes | None = None) -> int:
    """The bytes of `value` as it is sent, or as encoders write it that escape non-ASCII and put spaces in: the more.

    The API measures 1 MB without saying on which encoding. Either may be the more: RFC 8785 writes 1e+20 in full.
    `content` is what `canonical` makes of it, where that is at hand.
    """
    return max(len(content or canonical(value)), len(json.dumps(value)))


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
            mended: dict[str, Any] = {}
            for key, inner in value.items():
                mended[distinct(carriable(str(key)), mended)] = carriable(inner)
            return mended
        case list() | tuple():
            return [carriable(inner) for inner in value]
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def distinct(name: str, taken: Container[str]) -> str:
    """`name`, with apostrophes where another has it already: mending names must not lose what they name."""
    while name in taken:
        name += "'"
    return name
