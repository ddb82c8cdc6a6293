"""Which file systems a state directory may be on."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent.database import configure
from agent.filesystem import shared_kind

MOUNTS = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:26 / {here}/nfs rw - nfs4 server:/export rw,vers=4.2
31 22 0:27 / {here}/fuse rw shared:9 master:2 - fuse.sshfs someone@there: rw
32 30 254:2 / {here}/nfs/local rw - xfs /dev/vdb rw
33 22 0:28 / {here}/with\\040space rw - 9p host rw
34 22 0:29 / {here}/twice rw - ext4 /dev/vdc rw
35 34 0:30 / {here}/twice rw - virtiofs shared rw
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        (".", None), ("state", None), ("nfs", "nfs4"), ("nfs/deep/state", "nfs4"), ("nfs/local/state", None),
        ("nfsnot", None), ("fuse/state", "fuse.sshfs"), ("with space/state", "9p"), ("twice", "virtiofs"),
        ("link", "nfs4"),
    ],
)  # fmt: skip
def test_the_mount_that_it_is_on_decides(tmp_path, place, kind):
    """The nearest mount above a directory, there or not yet, is the one that counts, and links are followed."""
    (tmp_path / "link").symlink_to(tmp_path / "nfs" / "state")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS.format(here=tmp_path))
    assert shared_kind(tmp_path / place, mounts) == kind


def test_a_machine_that_does_not_say(tmp_path):
    """Where there is no list of mounts, or none that can be read, the file system counts as local."""
    assert shared_kind(tmp_path, tmp_path / "none") is None
    (tmp_path / "odd").write_bytes(b"\xff\n\n - \nnot a mount")
    assert shared_kind(tmp_path, tmp_path / "odd") is None


def test_here():
    """This machine says that what the kernel tells about it is on no network."""
    assert shared_kind(Path("/proc")) is None


def test_shared_file_systems_get_no_log(tmp_path):
    """There SQLite's log cannot be relied upon: a journal is used, whose folder each commit waits for, too."""
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as connection:
        configure(connection, shared=True)
        names = ("journal_mode", "synchronous", "secure_delete", "auto_vacuum")
        told = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
    assert told == ["delete", 3, 1, 2]
