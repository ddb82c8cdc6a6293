"""SQLite's files as they are read without SQLite, against what SQLite wrote."""

import os
import random
import shutil
import sqlite3
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.pages import Pages
from agent.wal import frames

SIZE = 8192
VALUE = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
    | st.binary(max_size=50)
    | st.integers(0, 60_000).map(lambda size: random.Random(size).randbytes(size))
)


@pytest.fixture
def database(tmp_path):
    connection = sqlite3.connect(tmp_path / "one.db", isolation_level=None)
    connection.executescript(f"PRAGMA page_size={SIZE}; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0")
    connection.execute("CREATE TABLE fact (id INTEGER PRIMARY KEY, one, two)")
    with closing(connection):
        yield connection


def _read(tmp_path, name="one.db"):
    """The rows of the table and how many could not be read."""
    with Pages(tmp_path / name, tmp_path / f"{name}-wal", SIZE) as pages:
        rows = [(cell.rowid, *cell.values[1:]) for cell in pages.cells() if len(cell.values) == 3]
        return sorted(rows, key=lambda row: row[0]), pages.unreadable


def _rows(connection):
    return [tuple(row) for row in connection.execute("SELECT * FROM fact ORDER BY id")]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), VALUE, VALUE), unique_by=lambda row: row[0], max_size=40),
    st.booleans(),
)
def test_every_row_is_read_as_sqlite_reads_it(tmp_path_factory, rows, is_logged):
    """Whatever is in a row, and however long it is: from the log, and from the database alone."""
    directory = tmp_path_factory.mktemp("pages")
    with closing(sqlite3.connect(directory / "one.db", isolation_level=None)) as connection:
        connection.executescript(f"PRAGMA page_size={SIZE}; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0")
        connection.execute("CREATE TABLE fact (id INTEGER PRIMARY KEY, one, two)")
        connection.executemany("INSERT INTO fact VALUES (?, ?, ?)", rows)
        if not is_logged:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        told = _rows(connection)
        assert _read(directory) == (told, 0)
    shutil.rmtree(directory)


def test_tables_without_row_numbers(database, tmp_path):
    """A row of a table WITHOUT ROWID is read from each of its pages, and has no number."""
    database.execute("CREATE TABLE place (name TEXT PRIMARY KEY, note TEXT) WITHOUT ROWID")
    rows = [(f"{number:06}", "x" * 40) for number in range(2000)]
    database.executemany("INSERT INTO place VALUES (?, ?)", rows)
    with Pages(tmp_path / "one.db", tmp_path / "one.db-wal", SIZE) as pages:
        assert sorted(cell.values for cell in pages.cells() if cell.rowid is None) == rows


def test_what_was_never_committed_is_not_there(database, tmp_path):
    """The log may hold pages of a transaction that was cut short: they count for nothing."""
    database.executemany("INSERT INTO fact VALUES (?, ?, ?)", [(number, "a", "b") for number in range(100)])
    database.executescript("PRAGMA cache_size=1; BEGIN; UPDATE fact SET one = 'changed'")
    database.executemany("INSERT INTO fact VALUES (?, ?, ?)", [(n, "x" * 4000, "y") for n in range(1000, 1100)])
    rows, unreadable = _read(tmp_path)
    assert ({row[1] for row in rows}, len(rows), unreadable) == ({"a"}, 100, 0)


def test_an_older_generation_of_the_log_is_not_there(database, tmp_path):
    """After a checkpoint the log is written over from its beginning: the frames behind its new end are of the past."""
    database.executemany("INSERT INTO fact VALUES (?, ?, ?)", [(n, "old" * 500, "") for n in range(100)])
    database.execute("PRAGMA wal_checkpoint(RESTART)")
    database.execute("UPDATE fact SET one = 'new'")
    database.execute("DELETE FROM fact WHERE id > 3")
    assert _read(tmp_path) == ([(number, "new", "") for number in range(4)], 0)


