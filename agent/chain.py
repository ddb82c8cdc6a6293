"""How the entries of the ledger hang together: each has the digest of the one before it, and so of all before it.

    link of entry n = SHA-256 of its facts as canonical JSON, and these name the link of entry n - 1

So an entry cannot be altered, taken out or moved without all that follow being made anew; and what was sealed, signed
or exported before shows that they were.
"""

from datetime import UTC, datetime
from typing import Any

from agent.canonical import canonical, digest
from agent.evidence import stamp
from agent.items import Accepted

ORIGIN = "sha256:" + "0" * 64
"""What the first entry names as the one before it."""


def facts(entry: Accepted) -> dict[str, Any]:
    """An entry as it is linked, exported and told: all that the agent knows of it, but for the link itself."""
    return {
        "seq": entry.seq,
        "item": entry.id,
        "previous": entry.previous,
        "evidence_id": entry.evidence_id,
        "control_id": entry.control_id,
        "source": entry.source,
        "collected_at": entry.collected_at,
        "created_at": entry.created_at,
        "accepted_at": stamp(datetime.fromtimestamp(entry.accepted_at, UTC)),
        "request_id": entry.request_id,
        "idempotency_key": entry.key,
        "body": entry.digest,
        "size": entry.size,
        "collector": entry.collector,
        "evidence_type": entry.evidence_type,
        "target": entry.target,
        "snapshot_id": entry.snapshot_id,
        "part": entry.part,
        "parts": entry.parts,
        "records": entry.records,
        "gaps": entry.gaps,
    }


def link(told: dict[str, Any]) -> str:
    """The link of an entry with these facts, as in `sha256:9f86…`."""
    return digest(canonical(told))
