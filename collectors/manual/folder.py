"""Which files a folder holds, and how one of them is opened without leaving the folder."""

import io
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unicodedata import category

from collectors.errors import CollectionError, Invalid, NotFound
from collectors.manual.errors import LIST, READ, FileMissing, FolderMissing, NotFollowed, translated

SIDECAR = ".meta.toml"

_TEMPORARY = (".swp", ".swo", ".tmp", ".crdownload", ".part", ".partial")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a pipe that took the file's place would wait for its writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def shown(name: str) -> str:
    r"""A file name as it goes over the wire: no two names alike, and each printable.

    Bytes that are not UTF-8, control and format characters are written as escapes, and so is the backslash.
    """
    return "".join(_escaped(character) for character in name)


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    if character == "\\" or category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
        return character.encode("unicode_escape").decode("ascii")
    return character


def ignored(name: str) -> bool:
    """Whether this is a hidden file, or one that an editor or a browser keeps for a while."""
    enclosed = name.startswith("#") and name.endswith("#")
    return name.startswith((".", "~$")) or name.endswith("~") or enclosed or name.lower().endswith(_TEMPORARY)


@dataclass(frozen=True)
class Place:
    """A file as it is named, and where that leads, both relative to the folder; or why it cannot be read."""

    name: str
    real: str
    problem: CollectionError | None = None


@dataclass(frozen=True)
class Found:
    """A file, the control whose subfolder it is in, if any, and the sidecar beside it, if any."""

    file: Place
    control: str | None
    sidecar: Place | None = None


class Folder:
    """The folder at `path`, read as the operating system's `user`. Nothing is ever written to it."""

    def __init__(self, path: Path, user: str) -> None:
        self.path = path
        self.user = user
        self.root = os.path.realpath(path)
        self.name = shown(Path(self.root).name) or "/"

    def found(self) -> Iterator[Found]:
        """All files in a stable order. Raises CollectionError where the folder itself cannot be listed."""
        for entry in self._top():
            try:
                real, mode = self._resolve(entry, "")
            except NotFound:
                continue
            except CollectionError as error:
                yield Found(Place(entry.name, entry.name, error), control=None)
                continue
            if stat.S_ISDIR(mode):
                yield from _paired(entry.name, self._tree(entry.name, real))
            elif stat.S_ISREG(mode):
                yield Found(Place(entry.name, real), control=None)

    @contextmanager
    def opened(self, real: str) -> Iterator[io.FileIO]:
        """The regular file at `real`, unbuffered. Raises OSError, also where a link now stands in its way."""
        *parents, name = real.split("/")
        with ExitStack() as opened:
            parent = os.open(self.root, _DIRECTORY)
            opened.callback(os.close, parent)
            for step in parents:
                parent = os.open(step, _DIRECTORY, dir_fd=parent)
                opened.callback(os.close, parent)
            descriptor = os.open(name, _FILE, dir_fd=parent)
        with io.FileIO(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(0, "it is not a regular file any more")
            yield stream

    def _top(self) -> list[os.DirEntry[str]]:
        if Path(self.root).is_file():
            raise Invalid(f"{self.path} is a file, not a folder", operation=LIST)
        try:
            with translated(str(self.path), self.user, LIST):
                return _entries(Path(self.root))
        except FileMissing as error:
            raise FolderMissing(f"the folder {self.path} does not exist", operation=LIST) from error

    def _tree(self, control: str, real: str) -> list[Place]:
        """All files below one control's subfolder, each folder entered once, by its own name rather than by a link."""
        places: list[Place] = []
        entered: set[str] = set()
        pending = deque([(control, real)])
        while pending:
            name, real = pending.popleft()
            if real in entered:
                continue
            entered.add(real)
            for entry, place, mode in self._branch(name, real):
                if not stat.S_ISDIR(mode):
                    places.append(place)
                elif entry is not None and entry.is_symlink():
                    pending.append((place.name, place.real))
                else:
                    pending.appendleft((place.name, place.real))
        return sorted(places, key=lambda place: place.name)

    def _branch(self, name: str, real: str) -> Iterator[tuple[os.DirEntry[str] | None, Place, int]]:
        """What stands in one folder: regular files, folders, and what cannot be read. Other things are passed over."""
        try:
            with translated(shown(name), self.user, LIST):
                entries = _entries(Path(self.root, real))
        except CollectionError as error:
            yield None, Place(name, real, error), stat.S_IFREG
            return
        for entry in entries:
            named = f"{name}/{entry.name}"
            try:
                within, mode = self._resolve(entry, f"{real}/")
            except NotFound:
                continue
            except CollectionError as error:
                yield entry, Place(named, named, error), stat.S_IFREG
                continue
            if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
                yield entry, Place(named, within), mode

    def _resolve(self, entry: os.DirEntry[str], prefix: str) -> tuple[str, int]:
        """Where an entry leads, relative to the folder, and what is there; a special file is not opened."""
        with translated(shown(prefix + entry.name), self.user):
            if not entry.is_symlink():
                return prefix + entry.name, entry.stat(follow_symlinks=False).st_mode
            within = self._follow(prefix + entry.name)
            return within, Path(self.root, within).stat().st_mode

    def _follow(self, link: str) -> str:
        try:
            real = os.path.realpath(Path(self.root, link), strict=True)
        except PermissionError:
            raise
        except OSError as error:
            raise NotFollowed(f"the symbolic link {shown(link)} leads nowhere", operation=READ) from error
        if real == self.root or os.path.commonpath([self.root, real]) != self.root:
            raise NotFollowed(f"the symbolic link {shown(link)} leads out of the folder", operation=READ)
        return os.path.relpath(real, self.root)


def _paired(control: str, places: list[Place]) -> Iterator[Found]:
    """Each file with its sidecar, and each sidecar without a file as the file that is missing."""
    files = {place.name: place for place in places if not place.name.endswith(SIDECAR)}
    sidecars = {place.name.removesuffix(SIDECAR): place for place in places if place.name.endswith(SIDECAR)}
    for name in sorted(files.keys() | sidecars.keys()):
        sidecar = sidecars.get(name)
        missing = FileMissing(f"{shown(name)}{SIDECAR} describes a file that is not there", operation=READ)
        yield Found(files.get(name) or Place(name, name, missing), control, sidecar)


def _entries(path: Path) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        return sorted((entry for entry in entries if not ignored(entry.name)), key=lambda entry: entry.name)