def _each_on_its_page(database, tmp_path, number=20):
    """Rows that fill a page each, every one committed by itself; a copy that nobody has open."""
    for one in range(1, number + 1):
        database.execute("INSERT INTO fact VALUES (?, ?, ?)", (one, "x" * 5000, str(one)))
    for beside in ("", "-wal"):
        shutil.copy(tmp_path / f"one.db{beside}", tmp_path / f"copy.db{beside}")
    return {(one, "x" * 5000, str(one)) for one in range(1, number + 1)}


def _overwrite(path, at, content):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def test_a_wrong_frame_costs_its_own_page_at_most(database, tmp_path):
    """SQLite loses all that came after a wrong frame of the log; here the frames behind it are still read."""
    rows = _each_on_its_page(database, tmp_path)
    with (tmp_path / "copy.db-wal").open("rb") as file:
        offsets = [frame.offset for frame in frames(file.fileno(), SIZE)]
    _overwrite(tmp_path / "copy.db-wal", offsets[len(offsets) // 2] + 4000, b"damage")
    found, _ = _read(tmp_path, "copy.db")
    assert len(rows & set(found)) >= len(rows) - 2
    shutil.copy(tmp_path / "copy.db", tmp_path / "left.db")
    shutil.copy(tmp_path / "copy.db-wal", tmp_path / "left.db-wal")
    with closing(sqlite3.connect(tmp_path / "left.db")) as left:
        assert left.execute("SELECT count(*) FROM fact").fetchone()[0] < len(rows) - 2


@pytest.mark.parametrize("damage", [b"", bytes(32), random.Random(32).randbytes(32)], ids=["cut", "zeroed", "noise"])
def test_the_header_of_the_log_is_not_needed(database, tmp_path, damage):
    """Where it is damaged, the frames that follow rightly upon each other tell what it said."""
    rows = _each_on_its_page(database, tmp_path)
    _overwrite(tmp_path / "copy.db-wal", 0, damage)
    found, _ = _read(tmp_path, "copy.db")
    assert len(rows & set(found)) >= len(rows) - 2


@pytest.mark.parametrize("cut", [0, 10, 31, 32, 40, 8000, 8248, 9000, 60_000])
@pytest.mark.parametrize("beside", ["", "-wal"])
def test_a_file_that_is_cut(database, tmp_path, beside, cut):
    """What is left of either file is read, and nothing is read that was never there."""
    rows = _each_on_its_page(database, tmp_path)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.execute("INSERT INTO fact VALUES (99, 'last', '')")
    for name in ("", "-wal"):
        shutil.copy(tmp_path / f"one.db{name}", tmp_path / f"copy.db{name}")
    os.truncate(tmp_path / f"copy.db{beside}", cut)
    found, _ = _read(tmp_path, "copy.db")
    assert set(found) <= rows | {(99, "last", "")}


def test_no_files_at_all(tmp_path):
    """Nothing is read from files that are not there."""
    assert _read(tmp_path) == ([], 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 300))
def test_nothing_that_is_damaged_raises(tmp_path_factory, seed, size):
    """Whatever is written over the files: rows are read or counted as unreadable, and no error comes of it."""
    lots, directory = random.Random(seed), tmp_path_factory.mktemp("damaged")
    with closing(sqlite3.connect(directory / "one.db", isolation_level=None)) as connection:
        connection.executescript(f"PRAGMA page_size={SIZE}; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0")
        connection.execute("CREATE TABLE fact (id INTEGER PRIMARY KEY, one, two)")
        connection.executemany("INSERT INTO fact VALUES (?, ?, ?)", [(n, "x" * 900, b"y" * 9000) for n in range(30)])
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("UPDATE fact SET one = 'z' WHERE id % 2")
        for name in ("one.db", "one.db-wal"):
            shutil.copy(directory / name, directory / f"copy{name}")
    for name in ("copyone.db", "copyone.db-wal"):
        _overwrite(directory / name, lots.randrange((directory / name).stat().st_size), lots.randbytes(size))
    rows, unreadable = _read(directory, "copyone.db")
    assert len(rows) + unreadable > 0
    shutil.rmtree(directory)
