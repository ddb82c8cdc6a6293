import os
import sqlite3
import stat
import threading
from contextlib import closing
from functools import partial

import pytest

from agent.controls import Discovery
from agent.lock import Locked, lock
from agent.store import DATABASE, StateNewer, StateUnusable, Store


def _mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def _start(store, name):
    return store.write(lambda connection: connection.execute(_START, (name,)).lastrowid)


_START = "INSERT INTO run (collector, started_at) VALUES (?, 0)"


def _runs(store):
    rows = store.read(lambda connection: connection.execute("SELECT collector FROM run ORDER BY id").fetchall())
    return [row["collector"] for row in rows]


def test_only_the_owner_may_look(tmp_path):
    """Whatever the umask, the directory is 0700 and each file in it 0600."""
    before = os.umask(0)
    try:
        with Store(tmp_path / "deep" / "state") as store:
            _start(store, "aws")
            with lock(store.directory, "deliver"):
                files = [path for path in store.directory.rglob("*") if path.is_file()]
                names = [DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", "state.lock", "state.open", "ballast"]
                modes = {path.name: oct(_mode(path)) for path in files}
                assert modes == dict.fromkeys([*names, "deliver.lock"], oct(0o600))
            assert (_mode(store.directory), _mode(store.directory / "locks")) == (0o700, 0o700)
    finally:
        os.umask(before)


def test_a_transaction_is_whole_or_nothing(store):
    """An error inside a transaction leaves nothing of it, and the store usable."""

    def work(connection):
        connection.executemany(_START, [("a",), ("b",)])
        connection.execute("DELETE FROM nowhere")

    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        store.write(work)
    assert _runs(store) == []
    _start(store, "b")
    assert _runs(store) == ["b"]


def test_a_commit_survives_a_power_cut(store):
    """The connection waits for the disk at each commit, and deleted content is overwritten."""
    assert {name: store.read(partial(_pragma, name)) for name in _PRAGMAS} == _PRAGMAS


_PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1, "auto_vacuum": 2}


def _pragma(name, connection):
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_what_was_committed_is_there_again(tmp_path):
    """A store that is opened again has what was committed, and migrates nothing twice."""
    for name in "abc":
        with Store(tmp_path) as store:
            _start(store, name)
    with Store(tmp_path) as store:
        assert _runs(store) == ["a", "b", "c"]
    assert not (tmp_path / "damaged").exists()


def test_threads_and_stores_take_turns(tmp_path):
    """Two stores on one directory, each used by several threads, lose no commit."""
    with Store(tmp_path) as one, Store(tmp_path) as other:
        threads = [
            threading.Thread(target=lambda store=store: [_start(store, "x") for _ in range(25)])
            for store in (one, other)
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(_runs(one)) == len(_runs(other)) == 100


def test_a_newer_schema_is_refused(tmp_path):
    """State that a newer agent wrote is left alone, and the message says to upgrade."""
    Store(tmp_path).close()
    connection = sqlite3.connect(tmp_path / DATABASE)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StateNewer, match="a newer agent made it") as refused:
        Store(tmp_path)
    assert refused.value.remedy == "upgrade this one"


def _somebody_elses(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE ledger (own INTEGER)")


def _no_database(path):
    path.write_bytes(b"not a database, but long enough to be one" * 50)


@pytest.mark.parametrize("spoil", [_somebody_elses, _no_database])
def test_what_is_not_ours_is_set_aside(tmp_path, spoil):
    """A file in the place of the database that the agent did not write is kept to the byte, and a new one is used."""
    spoil(tmp_path / DATABASE)
    content = (tmp_path / DATABASE).read_bytes()
    with Store(tmp_path) as store:
        _start(store, "aws")
        assert _runs(store) == ["aws"]
    (aside,) = (tmp_path / "damaged").glob(f"*/{DATABASE}")
    assert aside.read_bytes() == content


def _a_file(path):
    path.write_text("x")


def _a_directory_inside(path):
    (path / DATABASE).mkdir(parents=True)


def _a_directory_as_lock(path):
    (path / "state.lock").mkdir(parents=True)


@pytest.mark.parametrize("spoil", [_a_file, _a_directory_inside, _a_directory_as_lock])
def test_a_state_directory_that_cannot_be_used(tmp_path, spoil):
    """Each way of not being usable is one error that names the path and the reason."""
    spoil(tmp_path / "state")
    with pytest.raises(StateUnusable, match=r"state.* cannot be used: \w+"):
        Store(tmp_path / "state")


def test_a_lock_is_for_one(tmp_path):
    """A lock that is taken names its holder, and is free again once that one ends."""
    with (
        lock(tmp_path, "deliver"),
        lock(tmp_path, "collector-aws"),
        pytest.raises(Locked, match=rf"process {os.getpid()} .* \(deliver\)"),
        lock(tmp_path, "deliver"),
    ):
        pytest.fail("the lock was taken twice")
    with lock(tmp_path, "deliver"):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files for another user")
def test_what_root_makes_belongs_to_the_owner_of_the_state_directory(tmp_path):
    """A collection by hand as root leaves nothing that the service cannot open."""
    nobody = 65534
    os.chown(tmp_path, nobody, nobody)
    with Store(tmp_path), lock(tmp_path, "collector-aws"):
        Discovery(base_url="https://api.example.com/v1", fetched_at=0, controls=()).save(tmp_path)
        owners = {file.name: file.stat().st_uid for file in tmp_path.rglob("*")}
    assert owners.keys() >= {
        "state.db",
        "state.db-wal",
        "state.lock",
        "state.open",
        "ballast",
        "controls.json",
        "locks",
    }
    assert set(owners.values()) == {nobody}
