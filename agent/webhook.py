"""Chequr's webhooks: whether a delivery is Chequr's own and fresh, and what it says.

    from agent.webhook import WebhookInvalid, verify

    try:
        event = verify(request.body, request.headers["X-Chequr-Signature"], [secret])
    except WebhookInvalid as error:
        ...  # answer 400, and do nothing

The standard library is all that this module needs, so any program may use it, or copy it.

WebhookInvalid
├── SignatureInvalid        it is not known to be Chequr's
│   ├── SignatureMalformed  the header is missing, or is not t=TIMESTAMP,v1=HEX
│   └── SignatureMismatch   no secret makes any of its signatures
├── TimestampInvalid        it is Chequr's, and may have been sent again by somebody else
│   ├── TimestampPast       it was signed more than five minutes ago
│   └── TimestampFuture     it was signed more than five minutes from now: one of both clocks is wrong
└── EventMalformed          it is Chequr's and fresh, and no event
"""

import hashlib
import hmac
import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

HEADER = "X-Chequr-Signature"
TOLERANCE = 300.0
"""Seconds that a signature may be old, and that it may be ahead of this machine's clock."""

_SCHEME = "v1"
_TIMESTAMP = re.compile(r"\d{1,11}(\.\d{1,9})?", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII | re.IGNORECASE)
_LONGEST_NAME = 200


class WebhookInvalid(Exception):
    """Not a delivery to act upon. The message says why, and repeats nothing of it."""


class SignatureInvalid(WebhookInvalid):
    """It is not known to be Chequr's."""


class SignatureMalformed(SignatureInvalid):
    """The header is missing, or is not `t=TIMESTAMP,v1=HEX`."""


class SignatureMismatch(SignatureInvalid):
    """No secret makes any of its signatures: another secret, another body, or somebody else."""


class TimestampInvalid(WebhookInvalid):
    """Its signature is good, and not of now."""


class TimestampPast(TimestampInvalid):
    """It was signed too long ago."""


class TimestampFuture(TimestampInvalid):
    """It was signed in the future."""


class EventMalformed(WebhookInvalid):
    """Its body is not an event."""


@dataclass(frozen=True)
class Event:
    """One event. `created_at` is aware; `more` holds members that the documentation does not name."""

    id: str
    type: str
    created_at: datetime
    data: Mapping[str, Any]
    more: Mapping[str, Any] = field(default_factory=dict)


def verify(
    body: bytes,
    signature: str | None,
    secrets: str | Iterable[str],
    *,
    now: float | None = None,
    tolerance: float = TOLERANCE,
) -> Event:
    """The event in a delivery. Raises WebhookInvalid.

    `body` is the request's, to the byte; `signature` the value of its header `X-Chequr-Signature`, None where it has
    none. `secrets` are all that it may be signed with: the current one, and the one before while they are changed.
    `now` is in seconds since the epoch. Nothing of the body is looked at before its signature is found good. Raises
    ValueError where there is no secret, or an empty one.
    """
    stamp, given = _parts(signature)
    if not _is_signed(f"{stamp}.".encode() + body, given, _keys(secrets)):
        raise SignatureMismatch("no secret makes this signature: the secret or the body is another one")
    _check_age(float(stamp), time.time() if now is None else now, tolerance)
    return read(body)


def read(body: bytes) -> Event:
    """The event in the body of a delivery that was verified before. Raises EventMalformed."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:  # of UnicodeDecodeError, too
        raise EventMalformed("the body is not JSON") from error
    if not isinstance(document, dict):
        raise EventMalformed("the body is not a JSON object")
    known = {name: document.pop(name, None) for name in ("id", "type", "created_at", "data")}
    data = {} if known["data"] is None else known["data"]
    if not isinstance(data, dict):
        raise EventMalformed("data is not an object")
    return Event(_name(known, "id"), _name(known, "type"), _instant(known["created_at"]), data, document)


def _parts(signature: str | None) -> tuple[str, list[str]]:
    """The timestamp as it is signed, and each signature of the scheme that is known here; other schemes are skipped."""
    if not signature:
        raise SignatureMalformed(f"there is no {HEADER}")
    pairs = [(name.strip(), value.strip()) for name, _, value in (part.partition("=") for part in signature.split(","))]
    stamps = [value for name, value in pairs if name == "t"]
    if len(stamps) != 1:
        raise SignatureMalformed(f"{HEADER} must have t once, not {len(stamps)} times")
    if not _TIMESTAMP.fullmatch(stamps[0]):
        raise SignatureMalformed(f"t in {HEADER} is not in seconds since the epoch")
    given = [value for name, value in pairs if name == _SCHEME]
    if not given:
        raise SignatureMalformed(f"{HEADER} has no {_SCHEME}")
    whole = [value.lower() for value in given if _SHA256.fullmatch(value)]
    if not whole:
        raise SignatureMalformed(f"{_SCHEME} in {HEADER} is not 64 hexadecimal digits")
    return stamps[0], whole


def _keys(secrets: str | Iterable[str]) -> list[bytes]:
    keys = [secret.encode() for secret in ([secrets] if isinstance(secrets, str) else secrets)]
    if not keys or not all(keys):
        raise ValueError("verifying takes a secret: an empty one would let anybody sign")
    return keys


def _is_signed(signed: bytes, given: Iterable[str], keys: Iterable[bytes]) -> bool:
    """Whether any of the signatures is by any of the keys. How long it takes does not tell how much of one is right."""
    made = [hmac.new(key, signed, hashlib.sha256).hexdigest() for key in keys]
    return any(hmac.compare_digest(one, other) for one in made for other in given)


def _check_age(signed_at: float, now: float, tolerance: float) -> None:
    age = now - signed_at
    if age > tolerance:
        raise TimestampPast(f"it was signed {age:.0f} seconds ago; {tolerance:g} are the most")
    if age < -tolerance:
        raise TimestampFuture(f"it was signed {-age:.0f} seconds after it arrived: one of both clocks is wrong")


def _name(document: Mapping[str, Any], member: str) -> str:
    value = document[member]
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_NAME or not value.isprintable():
        raise EventMalformed(f"{member} is not a text of 1 to {_LONGEST_NAME} characters")
    return value


def _instant(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError as error:
        raise EventMalformed("created_at is not an ISO-8601 timestamp") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
