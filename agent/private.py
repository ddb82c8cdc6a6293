"""Files of the state directory: for the agent's user alone, whoever it is that made them.

An operator who collects by hand may be root. What root makes is handed to the owner of the folder that it is made
in, or the service would find files that it cannot open.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def open_private(path: Path) -> int:
    """A descriptor for reading and writing; the file is made if it is not there. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    hand_over(path)
    return descriptor


def make_private(folder: Path) -> None:
    """The folder, and those above it that are missing. Raises OSError."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        hand_over(folder)


def replace_private(path: Path, content: bytes) -> None:
    """Puts a file with this content in the place of the one that is there, all at once. Raises OSError."""
    with whole(path) as file:
        file.write(content)
        hand_over(Path(file.name))


@contextmanager
def whole(file: Path) -> Iterator[IO[bytes]]:
    """A new file for its owner only, that takes its place once it is written: whole, or not at all. Raises OSError."""
    stream = tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False)  # noqa: SIM115 - below
    try:
        with stream:
            yield stream
        Path(stream.name).replace(file)
    except BaseException:
        Path(stream.name).unlink(missing_ok=True)
        raise


def flush(path: Path) -> None:
    """What a file holds, or a folder names, is on the disk when this returns. Raises OSError."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def hand_over(path: Path) -> None:
    """Gives what root made to the owner of the folder that it is in."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
