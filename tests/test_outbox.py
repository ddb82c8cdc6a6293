import json
import multiprocessing
import os
import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime

import pytest
from agent_fixtures import CONTROL, NOW, Fact, made, snapshot

from agent.evidence import evidence
from agent.items import Accept, Answer, Checkpoint, Count, Defer, Lose, Reject, Release
from agent.ledger import Ledger
from agent.outbox import BeingSent, Outbox, UnknownItem
from agent.store import DATABASE, Store

DAY = 86400.0
REFUSAL = Answer(422, "validation_error", "[req_1] 422 validation_error: no", "req_1")


@pytest.fixture
def outbox(store):
    return Outbox(store)


def _put(outbox, *numbers, now=NOW, **changes):
    return outbox.put("aws", "here", [made(number, **changes) for number in numbers], None, now=now)


def _claim(outbox, limit=10, now=NOW):
    return [claimed.item.id for claimed in outbox.claim(limit, now=now)]


def _states(outbox):
    return {item.id: item.state for item in outbox.items()}


# ── Putting ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_put(outbox):
    """What was put is pending, with the facts about it, and its body to the byte."""
    piece = made(1)
    (item_id,) = outbox.put("aws", "here", [piece], None, now=NOW)
    item = outbox.item(item_id)
    assert (item.state, item.key, item.control_id, item.attempts) == ("pending", piece.key, CONTROL, 0)
    assert (item.collected_at, item.size, item.queued_at) == ("2026-04-15T09:14:22.001Z", len(piece.body), NOW)
    assert outbox.body(item_id) == piece.body
    assert outbox.counts() == {"pending": Count(1, len(piece.body), NOW)}
    assert outbox.owed() == 1


@pytest.mark.parametrize("good", [1, 40])
def test_put_is_whole_or_nothing(outbox, good):
    """A snapshot that breaks after some of its parts leaves no part, and no checkpoint."""

    def pieces():
        yield from map(made, range(good))
        raise OSError("the spool is gone")

    with pytest.raises(OSError, match="the spool is gone"):
        outbox.put("aws", "here", pieces(), Checkpoint(None, "r1", "snap_1"), now=NOW)
    assert list(outbox.items()) == []
    assert outbox.checkpoint("aws", "aws_s3_bucket_encryption", "here") is None


def test_the_checkpoint_is_put_with_the_evidence(outbox):
    """How far a population was read is remembered in the transaction of its evidence, and replaced by the next."""
    until = datetime(2026, 4, 15, 9, tzinfo=UTC)
    for checkpoint in (Checkpoint(None, "r1", "snap_1"), Checkpoint(until, None, "snap_2")):
        outbox.put("aws", "here", [made(int(checkpoint.snapshot_id[-1]))], checkpoint, now=NOW)
        assert outbox.checkpoint("aws", "aws_s3_bucket_encryption", "here") == checkpoint
    assert outbox.checkpoint("aws", "aws_s3_bucket_encryption", "elsewhere") is None
    assert outbox.checkpoint("other", "aws_s3_bucket_encryption", "here") is None


def test_a_snapshot_of_many_parts(outbox):
    """More parts than are compressed ahead are put in one transaction all the same."""
    with snapshot(*(Fact(name=str(number), value=1) for number in range(50))) as snap:
        pieces = evidence(snap, ["a", "b"], shape="record", limit=1_000_000)
        ids = outbox.put("aws", "here", pieces, None, now=NOW)
    assert len(ids) == len(set(ids)) == 100
    assert {json.loads(outbox.body(item_id))["control_id"] for item_id in ids} == {"a", "b"}


def _put_many(directory, first):
    with Store(directory) as store:
        for number in range(first, first + 30):
            _put(Outbox(store), number)


