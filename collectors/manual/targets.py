"""The folder's files, each a place of its own: one file, one snapshot."""

import hashlib
import io
import os
import pwd
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from collectors.contract import Cancelled, EvidenceType, Run, Settings, Target, note
from collectors.errors import CollectionError, Omitted
from collectors.manual.errors import READ, NoControl, StillChanging, translated
from collectors.manual.folder import Folder, Found, Place, shown
from collectors.manual.sidecar import LIMIT, Sidecar, parse

PERMISSION = "folder:read"

_BLOCK = 256 * 1024
_SETTLED_SECONDS = 2.0
_PATIENCE_SECONDS = 10.0
_READINGS = 3  # of a file that changes while it is read


class FolderSettings(Settings):
    """The keys of a `manual` collector."""

    path: Path = Field(examples=["/srv/evidence"], description="The folder, with one subfolder per control id.")
    max_file_bytes: int = Field(
        default=25_000_000, gt=0, description="The largest file whose content is sent; of a larger one only the facts."
    )


@dataclass(frozen=True)
class Original:
    """A file's bytes at one instant: what tells a change of them, and their SHA-256 in hexadecimal."""

    stamp: tuple[int, int, int, int]
    sha256: str

    @property
    def size(self) -> int:
        return self.stamp[2]

    @property
    def modified_nanoseconds(self) -> int:
        return self.stamp[3]


class File(Target):
    """One file of the folder, as it was when the run came upon it."""

    controls: tuple[str, ...] = ()

    def __init__(self, run: Run, folder: Folder, found: Found, max_file_bytes: int) -> None:
        super().__init__(run)
        self.folder = folder
        self.place = found.file
        self.max_file_bytes = max_file_bytes
        self.id = shown(found.file.name)
        self.description: Mapping[str, Any] = {"folder": folder.name, "file": self.id}
        self.controls = (shown(found.control),) if found.control else ()
        self.sidecar: Sidecar | None = None
        self.original: Original | None = None
        self.problem: CollectionError | None = found.file.problem
        if not found.control and not self.problem:
            self.problem = NoControl(f"{self.id} is in no control's subfolder", operation=READ)

    @property
    def omitted(self) -> bool:
        """Whether the file is too large for its content to be sent."""
        return self.original is not None and self.original.size > self.max_file_bytes

    def identity(self) -> str:
        return f"file:{self.folder.user}"

    @contextmanager
    def opened(self) -> Iterator[tuple[io.FileIO, Original]]:
        """The file for reading, and what it held. Raises CollectionError, also where it changes meanwhile."""
        note(READ, {"path": self.id}, permission=PERMISSION)
        if self.problem or not self.original:
            raise self.problem or StillChanging(f"{self.id} was not looked at", operation=READ)
        with translated(self.id, self.folder.user), self.folder.opened(self.place.real) as stream:
            self._compare(stream)
            yield stream, self.original
            self._compare(stream)

    def _compare(self, stream: io.FileIO) -> None:
        if self.original and _stamp(stream) != self.original.stamp:
            raise StillChanging(f"{self.id} changed while it was read", operation=READ)


def connect(settings: FolderSettings, run: Run) -> Iterator[File]:
    """All files of the folder. Raises CollectionError where the folder itself cannot be listed."""
    return files(settings, run, _user())


def files(settings: FolderSettings, run: Run, user: str, *, patience: float = _PATIENCE_SECONDS) -> Iterator[File]:
    """All files of the folder, read as the operating system's `user`. What is wrong with one is told on reading it.

    `patience` is for how many seconds in all the run waits for files that are being written.
    """
    folder = Folder(settings.path, user)
    settling = _Settling(run, patience)
    for found in folder.found():
        file = File(run, folder, found, settings.max_file_bytes)
        try:
            _look(file, found.sidecar, settling)
        except CollectionError as problem:
            file.problem = problem
        # A problem is told again at each run until it is mended; what is left out on purpose is told once.
        if isinstance(file.problem, Omitted):
            file.revision = _digest(str(file.problem), *file.controls)
        yield file


def grants(types: Sequence[EvidenceType[Any]]) -> Mapping[str, Any]:
    """What the operating system's user needs, in words."""
    if not types:
        return {}
    return {
        "permissions": [PERMISSION],
        "folders": "read and search (r-x) on the collector's folder and on every folder below it",
        "files": "read (r--) on every file; write access is never needed",
        "example": "setfacl -R -m u:chequr-agent:rX -m d:u:chequr-agent:rX <path>",
    }


def _look(file: File, sidecar: Place | None, settling: "_Settling") -> None:
    """Reads the sidecar, digests the file, and says which revision of both this is."""
    described = b""
    if sidecar:
        described = _sidecar(file, sidecar)
        file.sidecar = parse(described, shown(sidecar.name))
        file.controls = tuple(dict.fromkeys((*file.controls, *file.sidecar.controls)))
        file.expires = file.sidecar.expires
    if file.problem:
        raise file.problem
    with translated(file.id, file.folder.user), file.folder.opened(file.place.real) as stream:
        file.original = _settled(file, stream, settling)
    # The limit belongs to the revision: a file that was too large is read once the limit is raised.
    outcome = "omitted" if file.omitted else "whole"
    file.revision = _digest(outcome, file.original.sha256, hashlib.sha256(described).hexdigest(), *file.controls)


def _sidecar(file: File, sidecar: Place) -> bytes:
    if sidecar.problem:
        raise sidecar.problem
    with translated(shown(sidecar.name), file.folder.user), file.folder.opened(sidecar.real) as stream:
        return stream.read(LIMIT + 1)


def _settled(file: File, stream: io.FileIO, settling: "_Settling") -> Original:
    """The file once two looks at it, before and after reading, see the same. Raises StillChanging."""
    for _ in range(_READINGS):
        settling.wait(file.id, stream)
        stamp = _stamp(stream)
        digest = _sha256(stream, file.run.cancelled.is_set)
        if _stamp(stream) == stamp:
            return Original(stamp, digest)
    raise StillChanging(f"{file.id} changed each time that it was read", operation=READ)


class _Settling:
    """The time that one run spends on waiting until files stop changing; it is shared by all of them."""

    def __init__(self, run: Run, patience: float) -> None:
        self._run = run
        self._left = patience

    def wait(self, name: str, stream: io.FileIO) -> None:
        """Waits until the file is old enough to be whole. Raises StillChanging, Cancelled."""
        # A time ahead of the clock by more than this was set on purpose, and says nothing about a writer.
        while abs(age := time.time() - os.fstat(stream.fileno()).st_mtime) < _SETTLED_SECONDS:
            if self._left <= 0:
                raise StillChanging(f"{name} is still being written", operation=READ)
            seconds = min(self._left, _SETTLED_SECONDS - age + 0.05)
            self._left -= seconds
            self._run.waiting(f"{name} was written a moment ago", seconds)
            if self._run.cancelled.wait(seconds):
                raise Cancelled


def _stamp(stream: io.FileIO) -> tuple[int, int, int, int]:
    status = os.fstat(stream.fileno())
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _sha256(stream: io.FileIO, cancelled: Callable[[], bool]) -> str:
    digest = hashlib.sha256()
    stream.seek(0)
    while block := stream.read(_BLOCK):
        if cancelled():
            raise Cancelled
        digest.update(block)
    return digest.hexdigest()


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
