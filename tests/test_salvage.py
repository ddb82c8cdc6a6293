"""A damaged database: what is carried over, what is told as lost, and that everybody goes on."""

import multiprocessing
import os
import random
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime

import pytest
from agent_fixtures import NOW, made

from agent.evidence import stamp
from agent.items import Accept, Answer, Checkpoint, Reject
from agent.ledger import Ledger
from agent.mark import MARK
from agent.outbox import Outbox
from agent.store import DATABASE, Store
from agent.systemd import ServiceManager
from agent.vitals import Vitals

LARGE = 6000  # bytes that no compression makes smaller, so that each body has a page of its own
TYPE = "aws_s3_bucket_encryption"


def _large(number, **changes):
    return made(number, noise=random.Random(number).randbytes(LARGE).hex(), **changes)


def _put(outbox, number, *, checkpoint=None, parts=1):
    pieces = [_large(number, part=part, parts=parts, x=part) for part in range(1, parts + 1)]
    return outbox.put("aws", "here", pieces, checkpoint, now=NOW)


@pytest.fixture
def state(tmp_path):
    """A state directory that was used: receipts, a refusal, what is owed, and a checkpoint."""
    with Store(tmp_path / "state") as store:
        outbox = Outbox(store)
        accepted, refused, *_ = (number for one in range(1, 41) for number in _put(outbox, one))
        outbox.claim(2, now=NOW)
        refusal = Reject(refused, Answer(422, "bad", "no", "req_2"))
        outbox.settle([Accept(accepted, "ev_1", None, "req_1"), refusal], now=NOW)
        _put(outbox, 41, checkpoint=Checkpoint(datetime(2026, 4, 15, tzinfo=UTC), None, "snap_41"))
    return tmp_path / "state"


def _ids(outbox):
    return {item.id: item.state for item in outbox.items()}


def _spoil(state, *statements):
    with closing(sqlite3.connect(state / DATABASE)) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def _overwrite(file, at, content):
    with file.open("r+b") as stream:
        stream.seek(at)
        stream.write(content)


def _header_gone(state):
    _overwrite(state / DATABASE, 0, bytes(100))


def _schema_gone(state):
    _overwrite(state / DATABASE, 0, bytes(8192))


def _version_gone(state):
    _spoil(state, "PRAGMA user_version=0")


def _an_index_gone(state):
    _spoil(state, "DROP INDEX item_owed")


@pytest.mark.parametrize("spoil", [_header_gone, _schema_gone, _version_gone, _an_index_gone])
def test_what_is_whole_is_carried_over(state, spoil):
    """Where only what SQLite says about the whole is damaged, nothing is lost, and the old files are kept."""
    spoil(state)
    content = (state / DATABASE).read_bytes()
    with Store(state) as store:
        outbox = Outbox(store)
        states = _ids(outbox)
        assert (len(states), states[2], states[3]) == (40, "rejected", "pending")
        assert outbox.item(2).reason == "no"
        assert [receipt.evidence_id for receipt in Ledger(store).receipts()] == ["ev_1"]
        assert outbox.body(3) == _large(3, part=1, parts=1, x=1).body
        assert outbox.checkpoint("aws", TYPE, "here").snapshot_id == "snap_41"
        assert outbox.losses() == []
    assert [file.read_bytes() for file in (state / "damaged").glob(f"*/{DATABASE}")] == [content]
    with Store(state) as store:
        assert len(_ids(Outbox(store))) == 40
    assert len(list((state / "damaged").iterdir())) == 1


def test_a_lost_tail_is_noticed_and_named(state):
    """A database of last week in the place of today's is whole in itself: the mark tells what it does not have."""
    earlier = (state / DATABASE).read_bytes()
    with Store(state) as store:
        _put(Outbox(store), 42, parts=3, checkpoint=Checkpoint(datetime(2026, 4, 16, tzinfo=UTC), None, "snap_42"))
    (state / DATABASE).write_bytes(earlier)
    with Store(state) as store:
        outbox = Outbox(store)
        (loss,) = outbox.losses()
        assert (loss.first_item, loss.last_item, loss.items) == (42, 44, 3)
        assert (loss.collector, loss.evidence_type, loss.target, loss.snapshot_id) == ("aws", TYPE, "here", "snap_42")
        assert outbox.checkpoint("aws", TYPE, "here").until == datetime(2026, 4, 15, tzinfo=UTC)
        assert _put(outbox, 43) == [45]