def test_two_processes_put_at_once(store, outbox):
    """Any number of processes may put at the same time; nothing is lost and nobody fails."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_put_many, args=(store.directory, first)) for first in (0, 100)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert sorted(item.snapshot_id for item in outbox.items()) == sorted(
        f"snap_{number}" for number in (*range(30), *range(100, 130))
    )


# ── Delivering ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_claim_is_oldest_first_and_once(outbox):
    """What is due is claimed in the order of its putting, and nobody claims it again."""
    ids = [*_put(outbox, 1, now=NOW - 1), *_put(outbox, 2, 3), *_put(outbox, 4, now=NOW - 2)]
    assert _claim(outbox, 3) == [ids[3], ids[0], ids[1]]
    assert _claim(outbox) == [ids[2]]
    assert _claim(outbox) == []
    (item,) = outbox.items(["in_flight"], limit=1)
    assert (item.attempts, item.unsure_since) == (1, NOW)


def test_accepted(store, outbox):
    """An accepted item leaves the outbox, body and all, and its receipt is in the ledger."""
    (item_id,) = _put(outbox, 1)
    outbox.claim(1, now=NOW)
    outbox.settle([Accept(item_id, "ev_1", datetime(2026, 4, 15, tzinfo=UTC), "req_1")], now=NOW + 1)
    with pytest.raises(UnknownItem, match=f"no item {item_id}; `chequr-agent outbox list`"):
        outbox.item(item_id)
    assert outbox.body(item_id) is None
    ledger = Ledger(store)
    (receipt,) = ledger.receipts(item_id)
    assert (receipt.evidence_id, receipt.created_at, receipt.accepted_at) == (
        "ev_1",
        "2026-04-15T00:00:00.000Z",
        NOW + 1,
    )
    assert (receipt.key, receipt.request_id) == (made(1).key, "req_1")
    assert ledger.receipts(snapshot_id="snap_1") == [receipt]
    assert ledger.count() == 1
    assert _put(outbox, 2) > [item_id]


def test_deferred(outbox):
    """A deferred item says why, and is claimed again once it is due."""
    (item_id,) = _put(outbox, 1)
    outbox.claim(1, now=NOW)
    outbox.settle([Defer(item_id, Answer(503, None, "degraded", "req_1"), NOW + 60)], now=NOW)
    item = outbox.item(item_id)
    assert (item.state, item.status, item.reason, item.request_id) == ("deferred", 503, "degraded", "req_1")
    assert outbox.next_due() == NOW + 60
    assert _claim(outbox, now=NOW + 59) == []
    assert _claim(outbox, now=NOW + 60) == [item_id]
    assert outbox.item(item_id).attempts == 2


def test_rejected_and_retried(outbox):
    """A rejected item keeps its body and the API's words, is not claimed, and goes out as it was once retried."""
    (item_id,) = _put(outbox, 1)
    outbox.claim(1, now=NOW)
    outbox.settle([Reject(item_id, REFUSAL)], now=NOW)
    item = outbox.item(item_id)
    assert (item.state, item.code, item.reason) == ("rejected", "validation_error", REFUSAL.reason)
    assert (_claim(outbox, now=NOW + DAY), outbox.owed(), outbox.next_due()) == ([], 0, None)
    assert outbox.retry([item_id, 99], now=NOW) == 1
    (claimed,) = outbox.claim(1, now=NOW)
    assert (claimed.body, claimed.item.key) == (made(1).body, made(1).key)


def test_released(outbox):
    """A released item is pending as before, its attempt not counted; with `due` it goes behind the others."""
    first, second = _put(outbox, 1, 2)
    outbox.claim(1, now=NOW)
    outbox.settle([Release(first)], now=NOW)
    assert outbox.item(first).attempts == 0
    assert _claim(outbox, 1) == [first]
    outbox.settle([Release(first, NOW + 1)], now=NOW + 1)
    assert _claim(outbox, now=NOW + 1) == [second, first]


def test_reclaimed(outbox):
    """What a deliverer that died had in flight is pending again, and counted as tried."""
    ids = _put(outbox, 1, 2)
    outbox.claim(1, now=NOW)
    assert outbox.reclaim() == 1
    assert set(_states(outbox).values()) == {"pending"}
    assert outbox.item(ids[0]).attempts == 1


@pytest.mark.parametrize("back", [60, 3600, DAY, 400 * DAY])
def test_a_clock_set_back(outbox, back):
    """A clock that is set back holds nothing up: what is pending goes at once, what is deferred within two hours."""
    pending, deferred = _put(outbox, 1, 2)
    assert _claim(outbox, 2) == [pending, deferred]
    outbox.settle([Release(pending), Defer(deferred, REFUSAL, NOW + 10)], now=NOW)
    claimed = _claim(outbox, now=NOW - back)
    assert claimed[0] == pending
    assert _claim(outbox, now=NOW - back + 2 * 3600) == [deferred] or deferred in claimed


def test_settling_is_whole_or_nothing(outbox):
    """Where one of several settlements cannot be written none is, and all are still in flight."""
    ids = _put(outbox, 1, 2)
    outbox.claim(2, now=NOW)
    with pytest.raises(sqlite3.IntegrityError):
        outbox.settle([Reject(ids[0], REFUSAL), Accept(ids[1], None, None, None)], now=NOW)
    assert set(_states(outbox).values()) == {"in_flight"}


def test_kin(outbox):
    """Which evidence of an item's control has a receipt is known, and which items may be there and look alike."""
    pieces = [made(1, part=part, parts=3, x=part) for part in (1, 2, 3)]
    ids = outbox.put("aws", "here", [*pieces, made(2), made(1, control_id="b")], None, now=NOW)
    assert outbox.kin(outbox.item(ids[0]), ["ev_1"]).unsure == {}
    outbox.claim(2, now=NOW)
    outbox.claim(9, now=NOW + 1)
    outbox.settle([Accept(ids[1], "ev_1", None, None), Reject(ids[2], REFUSAL, NOW + 1)], now=NOW + 2)
    kin = outbox.kin(outbox.item(ids[0]), ["ev_0", "ev_1"])
    assert (kin.receipts, kin.unsure) == ({"ev_1": NOW + 2}, {ids[0]: NOW, ids[2]: NOW + 1})


