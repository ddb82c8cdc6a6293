"""Pagination by position, not by offset: what is added meanwhile moves no page.

A cursor holds the filters of the list that it continues and the place of the last item given. A filter may be
repeated beside its cursor, with the same value; another value is refused.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from agent.sandbox.refusal import Refusal, invalid

Filters = dict[str, Any]

_CHECK = 6
"""Bytes before the document that tell a cursor that was cut short or edited."""


def refuse_deprecated(query: Mapping[str, str]) -> None:
    """Raises Refusal (400) for the parameters that cursors replaced."""
    for name in ("offset", "page"):
        if name in query:
            message = f'The parameter "{name}" is deprecated.'
            raise Refusal(
                400, "deprecated_parameter", message, field=name, hint="Follow next_cursor with the parameter cursor."
            )


def limit(query: Mapping[str, str], *, most: int, default: int) -> int:
    """The page size. Raises Refusal (400)."""
    text = query.get("limit")
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and 1 <= int(text) <= most):
        raise invalid("limit", f'"limit" must be a whole number from 1 to {most}.', f"Leave it out for {default}.")
    return int(text)


def encode(kind: str, filters: Filters, after: list[Any]) -> str:
    document = json.dumps({"list": kind, "filters": filters, "after": after}, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_check(document) + document).decode()


def decode(text: str, kind: str, given: Filters) -> tuple[Filters, list[Any]]:
    """The list's filters and the place after which to go on. `given` are the filters repeated beside the cursor."""
    held = _open(text)
    if held["list"] != kind:
        raise _refused("The cursor belongs to another list.")
    if any(value is not None and value != held["filters"][name] for name, value in given.items()):
        raise _refused("The cursor belongs to a list with other filters.")
    return held["filters"], held["after"]


def _open(text: str) -> dict[str, Any]:
    try:
        sealed = base64.b64decode(text.encode(), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        sealed = b""
    document = sealed[_CHECK:]
    if sealed[:_CHECK] != _check(document) or not document:
        raise _refused("The cursor is not one that this API gave.")
    held: dict[str, Any] = json.loads(document)
    return held


def _check(document: bytes) -> bytes:
    return hashlib.sha256(document).digest()[:_CHECK]


def _refused(message: str) -> Refusal:
    return Refusal(
        400, "invalid_cursor", message, field="cursor", hint="Pass next_cursor of the page before, unchanged."
    )
