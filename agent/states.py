"""What the state of an item, a hold and a token means, and what an operator does next, in plain words."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agent.token import is_due_for_rotation
from agent.words import when

if TYPE_CHECKING:
    from agent.items import Hold, Item

STATES = {
    "pending": "waiting to be sent",
    "in_flight": "being sent",
    "deferred": "no good answer yet: tried again by itself",
    "rejected": "the API will not have it as it is: `chequr-agent outbox show ID` says why, and what to do",
    "discarded": "given up by hand: kept as a note, never sent",
}

_REJECTED = {
    400: "The API cannot read it. Upgrade the agent, then `chequr-agent outbox retry {id}`; or `outbox discard {id}`.",
    404: "Its control is not in the workspace. Create it there, then `chequr-agent outbox retry {id}`.",
    409: "Its key was used before, and it is not at its control: `chequr-agent outbox retry {id} --new-key` sends it.",
    413: "It is too large for what is in between. Lower delivery.max_payload_bytes, collect again, then discard it.",
    422: "A rule of the API refuses it. Mend what the answer names, then `chequr-agent outbox retry {id}`.",
}
_UNKNOWN = (
    "Look at its control in Chequr. If it is there, `chequr-agent outbox discard {id}`; if not, "
    "`chequr-agent outbox retry {id} --new-key` sends it."
)
_OTHERWISE = "Mend what the answer names, then `chequr-agent outbox retry {id}`; or `chequr-agent outbox discard {id}`."


def next_step(item: "Item") -> str:
    """What there is to do about one item."""
    from agent.submit import UNKNOWN

    match item.state:
        case "pending" | "in_flight":
            return "Nothing: it is sent by itself while the agent runs; `chequr-agent deliver` sends it now."
        case "deferred":
            return "Nothing: it is tried again by itself when it is due; `chequr-agent outbox retry` makes it due now."
        case "discarded":
            return "Nothing: it was given up by hand."
        case "rejected":
            words = _UNKNOWN if item.code == UNKNOWN else _REJECTED.get(item.status or 0, _OTHERWISE)
            return words.format(id=item.id)


def about_hold(hold: "Hold") -> str:
    """What a hold means, and what to do."""
    match hold.status:
        case 403:
            return (
                "The token is good, but its scope is too small: make a key with write scope, and put it in its place."
            )
        case 401:
            return "The token is wrong, expired or revoked: make a new key in Chequr, and put it in its place."
        case _:
            return "There is no token that can be sent: put one in its place."


def about_token(token: Mapping[str, Any], *, now: float) -> str:
    """Which token is in use, since when, and whether that is too long; as `standing` tells it."""
    if token["problem"]:
        return f"Token: {token['problem']}."
    seen = token["first_seen"]
    told = f"Token {token['fingerprint']}, {f'first used here {when(seen)}' if seen else 'not used here yet'}."
    return f"{told} Rotate it: it is older than 90 days." if is_due_for_rotation(seen, now=now) else told
