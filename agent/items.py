"""What the outbox and the ledger hold, in types. All REAL instants are seconds since the epoch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

State = Literal["pending", "in_flight", "deferred", "rejected", "discarded"]


@dataclass(frozen=True)
class Checkpoint:
    """How far a population was read (`until`), or which revision of a place was taken, by which snapshot.

    `revision` is of what the place holds and of the controls that had it. `incomplete_since` is when the first of the
    reads was that began at `until` and had gaps.
    """

    until: datetime | None
    revision: str | None
    snapshot_id: str
    incomplete_since: datetime | None = None


@dataclass(frozen=True)
class Piece:
    """What is known of a piece of evidence from the time that it is queued. `size` and `digest` are its body's.

    `generation` counts the keys that its body had before this one.
    """

    id: int
    key: str
    generation: int
    collector: str
    evidence_type: str
    source: str
    target: str
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
    """One owed or refused item, without its body.

    `unsure_since` is when it was first sent without an answer that settles it; None where the API certainly has it not.
    `sent_with` is the fingerprint of the token then; None where somebody gave it another key since. `failures` are
    answers of 5xx in a row, from `failing_since`. `refused_as` is what it was refused as before it was retried. `since`
    is how far its population was read before.
    """

    since: str | None
    queued_at: float
    state: State
    due: float
    attempts: int
    unsure_since: float | None
    sent_with: str | None
    failures: int
    failing_since: float | None
    refused_as: str | None
    status: int | None
    code: str | None
    reason: str | None
    request_id: str | None


@dataclass(frozen=True)
class Claimed:
    """An item that is being sent, `unsure_since` as it was before. `body` is None where it is not what was put."""

    item: Item
    body: bytes | None = field(repr=False)


@dataclass(frozen=True)
class Kin:
    """What the state directory knows of the evidence at an item's control.

    `receipts` are when known evidence was accepted, by its id. `unsure` are the items that may have arrived and that a
    control cannot tell apart, those of one source and instant as it shows them, with `unsure_since`. All in seconds
    since the epoch.
    """

    receipts: Mapping[str, float]
    unsure: Mapping[int, float]


@dataclass(frozen=True)
class Accepted(Piece):
    """One entry of the ledger: what was sent, the API's receipt, and how it hangs together with the entry before it.

    `seq` counts from 1 in the order of acceptance; `previous` and `link` are digests, see `agent.chain`.
    """

    evidence_id: str
    created_at: str | None
    accepted_at: float
    request_id: str | None
    seq: int
    previous: str
    link: str


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
    """It is sent again at `due`, in seconds since the epoch, with its key or, if `renewed`, with another one."""

    item_id: int
    answer: Answer
    due: float
    unsure_since: float | None = None
    renewed: bool = False


@dataclass(frozen=True)
class Reject:
    """The API will not have it as it is; or, if `unsure_since` says so, nobody can tell whether it has."""

    item_id: int
    answer: Answer
    unsure_since: float | None = None


@dataclass(frozen=True)
class Release:
    """The API did not judge it: it is pending as before, or from `due` on, in seconds since the epoch."""

    item_id: int
    due: float | None = None
    unsure_since: float | None = None


@dataclass(frozen=True)
class Lose:
    """Its body is no longer what was put: it is told as lost, and read anew at its source."""

    item_id: int
    reason: str


Settlement = Accept | Defer | Reject | Release | Lose


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


@dataclass(frozen=True)
class Loss:
    """What was queued and is gone: `items` of the numbers from `first_item` to `last_item`.

    Where only the numbers are known all names are None; where all of a snapshot's controls are meant, `control_id` is.
    """

    id: int
    found_at: float
    reason: str
    collector: str | None
    evidence_type: str | None
    target: str | None
    control_id: str | None
    snapshot_id: str | None
    first_item: int
    last_item: int
    items: int
