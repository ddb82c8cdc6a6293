"""What a request body says about itself, when nothing else is left that does."""

import hashlib
import json
from datetime import datetime
from typing import Any

from agent.canonical import canonical


def retold(item_id: int, body: bytes, *, now: float) -> dict[str, Any] | None:
    """The row of the item that was sent, or was to be sent, with this body; None where it is no piece of evidence."""
    try:
        told = json.loads(body)
        payload = told["payload"]
        collection = payload["collection"]
        heading = payload if "evidence_type" in payload else collection  # the two shapes of a payload
        first_sent = datetime.fromisoformat(told["collected_at"]).timestamp()
        return {
            "id": item_id, "sha256": hashlib.sha256(body).digest(), "generation": 0,
            "collector": collection["collector"], "evidence_type": heading["evidence_type"],
            "source": told["source"], "target": canonical(heading["target"]).decode(),
            "control_id": told["control_id"], "snapshot_id": collection["snapshot_id"],
            "part": collection["part"], "parts": collection["parts"],
            "records": len(payload.get("records", [1])), "gaps": len(payload.get("gaps", [])),
            "collected_at": told["collected_at"], "size": len(body),
            "since": collection.get("period", {}).get("since"), "queued_at": now, "state": "pending", "due": now,
            "attempts": 0, "unsure_since": first_sent, "sent_with": "", "failures": 0, "failing_since": None,
            "refused_as": None, "status": None, "code": None, "reason": None, "request_id": None,
        }  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