def test_a_lost_gap_does_not_set_its_population_back(outbox):
    """What was queued without a checkpoint never moved one: its loss leaves the one that is there."""
    until = Checkpoint(datetime(2026, 1, 1, tzinfo=UTC), None, "snap_1")
    outbox.put("aws", "here", [made(1)], until, now=NOW)
    (gap,) = outbox.put("aws", "here", [made(2)], None, now=NOW)
    outbox.claim(2, now=NOW)
    outbox.settle([Lose(gap, "damaged")], now=NOW)
    assert outbox.checkpoint("aws", made(1).evidence_type, "here").until == until.until


def test_hold(outbox):
    """A hold says since when and why; a further refusal changes the reason and not the beginning."""
    assert outbox.hold() is None
    outbox.set_hold(401, "revoked", now=NOW)
    outbox.set_hold(403, "lacks scope", now=NOW + 5)
    hold = outbox.hold()
    assert (hold.status, hold.reason, hold.since) == (403, "lacks scope", NOW)
    outbox.lift_hold()
    assert outbox.hold() is None


# ── Operating ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_items_page_by_page(outbox):
    """Items are listed by id, in whole or up to a limit, all or those in some states."""
    ids = _put(outbox, *range(1, 1101))
    assert [item.id for item in outbox.items()] == ids
    assert [item.id for item in outbox.items(limit=501)] == ids[:501]
    outbox.claim(3, now=NOW)
    assert [item.id for item in outbox.items(["in_flight"])] == ids[:3]
    assert list(outbox.items(["rejected", "deferred"])) == []


def test_discard(outbox):
    """A discarded item loses its body and says what it was; one in flight, or unknown, is not discarded."""
    first, second = _put(outbox, 1, 2)
    outbox.claim(1, now=NOW)
    with pytest.raises(BeingSent, match=f"item {first} is being sent"):
        outbox.discard(first)
    outbox.discard(second)
    assert (outbox.item(second).state, outbox.body(second)) == ("discarded", None)
    assert (outbox.counts()["discarded"].items, outbox.counts()["discarded"].bytes) == (1, 0)
    assert outbox.retry([second], now=NOW) == 0
    with pytest.raises(UnknownItem, match="no item 99"):
        outbox.discard(99)
    assert outbox.owed() == 1


def test_export(outbox, tmp_path):
    """Each body is written to the byte into a file of its own, which only its owner can read."""
    _put(outbox, 1, 2)
    outbox.discard(2)
    before = os.umask(0)
    try:
        assert outbox.export(tmp_path / "out") == 1
    finally:
        os.umask(before)
    (file,) = (tmp_path / "out").iterdir()
    assert file.name == "00000001-pending-aws_s3_bucket_encryption-1-of-1.json"
    assert file.read_bytes() == made(1).body
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert outbox.export(tmp_path / "out") == 1


def test_evidence_is_one_items(store, outbox):
    """What was found at a control, and turns out to be another item's, is not this one's: it is looked up again."""
    first, second = _put(outbox, 1, 2)
    outbox.claim(2, now=NOW)
    created = datetime.fromtimestamp(NOW, UTC)
    outbox.settle([Accept(first, "ev_1", created, None), Accept(second, "ev_1", None, None)], now=NOW)
    assert [receipt.id for receipt in Ledger(store).receipts()] == [first]
    (item,) = outbox.items()
    assert (item.id, item.state, item.due, item.unsure_since) == (second, "deferred", NOW, NOW)
    assert outbox.body(second) is not None
    outbox.claim(1, now=NOW)
    outbox.settle([Accept(second, "ev_2", None, None)], now=NOW)
    assert len(Ledger(store).receipts()) == 2


# ── Damage ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _spoil(store, statement, *values):
    with closing(sqlite3.connect(store.directory / DATABASE)) as connection:
        connection.execute(statement, values)
        connection.commit()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        b"\x28\xb5\x2f\xfd\xe0\xff\xff\xff\xff\xff\xff\xff\x0f",  # a frame that claims to hold an exabyte
        "flipped",
        "cut",
        "other",
    ],
)
def test_a_damaged_body_is_none(store, outbox, content):
    """A body that no longer has its digest is none, whatever happened to it, and the others are whole."""
    first, _ = _put(outbox, 1, 2)
    whole = sqlite3.connect(store.directory / DATABASE)
    (one,), (other,) = whole.execute("SELECT content FROM body ORDER BY id")
    whole.close()
    made_up = {"flipped": one[:-3] + bytes([one[-3] ^ 1]) + one[-2:], "cut": one[:-4], "other": other}
    _spoil(store, "UPDATE body SET content = ? WHERE id = ?", made_up.get(content, content), first)
    assert outbox.body(first) is None
    assert [claimed.body for claimed in outbox.claim(2, now=NOW)] == [None, made(2).body]


def test_a_body_that_is_gone(store, outbox):
    """An item whose body is missing is claimed without one."""
    (item_id,) = _put(outbox, 1)
    _spoil(store, "DELETE FROM body WHERE id = ?", item_id)
    (claimed,) = outbox.claim(1, now=NOW)
    assert claimed.body is None
