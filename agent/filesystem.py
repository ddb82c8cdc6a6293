"""Which file systems a database of ours can be on: SQLite's log needs shared memory, and locks that hold."""

import os
import re
from pathlib import Path

_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "lustre", "gpfs", "beegfs", "afs"}
_CLUSTER = {"ocfs2", "gfs2"}
_FROM_A_HOST = {"9p", "virtiofs", "vboxsf", "vmhgfs", "prl_fs", "drvfs"}
_SHARED = _NETWORK | _CLUSTER | _FROM_A_HOST | {"fuse", "fuseblk"}
_ESCAPE = re.compile(r"\\([0-7]{3})")


def shared_kind(directory: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str | None:
    """The kind of a network or FUSE-like file system that `directory` is on, as in `nfs4`.

    None for a local one, and where this machine does not say. What is not there yet is judged by what it will be in.
    """
    try:
        told = os.fsdecode(mounts.read_bytes())
    except OSError:
        return None
    place, kind, longest = os.path.realpath(directory), "", -1
    for line in told.splitlines():
        point, mounted = _mount(line)
        if len(point) >= longest and _is_in(place, point):  # of two at one place the later one hides the other
            kind, longest = mounted, len(point)
    return kind if kind in _SHARED or kind.startswith("fuse.") else None


def _mount(line: str) -> tuple[str, str]:
    """Where it is mounted, and what kind it is; see proc(5)."""
    before, _, after = line.partition(" - ")
    point = before.split(" ")[4] if before.count(" ") >= 4 else ""  # noqa: PLR2004 - the fifth field
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), point), after.split(" ")[0]


def _is_in(place: str, point: str) -> bool:
    return bool(point) and (place == point or place.startswith(point.rstrip("/") + "/"))