def test_a_number_that_damage_made_huge_takes_no_memory(state):
    """What is missing below it is told in one line: nobody counts up to it."""
    huge = 1 << 40
    _spoil(state, f"UPDATE item SET id = {huge} WHERE id = 40", f"UPDATE body SET id = {huge} WHERE id = 40")
    _version_gone(state)
    with Store(state) as store:
        outbox = Outbox(store)
        assert [(loss.collector, loss.first_item, loss.last_item) for loss in outbox.losses()] == [
            ("aws", 40, 40), (None, 42, huge - 1),
        ]  # fmt: skip
        assert outbox.item(huge).snapshot_id == "snap_40"


def test_a_lost_first_read_is_read_again_as_a_whole(state):
    """Where nothing had been read before what is lost, no checkpoint is left."""
    earlier = (state / DATABASE).read_bytes()
    with Store(state) as store:
        outbox = Outbox(store)
        outbox.put("aws", "there", [_large(50)], Checkpoint(None, "r1", "snap_50"), now=NOW)
        assert outbox.checkpoint("aws", TYPE, "there").revision == "r1"
    (state / DATABASE).write_bytes(earlier)
    with Store(state) as store:
        assert Outbox(store).checkpoint("aws", TYPE, "there") is None


def test_a_lost_database_is_all_told(state):
    """A database that is not there any more is told by the mark: each snapshot by name, and no number is used again."""
    (state / DATABASE).unlink()
    with Store(state) as store:
        outbox = Outbox(store)
        losses = outbox.losses()
        assert {loss.snapshot_id for loss in losses} == {f"snap_{number}" for number in range(1, 42)}
        assert sum(loss.items for loss in losses) == 41
        assert _put(outbox, 60) == [42]


def test_without_a_mark_the_numbers_are_told(state):
    """Where the mark is gone, too, a hole between the numbers is told as such."""
    (state / MARK).unlink()
    _spoil(state, "DELETE FROM item WHERE id IN (5, 6, 9)", "DELETE FROM body WHERE id IN (5, 6, 9)")
    _header_gone(state)
    with Store(state) as store:
        losses = Outbox(store).losses()
        assert [(loss.first_item, loss.last_item, loss.collector) for loss in losses] == [(5, 6, None), (9, 9, None)]


def test_an_item_without_its_row_is_told_by_its_body(state, tmp_path):
    """A body says itself whose it is: the item is sent, after a look whether it arrived before."""
    from agent_fixtures import Fact, snapshot

    from agent.evidence import evidence

    with Store(state) as store, snapshot(Fact(name="a", value=1)) as snap:
        (piece,) = evidence(snap, ["ctrl_a"], shape="snapshot", limit=1_000_000)
        (item_id,) = Outbox(store).put("aws", "here", [piece], None, now=NOW)
        before = Outbox(store).item(item_id)
    _spoil(state, f"DELETE FROM item WHERE id = {item_id}", "PRAGMA user_version=0")
    with Store(state) as store:
        outbox = Outbox(store)
        item = outbox.item(item_id)
        told = ("key", "collector", "evidence_type", "source", "control_id", "snapshot_id", "collected_at", "digest")
        assert [getattr(item, name) for name in told] == [getattr(before, name) for name in told]
        assert (item.state, item.records, outbox.body(item_id)) == ("pending", 1, piece.body)
        assert item.unsure_since == snap.finished.timestamp()
        assert outbox.losses() == []


def test_an_item_without_its_body_is_lost_by_name(state):
    """What can no longer be sent is told with its control, and not kept as if it were owed."""
    _spoil(state, "DELETE FROM body WHERE id = 7", "PRAGMA user_version=0")
    with Store(state) as store:
        (loss,) = Outbox(store).losses()
        assert (loss.first_item, loss.items, loss.control_id, loss.snapshot_id) == (7, 1, "ctrl_ac_02", "snap_7")
        assert 7 not in _ids(Outbox(store))


