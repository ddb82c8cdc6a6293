"""The ledger: entries that hang together, and what goes from it."""

import hashlib
import json

from agent_fixtures import NOW, made

from agent.chain import ORIGIN
from agent.items import Accept
from agent.ledger import Ledger
from agent.outbox import Outbox

DAY = 86_400.0


def accept(store, *numbers, now=NOW):
    """Puts and accepts pieces, in this order; the numbers of their items."""
    outbox = Outbox(store)
    ids = {number: outbox.put("aws", "here", [made(number)], None, now=now)[0] for number in sorted(numbers)}
    outbox.claim(len(numbers), now=now)
    for number in numbers:
        outbox.settle([Accept(ids[number], f"ev_{number}", None, f"req_{number}")], now=now)
    return [ids[number] for number in numbers]


def test_entries_hang_together(store):
    """Each entry has the digest of the one before it, and its own follows from its facts, by RFC 8785 and SHA-256."""
    accept(store, 3, 1, 2)
    entries = list(Ledger(store).entries())
    assert [(entry.seq, entry.evidence_id) for entry in entries] == [(1, "ev_3"), (2, "ev_1"), (3, "ev_2")]
    assert [entry.previous for entry in entries] == [ORIGIN, entries[0].link, entries[1].link]
    entry = entries[1]
    told = {
        "seq": 2, "previous": entries[0].link, "evidence_id": "ev_1", "control_id": entry.control_id,
        "source": "aws", "collected_at": entry.collected_at, "created_at": None,
        "accepted_at": "2026-04-15T09:14:22.000Z", "request_id": "req_1", "idempotency_key": entry.key,
        "body": f"sha256:{hashlib.sha256(made(1).body).hexdigest()}", "size": len(made(1).body), "collector": "aws",
        "evidence_type": entry.evidence_type, "target": "here", "snapshot_id": entry.snapshot_id, "part": 1,
        "parts": 1, "records": entry.records, "gaps": 0,
    }  # fmt: skip
    content = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
    assert entry.link == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert Ledger(store).head() == (3, entries[2].link)


def test_only_its_beginning_is_forgotten(store):
    """What was accepted long ago goes as far as it is the chain's beginning; the chain goes on from there."""
    ledger = Ledger(store)
    late, *_ = accept(store, 1)
    accept(store, 2, 3, now=NOW + DAY)
    accept(store, 4, now=NOW + 3 * DAY)
    assert late == 1
    assert ledger.prune(before=NOW + 2 * DAY) == 3
    (left,) = ledger.entries()
    assert (left.seq, left.evidence_id) == (4, "ev_4")
    accept(store, 5, now=NOW + 4 * DAY)
    assert [entry.previous for entry in ledger.entries()][1] == left.link


def test_the_last_entry_stays(store):
    """However old, the last entry is kept: the next one hangs on it."""
    accept(store, 2, 1)
    assert Ledger(store).prune(before=NOW + 900 * DAY) == 0
    assert len(list(Ledger(store).entries())) == 2
    accept(store, 3, now=NOW + DAY)
    Ledger(store).prune(before=NOW + 900 * DAY)
    assert [entry.evidence_id for entry in Ledger(store).entries()] == ["ev_3"]
