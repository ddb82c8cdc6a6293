"""What the outbox and the ledger hold, in types. All REAL instants are seconds since the epoch."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

State = Literal["pending", "in_flight", "deferred", "rejected", "discarded"]


@dataclass(frozen=True)
class Checkpoint:
    """How far a population was read (`until`), or which revision of a place was taken, by which snapshot."""

    until: datetime | None
    revision: str | None
    snapshot_id: str


@dataclass(frozen=True)
class Piece:
    """What is known of a piece of evidence from the time that it is queued. `size` and `digest` are its body's."""

    id: int
    key: str
    collector: str
    evidence_type: str
    source: str
    control_id: str
    snapshot_id: str
    part: int
    parts: int
    records: int
    gaps: int
    collected_at: str
    size: int
    digest: str


@dataclass(frozen=True)
class Item(Piece):
    """One owed or refused item, without its body."""

    queued_at: float
    state: State
    due: float
    attempts: int
    first_sent_at: float | None
    status: int | None
    code: str | None
    reason: str | None
    request_id: str | None


@dataclass(frozen=True)
class Claimed:
    """An item that is being sent. `body` is None where it no longer has the digest that it was put with."""

    item: Item
    body: bytes | None = field(repr=False)


@dataclass(frozen=True)
class Accepted(Piece):
    """One entry of the ledger: what was sent, and the API's receipt."""

    evidence_id: str
    created_at: str | None
    accepted_at: float
    request_id: str | None


@dataclass(frozen=True)
class Answer:
    """Why an item was not accepted. `status` is None where no answer came at all."""

    status: int | None
    code: str | None
    reason: str
    request_id: str | None


@dataclass(frozen=True)
class Accept:
    """The API has it. `created_at` is the receipt's; None where the item was found at its control instead."""

    item_id: int
    evidence_id: str
    created_at: datetime | None
    request_id: str | None


@dataclass(frozen=True)
class Defer:
    """It is sent again at `due`, in seconds since the epoch."""

    item_id: int
    answer: Answer
    due: float


@dataclass(frozen=True)
class Reject:
    """The API will not have it as it is."""

    item_id: int
    answer: Answer


@dataclass(frozen=True)
class Release:
    """The API did not judge it: it is pending as before, or from `due` on, in seconds since the epoch."""

    item_id: int
    due: float | None = None


Settlement = Accept | Defer | Reject | Release


@dataclass(frozen=True)
class Hold:
    """Why nothing is sent at all, and since when. `status` is None where there is no token to send."""

    status: int | None
    reason: str
    since: float


@dataclass(frozen=True)
class Count:
    """The items of one state."""

    items: int
    bytes: int
    oldest: float | None
