"""Request bodies: JSON read strictly, its fields, and the size of a payload.

A payload may have 1,000,000 bytes, both as it was sent, blanks included, and as it would be written compactly
with everything but ASCII escaped. A whole request body may have 2,000,000.
"""

import json
import re
from typing import Any, NoReturn, TypeVar

from agent.sandbox.refusal import Refusal, invalid

MAX_PAYLOAD = 1_000_000
MAX_BODY = 2_000_000

T = TypeVar("T")

# Escaping at most sextuples a text, so a body below this cannot hold a payload above the limit.
_SURELY_SMALL = MAX_PAYLOAD // 6
_BLANK = re.compile(r"[ \t\n\r]*")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_KINDS: dict[type, str] = {str: "a string", list: "a list", dict: "an object"}


def parse(body: bytes) -> tuple[str, dict[str, Any]]:
    """The body as text and as an object. Raises Refusal (400)."""
    try:
        text = body.decode()
        document = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        hint = "Send one JSON object, encoded as UTF-8, without NaN or Infinity."
        raise Refusal(400, "malformed_json", f"The body is not JSON: {error}.", hint=hint) from None
    if not isinstance(document, dict):
        raise Refusal(400, "validation_error", "The body must be a JSON object.", hint='Send {"…": …}.')
    return text, document


def member(document: dict[str, Any], name: str, kind: type[T], hint: str) -> T:
    """A required field. Raises Refusal (400) where it is missing or of another type."""
    if name not in document:
        raise invalid(name, f'Field "{name}" is required.', hint)
    value = document[name]
    if not isinstance(value, kind):
        raise invalid(name, f'Field "{name}" must be {_KINDS[kind]}.', hint)
    if isinstance(value, str) and _LONE_SURROGATE.search(value):
        raise invalid(name, f'Field "{name}" has half of a surrogate pair.', "Send characters that UTF-8 knows.")
    return value


def size(text: str, name: str, value: object) -> int:
    """Bytes of a top-level member: as sent or as escaped, whichever is more; 0 where it cannot matter."""
    if len(text) <= _SURELY_SMALL:
        return 0
    start, end = _span(text, name)
    return max(len(text[start:end].encode()), len(json.dumps(value, separators=(",", ":"))))


def _span(text: str, name: str) -> tuple[int, int]:
    """Where the value of a top-level member stands; of duplicates the last, as the parser has it."""
    decoder = json.JSONDecoder()
    found = (0, 0)
    at = _skip(text, _skip(text, 0) + 1)
    while text[at] != "}":
        key, at = decoder.raw_decode(text, at)
        start = _skip(text, _skip(text, at) + 1)
        _, end = decoder.raw_decode(text, start)
        if key == name:
            found = (start, end)
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def _skip(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
