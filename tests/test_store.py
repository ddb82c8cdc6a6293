import os
import sqlite3
import stat
import threading

import pytest

from agent.controls import Discovery
from agent.lock import Locked, lock
from agent.store import DATABASE, StateUnusable, Store


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "state") as store:
        yield store


def _mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def _start(store, name):
    with store.transaction() as connection:
        connection.execute("INSERT INTO run (collector, started_at) VALUES (?, 0)", (name,))


def _runs(store):
    with store.reading() as connection:
        return [row["collector"] for row in connection.execute("SELECT collector FROM run ORDER BY id")]


def test_only_the_owner_may_look(tmp_path):
    """Whatever the umask, the directory is 0700 and each file in it 0600."""
    before = os.umask(0)
    try:
        with Store(tmp_path / "deep" / "state") as store:
            _start(store, "aws")
            with lock(store.directory, "deliver"):
                files = [path for path in store.directory.rglob("*") if path.is_file()]
                assert {path.name: oct(_mode(path)) for path in files} == dict.fromkeys(
                    [DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", "state.lock", "deliver.lock"], oct(0o600)
                )
            assert (_mode(store.directory), _mode(store.directory / "locks")) == (0o700, 0o700)
    finally:
        os.umask(before)


def test_a_transaction_is_whole_or_nothing(store):
    """An error inside a transaction leaves nothing of it, and the store usable."""
    with pytest.raises(sqlite3.OperationalError, match="nowhere"), store.transaction() as connection:  # noqa: PT012 the error must come inside
        connection.executemany("INSERT INTO run (collector, started_at) VALUES (?, 0)", [("a",), ("b",)])
        connection.execute("DELETE FROM nowhere")
    assert _runs(store) == []
    _start(store, "b")
    assert _runs(store) == ["b"]


def test_a_commit_survives_a_power_cut(store):
    """The connection waits for the disk at each commit, and deleted content is overwritten."""
    with store.reading() as connection:
        pragmas = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in _PRAGMAS}
    assert pragmas == _PRAGMAS


_PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1, "auto_vacuum": 2}


def test_what_was_committed_is_there_again(tmp_path):
    """A store that is opened again has what was committed, and migrates nothing twice."""
    for name in "abc":
        with Store(tmp_path) as store:
            _start(store, name)
    with Store(tmp_path) as store:
        assert _runs(store) == ["a", "b", "c"]


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
    with pytest.raises(StateUnusable, match=r"schema 99 is newer than this agent's \d+; upgrade the agent"):
        Store(tmp_path)


def test_a_migration_that_breaks_leaves_the_old_schema(tmp_path):
    """A database that cannot be migrated is unusable, and no half of a schema is in it."""
    connection = sqlite3.connect(tmp_path / DATABASE)
    connection.execute("CREATE TABLE ledger (own INTEGER)")
    connection.close()
    with pytest.raises(StateUnusable, match="ledger"):
        Store(tmp_path)
    connection = sqlite3.connect(tmp_path / DATABASE)
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema")]
    connection.close()
    assert tables == ["ledger"]


def _a_file(path):
    path.write_text("x")


def _no_database(path):
    path.mkdir()
    (path / DATABASE).write_bytes(b"not a database, but long enough to be one" * 50)


def _a_directory_inside(path):
    (path / DATABASE).mkdir(parents=True)


def _a_directory_as_lock(path):
    (path / "state.lock").mkdir(parents=True)


@pytest.mark.parametrize("spoil", [_a_file, _no_database, _a_directory_inside, _a_directory_as_lock])
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
        pytest.raises(Locked, match=f"deliver .* process {os.getpid()}"),
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
    with Store(tmp_path) as store, lock(tmp_path, "collector-aws"), store.transaction():
        Discovery(base_url="https://api.example.com/v1", fetched_at=0, controls=()).save(tmp_path)
        owners = {file.name: file.stat().st_uid for file in tmp_path.rglob("*")}
    assert owners.keys() >= {"state.db", "state.db-wal", "state.lock", "controls.json", "locks"}
    assert set(owners.values()) == {nobody}
