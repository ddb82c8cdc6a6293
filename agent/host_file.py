"""Small files that the agents of one user share on one host, in a folder that does not outlive the machine's run.

Whoever else may write to the temporary directory can put nothing in the way: a folder or a file that is a link, or
belongs to another user, or that others may write to, is not used.
"""

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

_FOLDER = "chequr-agent"
_TRIES = 20  # a millisecond apart: who holds a lock for longer has been stopped


def folders(environment: Mapping[str, str]) -> list[Path]:
    """Where the files may be, the best first: systemd's, the system's, the login's, and the temporary directory."""
    of_service = environment.get("RUNTIME_DIRECTORY", "").split(":")[0]
    of_login = environment.get("XDG_RUNTIME_DIR", "")
    places = [
        Path(of_service),
        Path("/run", _FOLDER),
        Path(of_login, _FOLDER),
        Path(tempfile.gettempdir(), f"{_FOLDER}-{os.geteuid()}"),
    ]
    return [place for place in places if place.is_absolute()]


def lock_shared(folder: Path, name: str) -> int:
    """A descriptor for reading and writing, with the file's lock, which ends with `unlock` or when it is closed.

    Folder and file are made if they are not there. Raises OSError; TimeoutError where somebody does not give the lock
    back: that one keeps the old file, and the others have a new one the next time.
    """
    inside = _open_folder(folder)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        file = os.open(name, flags, 0o600, dir_fd=inside)
        try:
            _check(file, stat.S_ISREG, folder / name)
            _lock(file, name, inside)
        except BaseException:
            os.close(file)
            raise
        return file
    finally:
        os.close(inside)


def lock_again(file: int) -> bool:
    """Locks what `lock_shared` opened before; False where it is not in its place any more, or not given back."""
    if not os.fstat(file).st_nlink:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(file: int) -> None:
    fcntl.flock(file, fcntl.LOCK_UN)


def _open_folder(folder: Path) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        inside = os.open(folder, flags)
    except FileNotFoundError:
        folder.mkdir(mode=0o700, exist_ok=True)
        inside = os.open(folder, flags)
    try:
        _check(inside, stat.S_ISDIR, folder)
    except BaseException:
        os.close(inside)
        raise
    return inside


def _lock(file: int, name: str, inside: int) -> None:
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.001)
        else:
            return
    if os.path.samestat(os.fstat(file), os.stat(name, dir_fd=inside, follow_symlinks=False)):
        os.unlink(name, dir_fd=inside)
    raise TimeoutError(f"the lock of {name} is not given back")


def _check(file: int, is_kind: Callable[[int], bool], path: Path) -> None:
    status = os.fstat(file)
    writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not is_kind(status.st_mode) or status.st_uid != os.geteuid() or writable:
        raise PermissionError(f"{path} belongs to somebody else, or others may write to it")