def test_a_damaged_checkpoint_is_none(state):
    """A checkpoint that does not fit its seal would hide what was never read: it counts as none."""
    _spoil(state, f"UPDATE checkpoint SET until = '{stamp(datetime(2027, 1, 1, tzinfo=UTC))}'")
    with Store(state) as store:
        assert Outbox(store).checkpoint("aws", TYPE, "here") is None


def test_damage_that_comes_while_it_is_open(state):
    """What is damaged under an open store is mended when it is found, and what was asked for is done."""
    with Store(state) as store:
        outbox = Outbox(store)
        assert len(_ids(outbox)) == 40
        size = (state / DATABASE).stat().st_size
        for at in range(8192, size, 8192):
            if at // 8192 % 2:
                _overwrite(state / DATABASE, at, random.Random(at).randbytes(4000))
        store._connection.execute("PRAGMA cache_size=1")
        (fresh,) = _put(outbox, 70)
        assert _ids(outbox)[fresh] == "pending"
        bodies = [outbox.body(item_id) for item_id in _ids(outbox)]
        lost = sum(loss.items for loss in outbox.losses())
        assert 0 < lost < 40
        assert len(bodies) + lost >= 40
        assert list((state / "damaged").iterdir())


def test_a_mended_database_is_put_in_its_place_by_whoever_writes_next(state):
    """Who mends can be stopped just before that: what another process queues then goes into the mended database."""
    with Store(state) as store:
        with closing(sqlite3.connect(state / DATABASE)) as old, closing(sqlite3.connect(state / "mended")) as new:
            old.backup(new)
        (state / "mended").rename(state / f"{DATABASE}.new")
        (fresh,) = _put(Outbox(store), 70)
        assert not (state / f"{DATABASE}.new").exists()
    with Store(state) as store:
        assert Outbox(store).item(fresh).state == "pending"
        assert not Outbox(store).losses()


def test_mending_takes_long_without_being_taken_for_stuck(tmp_path):
    """A large database takes minutes: whoever would kill what gives no sign of life sees that it gets on."""
    noise = random.Random(1)
    with Store(tmp_path / "state") as store:
        outbox = Outbox(store)
        outbox.put("aws", "here", [made(1, x=noise.randbytes(200).hex()) for _ in range(4000)], None, now=NOW)
        store.tidy()  # what is in the log is moved into the database
        for at in range(8192 * 5, (tmp_path / "state" / DATABASE).stat().st_size, 8192 * 40):
            _overwrite(tmp_path / "state" / DATABASE, at, noise.randbytes(4000))
        store._connection.execute("PRAGMA cache_size=1")
        vitals = Vitals(store, ServiceManager(), lambda: 0.0)
        time.sleep(1.5)
        assert vitals.stuck(within=1.0) == ["the scheduler is stuck", "the deliverer is stuck"]
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(lambda: sum(1 for item in outbox.items() if outbox.body(item.id)))
            seen = set()
            while not reading.done():
                if at := store.mending_at:
                    seen.add(at)
                    assert vitals.stuck(within=1.0) == ["the scheduler is stuck"]
                time.sleep(0.001)
        assert reading.result()
        assert len(seen) > 5
        assert outbox.losses()
        assert store.mending_at == 0.0


def test_a_text_that_is_none_any_more(state):
    """A row whose text is damaged cannot be read at all: it is told by its snapshot, and the others are sent."""
    content = (state / DATABASE).read_bytes()
    _overwrite(state / DATABASE, content.index(b"snap_7"), b"sn\xff\xfe_7")
    with Store(state) as store:
        outbox = Outbox(store)
        states = _ids(outbox)
        (loss,) = outbox.losses()
        assert (loss.first_item, loss.items, loss.snapshot_id) == (7, 1, "snap_7")
        assert len(states) == 39


