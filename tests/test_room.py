"""How much the outbox may take, and what is kept back."""

import os
import threading

import pytest
from agent_fixtures import NOW, made

from agent.items import Accept
from agent.outbox import Outbox, OutboxFull
from agent.room import Ballast, Room
from agent.store import Store


@pytest.fixture
def free(tmp_path):
    system = os.statvfs(tmp_path)
    return system.f_bavail * system.f_frsize


def test_within_both_limits(tmp_path):
    """There is room while neither limit is reached, to the byte."""
    assert Room(1000, 0).lack(tmp_path, 900, 0, 100) is None
    assert Room(1000, 0).lack(tmp_path, 900, 0, 101) == "it holds 0.0 MB of the 0.0 MB that outbox.max_bytes allows"


def test_a_floor_of_free_space(tmp_path, free):
    """What is to stay free stays free, or a twentieth of a small disk."""
    room = Room(10**18, 1)
    assert room.lack(tmp_path, 0, 0, 1000) is None
    assert "min_free_bytes" in room.lack(tmp_path, 0, 0, free + 10**9)
    assert room.lack(tmp_path, 0, free + 10**9, free + 10**9) is None  # room that is its own already


def test_the_account_of_what_was_not_kept_has_more_room(tmp_path):
    """Half of what stays free is for what is essential."""
    room = Room(1000, 1_000_000)
    assert room.lack(tmp_path, 1000, 0, 400_000)
    assert room.lack(tmp_path, 1000, 0, 400_000, essential=True) is None
    assert room.lack(tmp_path, 1000, 0, 600_000, essential=True)


def test_nothing_owed_is_dropped_to_make_room(tmp_path):
    """A put that does not fit raises, says what to do, and leaves all as it was; once there is room it fits."""
    with Store(tmp_path / "state", Room(max_bytes=400_000, min_free_bytes=0)) as store:
        outbox = Outbox(store)
        put = []
        with pytest.raises(OutboxFull, match=r"the outbox is full: .* outbox.max_bytes") as refused:  # noqa: PT012
            for number in range(100):
                put += outbox.put("aws", "here", [_large(number)], None, now=NOW)
        assert "outbox.max_bytes" in refused.value.remedy
        assert 5 < len(put) < 20
        assert [item.id for item in outbox.items()] == put
        outbox.claim(100, now=NOW)
        outbox.settle([Accept(item_id, f"ev_{item_id}", None, None) for item_id in put], now=NOW)
        assert outbox.put("aws", "here", [_large(200)], None, now=NOW)


def test_what_is_essential_still_fits(tmp_path):
    """The account of a snapshot that was not kept goes into a full outbox."""
    with Store(tmp_path / "state", Room(max_bytes=200_000, min_free_bytes=2_000_000)) as store:
        outbox = Outbox(store)
        with pytest.raises(OutboxFull):
            outbox.put("aws", "here", [_large(number) for number in range(20)], None, now=NOW)
        for number in range(100, 120):
            assert outbox.put("aws", "here", [_large(number)], None, now=NOW, essential=True)
        assert len(list(outbox.items())) == 20


def _large(number):
    return made(number, noise=os.urandom(15_000).hex())


# ── The ballast ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_only_delivering_takes_all_of_it(tmp_path):
    """Others may use half of what is kept back; what delivers may use the rest, step by step; then there is none."""
    ballast = Ballast(tmp_path)
    ballast.restore()
    whole = (tmp_path / "ballast").stat().st_blocks * 512
    assert whole >= 8_000_000
    taken = 0
    while ballast.give_up(delivers=False):
        taken += 1
    assert (taken, (tmp_path / "ballast").stat().st_size) == (8, 4_000_000)
    while ballast.give_up(delivers=True):
        taken += 1
    assert (taken, (tmp_path / "ballast").stat().st_size) == (16, 0)
    ballast.restore()
    assert (tmp_path / "ballast").stat().st_blocks * 512 == whole


def test_no_ballast_was_ever_made(tmp_path):
    """Where there is none there is none to give up."""
    assert not Ballast(tmp_path).give_up(delivers=True)
    Ballast(tmp_path / "nowhere").restore()


# ── Writing together ───────────────────────────────────────────────────────────────────────────────────────────────


def test_what_comes_meanwhile_is_committed_together(tmp_path):
    """While one commit is under way the others gather: many threads, few flushes, and each gets what is its own."""
    from agent.wal import frames

    with Store(tmp_path) as store:
        begun, threads, ids = threading.Event(), [], {}

        def slow(connection):
            begun.set()
            while len(store._waiting) < 20:
                threading.Event().wait(0.01)

        def put(number):
            ids[number] = Outbox(store).put("aws", "here", [made(number)], None, now=NOW)

        threads = [threading.Thread(target=store.write, args=(slow,))]
        threads[0].start()
        assert begun.wait(10)
        before = _commits(tmp_path, frames)
        threads += [threading.Thread(target=put, args=(number,)) for number in range(20)]
        for thread in threads[1:]:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert _commits(tmp_path, frames) - before <= 2
        items = {item.id: item.snapshot_id for item in Outbox(store).items()}
        assert {number: items[item_id] for number, (item_id,) in ids.items()} == {n: f"snap_{n}" for n in range(20)}


def _commits(directory, frames):
    with (directory / "state.db-wal").open("rb") as file:
        return sum(frame.commit > 0 for frame in frames(file.fileno(), 8192))


def test_who_fails_fails_alone(tmp_path):
    """What one thread breaks is undone for that thread, and committed for those that were written with it."""
    with Store(tmp_path) as store:
        begun, outcome = threading.Event(), {}

        def slow(connection):
            begun.set()
            while len(store._waiting) < 3:
                threading.Event().wait(0.01)

        def insert(name, connection):
            connection.execute("INSERT INTO run (collector, started_at) VALUES (?, 0)", (name,))
            if name == "bad":
                raise ValueError("it broke")
            return name

        def write(name):
            try:
                outcome[name] = store.write(lambda connection: insert(name, connection))
            except ValueError as error:
                outcome[name] = str(error)

        threads = [threading.Thread(target=store.write, args=(slow,))]
        threads[0].start()
        assert begun.wait(10)
        threads += [threading.Thread(target=write, args=(name,)) for name in ("good", "bad", "better")]
        for thread in threads[1:]:
            thread.start()
        for thread in threads:
            thread.join(30)
        rows = store.read(lambda connection: connection.execute("SELECT collector FROM run").fetchall())
        assert {row["collector"] for row in rows} == {"good", "better"}
        assert outcome == {"good": "good", "bad": "it broke", "better": "better"}
