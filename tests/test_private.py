"""Files that take the place of others: whole, or not at all."""

import pytest
from agent_fixtures import limited

from agent.private import replace_private, whole


def test_what_does_not_fit_leaves_what_was_there_and_nothing_else(tmp_path):
    """On a full disk, where it is tried again and again, no file is left of each try."""
    file = tmp_path / "controls.json"
    replace_private(file, b"before")
    with pytest.raises(OSError, match="too large"), limited(10):
        replace_private(file, b"much longer than before")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("controls.json", b"before")]


def test_what_is_broken_off_leaves_nothing(tmp_path):
    """Whoever is interrupted while he writes has written nothing."""

    def interrupted(_stream):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), whole(tmp_path / "export.zip") as stream:
        interrupted(stream.write(b"half"))
    assert list(tmp_path.iterdir()) == []


def test_two_at_once(tmp_path):
    """Two that write the same file do not meet, though they be one process: the one that ends last counts."""
    with whole(tmp_path / "export.zip") as one, whole(tmp_path / "export.zip") as other:
        one.write(b"one")
        other.write(b"other")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"one"]
    assert (tmp_path / "export.zip").stat().st_mode & 0o777 == 0o600