def test_an_index_that_has_forgotten_items_is_noticed(state):
    """An item that an index does not know of would never be sent: an idle moment finds it, and has it mended."""
    with Store(state) as store:
        outbox = Outbox(store)
        # As damage would leave it: the entry is gone from the index, and the row is not.
        connection = sqlite3.connect(state / DATABASE)
        connection.executescript("PRAGMA writable_schema=ON")
        (where,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'item_owed'").fetchone()
        narrower = where.replace("WHERE state", "WHERE id <> 10 AND state")
        connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'item_owed'", (narrower,))
        connection.commit()
        connection.close()
        connection = sqlite3.connect(state / DATABASE)
        connection.execute("REINDEX item_owed")
        connection.executescript("PRAGMA writable_schema=ON")
        connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'item_owed'", (where,))
        connection.commit()
        connection.close()
        while outbox.tidy():
            pass
        claimed = {claimed.item.id for claimed in outbox.claim(100, now=NOW)}
    assert 10 in claimed


# ── Others who have it open ────────────────────────────────────────────────────────────────────────────────────────


def test_a_store_follows_the_database_that_another_one_mended(state):
    """Two have it open, one finds the damage and mends it: the other reads and writes what is there now."""
    with Store(state) as one, Store(state) as other:
        before = _ids(Outbox(other))
        _spoil(state, "DROP INDEX item_other")
        one._renew("as found by one of them")
        assert _ids(Outbox(other)) == before
        first, second = _put(Outbox(other), 80), _put(Outbox(one), 81)
        assert _ids(Outbox(one)).keys() == _ids(Outbox(other)).keys() == before.keys() | {*first, *second}
    with Store(state) as store:
        assert {*first, *second} <= _ids(Outbox(store)).keys()


def test_the_old_connection_leaves_the_new_log_alone(state):
    """Who closes the database that was replaced takes nothing with it of the one that is in its place."""
    with Store(state) as one, Store(state) as other:
        _ids(Outbox(other))
        one._renew("as found by one of them")
        put = _put(Outbox(one), 82)
        log = state / f"{DATABASE}-wal"
        assert log.stat().st_size > 0
        content = log.read_bytes()
        other._connection.close()
        assert log.read_bytes() == content
        other._connect()
        assert set(put) <= _ids(Outbox(one)).keys()


def _write_on(state, first, started):
    with Store(state) as store:
        outbox = Outbox(store)
        started.set()
        for number in range(first, first + 40):
            _put(outbox, number)


def test_processes_go_on_while_one_mends(state):
    """Two processes put all the while that a third mends it again and again: nothing that they put is lost."""
    context = multiprocessing.get_context("spawn")
    events = [context.Event() for _ in range(2)]
    workers = [
        context.Process(target=_write_on, args=(state, first, event))
        for first, event in zip((100, 200), events, strict=True)
    ]
    for worker in workers:
        worker.start()
    for event in events:
        assert event.wait(30)
    with Store(state) as store:
        for _ in range(4):
            store._renew("again")
        for worker in workers:
            worker.join(60)
        assert [worker.exitcode for worker in workers] == [0, 0]
        snapshots = {item.snapshot_id for item in Outbox(store).items()}
        assert {f"snap_{number}" for first in (100, 200) for number in range(first, first + 40)} <= snapshots
        assert Outbox(store).losses() == []


# ── Mending that was cut short ─────────────────────────────────────────────────────────────────────────────────────


def test_a_half_built_database_is_thrown_away(state):
    """What was being built when its process died counts for nothing: the damaged one is still there to begin with."""
    _header_gone(state)
    (state / f"{DATABASE}.building").write_bytes(b"half")
    with Store(state) as store:
        assert len(_ids(Outbox(store))) == 40
    assert not (state / f"{DATABASE}.building").exists()


def test_a_whole_one_is_put_in_its_place(state):
    """Once the new database is whole and flushed it is the one that counts, whoever puts it in its place."""
    (state / DATABASE).rename(state / f"{DATABASE}.new")
    (state / DATABASE).write_bytes(os.urandom(8192))
    (state / f"{DATABASE}-wal").write_bytes(os.urandom(8192))
    with Store(state) as store:
        assert len(_ids(Outbox(store))) == 40
        assert Outbox(store).losses() == []
