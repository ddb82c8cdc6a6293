"""The mark beside the database: what was put last."""

import pytest

from agent.mark import MARK, Mark, Put


def _put(number):
    return Put(number, number, "aws", "aws_s3_bucket_encryption", "here", f"snap_{number}", None)


@pytest.fixture
def mark(tmp_path):
    return Mark(tmp_path)


def test_nothing_was_put(mark):
    """Without a file nothing was ever put."""
    assert (mark.read(), mark.last()) == (([], 0), 0)
    mark.append([])
    mark.sync()
    assert mark.last() == 0


def test_what_was_put_last(mark):
    """Each put is told, oldest first, and what was forgotten is."""
    mark.append([_put(1), _put(2)])
    mark.forget(1)
    mark.append([_put(3)])
    assert mark.read() == ([_put(1), _put(2), _put(3)], 1)
    assert mark.last() == 3


def test_only_what_was_forgotten(mark):
    """Numbers that were forgotten were given once, too."""
    mark.forget(7)
    assert mark.last() == 7


@pytest.mark.parametrize("torn", [b"12345678 {", b"\xff\x00", b"0" * 30, b"deadbeef {}\n\n"])
def test_a_torn_line_costs_no_other(mark, tmp_path, torn):
    """A line that a power cut tore, or that is damaged, is none; those before and after it are read."""
    mark.append([_put(1)])
    with (tmp_path / MARK).open("ab") as file:
        file.write(b"\n" + torn)
    mark.append([_put(2)])
    assert (mark.read()[0], mark.last()) == ([_put(1), _put(2)], 2)


def test_it_does_not_grow_for_ever(mark, tmp_path):
    """Beyond two megabytes only the last puts stay, and what was forgotten is still known."""
    mark.forget(5)
    for start in range(10, 20_000, 500):
        mark.append([_put(number) for number in range(start, start + 500)])
    puts, forgotten = mark.read()
    assert (tmp_path / MARK).stat().st_size < 2_100_000
    assert (puts[-1].last, forgotten, mark.last()) == (20_009, 5, 20_009)
    assert len(puts) >= 2000
    assert sorted(path.name for path in tmp_path.iterdir()) == [MARK]
