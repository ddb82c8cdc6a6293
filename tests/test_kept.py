"""Bodies of what was accepted: how long they are kept, and for what they go."""

import os
import sqlite3
from contextlib import closing

from agent_fixtures import NOW, made

from agent.body import unpacked
from agent.items import Accept
from agent.outbox import Outbox
from agent.room import Room
from agent.store import DATABASE, Store

DAY = 86_400.0


def accepted(store, *numbers, now=NOW, keep=DAY):
    """Puts and accepts large pieces; the numbers of their items."""
    outbox = Outbox(store, keep_bodies=keep)
    ids = [outbox.put("aws", "here", [large(number)], None, now=now)[0] for number in numbers]
    outbox.claim(len(ids), now=now)
    outbox.settle([Accept(item_id, f"ev_{item_id}", None, None) for item_id in ids], now=now)
    return ids


def large(number):
    return made(number, noise=os.urandom(15_000).hex())


def kept(store):
    """The bodies by their numbers."""
    rows = store.read(lambda connection: connection.execute("SELECT id, content FROM kept ORDER BY id").fetchall())
    return {row["id"]: unpacked(row["content"]) for row in rows}


def test_a_body_is_gone_at_once_unless_it_is_to_be_kept(store):
    """As a rule nothing is left of a body; where it is kept, it is what was sent."""
    accepted(store, 1, keep=0.0)
    assert kept(store) == {}
    piece = made(2)
    outbox = Outbox(store, keep_bodies=DAY)
    (item_id,) = outbox.put("aws", "here", [piece], None, now=NOW)
    outbox.claim(1, now=NOW)
    outbox.settle([Accept(item_id, "ev_2", None, None)], now=NOW)
    assert kept(store) == {item_id: piece.body}
    assert outbox.counts() == {}


def test_it_is_kept_for_so_long_and_no_longer(store):
    """What was kept for long enough goes with what is accepted next, or when somebody looks after it."""
    accepted(store, 1)
    second = accepted(store, 2, now=NOW + 0.6 * DAY)
    third = accepted(store, 3, now=NOW + 1.1 * DAY)
    assert list(kept(store)) == second + third
    assert Outbox(store).forget_bodies(before=NOW + DAY) == 1
    assert list(kept(store)) == third


def test_nothing_owed_is_refused_for_what_is_kept(tmp_path):
    """Where the outbox is full of kept bodies, the oldest make room; what is owed fills it as if there were none."""
    with Store(tmp_path / "state", Room(max_bytes=2_000_000, min_free_bytes=0)) as store:
        ids = [item_id for number in range(200) for item_id in accepted(store, number, now=NOW + number)]
        left = list(kept(store))
        assert 20 < len(left) < 150
        outbox = Outbox(store)
        fitting = [large(number) for number in range(80)]
        assert len(outbox.put("aws", "here", fitting, None, now=NOW + 300)) == 80
        assert len(kept(store)) < len(left)
        assert set(kept(store)) <= set(ids[-150:])


def test_nothing_is_kept_where_there_is_no_room(tmp_path):
    """A full disk empties by what is accepted: then no body stays."""
    with Store(tmp_path / "state") as store:
        (item_id,) = Outbox(store).put("aws", "here", [made(1)], None, now=NOW)
        store.room = Room(max_bytes=1)
        outbox = Outbox(store, keep_bodies=DAY)
        outbox.claim(1, now=NOW)
        outbox.settle([Accept(item_id, "ev_1", None, None)], now=NOW)
        assert kept(store) == {}
        assert outbox.owed() == 0


def test_it_outlives_damage(tmp_path):
    """A mended database has the bodies of the receipts that it has, and no others."""
    with Store(tmp_path / "state") as store:
        ids = accepted(store, 1, 2, 3)
        before = kept(store)
    with closing(sqlite3.connect(tmp_path / "state" / DATABASE)) as connection:
        connection.execute("DELETE FROM ledger WHERE id = ?", ids[:1])
        connection.execute("PRAGMA user_version=0")
        connection.commit()
    with Store(tmp_path / "state") as store:
        assert kept(store) == {item_id: before[item_id] for item_id in ids[1:]}
        assert Outbox(store).hold() is None
