"""What the ledger has beside what the API shows of it, and what that comes to. Nothing is asked from here.

All instants are the API's own: a clock of ours that is wrong moves no evidence out of its place.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

LISTED = 50
"""Pieces of evidence that a control shows, the last ones."""
_CLOSE = 30.0  # seconds that the audit log and a receipt may be apart

Kind = Literal["missing", "unlogged", "detached", "moved", "altered", "mistimed", "unknown"]
Level = Literal["difference", "note"]


@dataclass(frozen=True)
class Case:
    """One entry of the ledger, and what the API shows of it.

    `created_at` is None where it was found at its control instead of a receipt, `logged_at` where the audit log lacks
    it, `shown_at` (the instant of its collection) where its control does. `elsewhere` is another control that shows
    it. `listed` is how many pieces its control shows, None where there is no such control. `is_superseded`: a later
    entry has its key. `is_echoed`: an earlier one has its receipt. `is_owed`: it is sent again, or was meanwhile.
    `accepted_at` is in seconds since the epoch, by our clock.
    """

    seq: int
    evidence_id: str
    control_id: str
    collected_at: str
    created_at: str | None
    accepted_at: float
    request_id: str | None
    is_superseded: bool
    is_echoed: bool
    is_owed: bool
    logged_at: str | None
    shown_at: str | None
    elsewhere: str | None
    listed: int | None


@dataclass(frozen=True)
class Stranger:
    """Evidence that the audit log has from a key of ours, and the ledger does not."""

    evidence_id: str
    actor: str
    logged_at: str


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be. A `note` is no difference. `at` is when the API took it, as it says."""

    kind: Kind
    level: Level
    evidence_id: str
    control_id: str | None
    at: str | None
    message: str
    remedy: str


class Verification(BaseModel):
    """What a verification came to.

    `verified_at` is in seconds since the epoch, `since` the API's instant from which on entries were `compared`. Of
    these `there` are at the API. Not counted are `resent` ones, for which a later entry stands, and `untold` ones,
    which nothing that was read can tell of. `findings` are counted by their kind.
    """

    model_config = ConfigDict(frozen=True)

    verified_at: float
    since: datetime
    compared: int
    there: int
    resent: int
    untold: int = 0
    differences: int
    notes: int
    findings: dict[Kind, int]


def is_untold(case: Case) -> bool:
    """Whether nothing of what was read can tell of an entry: without its time nobody knows what would."""
    is_seen = case.logged_at or case.shown_at or case.elsewhere
    return not (is_seen or case.created_at or case.listed is None or case.listed < LISTED)


def judge(case: Case) -> Iterator[Finding]:
    """What is to be said of one entry; nothing of one that was sent again since."""
    if case.is_superseded:
        return
    if case.logged_at is None:
        yield from _unlogged(case)
    else:
        yield from _logged(case, case.logged_at)
    if case.elsewhere:
        message = f"sent to {case.control_id}, and shown at {case.elsewhere}"
        yield _finding("moved", case, message, "Ask Chequr why it is there.")
    if case.shown_at and not is_same(_instant(case.shown_at), _instant(case.collected_at)):
        message = f"collected at {case.collected_at}; its control says {case.shown_at}"
        yield _finding("altered", case, message, "Ask Chequr why its time is another.")


def _unlogged(case: Case) -> Iterator[Finding]:
    if case.shown_at or case.elsewhere:
        message = f"not in the audit log, but at {case.elsewhere or case.control_id}"
        yield _finding("unlogged", case, message, "None, if it is in the log later.")
    elif case.listed is None:
        yield _missing(case, f"not in the audit log, and there is no control {case.control_id} any more")
    elif case.listed < LISTED:
        yield _missing(case, "neither in the audit log nor at its control")
    elif not is_untold(case):
        yield _missing(case, f"neither in the audit log nor among the last {LISTED} at its control")


def _missing(case: Case, message: str) -> Finding:
    if case.is_owed:
        return _finding("missing", case, message, "It is in the outbox again: `chequr-agent deliver` sends it.")
    tell = f"Tell Chequr of the request {case.request_id or 'unknown'}."
    if case.is_echoed:
        return _finding("missing", case, f"{message}; sent again, it got the same receipt", tell)
    remedy = "`chequr-agent verify --repair` sends it again, or has it read again."
    return _finding("missing", case, message, f"{remedy} {tell}")


def _logged(case: Case, logged_at: str) -> Iterator[Finding]:
    if not (case.shown_at or case.elsewhere) and case.listed is not None and case.listed < LISTED:
        message = f"in the audit log, but not at its control, which shows {case.listed}"
        yield _finding("detached", case, message, "Ask Chequr where it is.")
    if case.created_at and abs((_instant(logged_at) - _instant(case.created_at)).total_seconds()) > _CLOSE:
        message = f"its receipt says {case.created_at}, the audit log {logged_at}"
        yield _finding("mistimed", case, message, "Ask Chequr which of them is right.")


def _finding(kind: Kind, case: Case, message: str, remedy: str) -> Finding:
    level: Level = "note" if kind == "unlogged" else "difference"
    return Finding(kind, level, case.evidence_id, case.control_id, case.created_at or case.logged_at, message, remedy)


def unknown(stranger: Stranger, *, doubtful: int, is_shared: bool) -> Finding:
    """Of evidence that nobody here knows, and that may be one of so many `doubtful` items."""
    level: Level = "note" if doubtful or is_shared else "difference"
    message = f"submitted with the key {stranger.actor}, and not in the ledger"
    if doubtful:
        remedy = f"It may be one of {doubtful} items in doubt: `chequr-agent deliver`, then verify again."
    elif is_shared:
        remedy = "None where it is of another agent with this key."
    else:
        remedy = "If another agent has this key, set chequr.shared_key; if `chequr-agent outbox losses` names "
        remedy += "something of that time, it may be that; if neither, revoke the key."
    return Finding("unknown", level, stranger.evidence_id, None, stranger.logged_at, message, remedy)


def is_same(shown: datetime, collected: datetime) -> bool:
    """To the millisecond; to the second where the API shows no more."""
    return shown == (collected if shown.microsecond else collected.replace(microsecond=0))


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
