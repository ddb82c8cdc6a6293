"""An exported part of the ledger (`agent.export`), read as a stream by whoever was given it."""

import hashlib
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

from agent.proof import Entry
from agent.seal import Seal, parsed

ENTRIES, SEALS, PAGE, MANIFEST = "entries.jsonl", "seals.jsonl", "index.html", "manifest.json"
_CHUNK = 65_536  # bytes


class NoArchive(Exception):
    """The file is none of our archives, or it is not whole."""


class Archive:
    """One archive. Close it, or use it in a `with` statement."""

    def __init__(self, file: Path) -> None:
        """Raises NoArchive."""
        self._file = file
        try:
            self._zip = zipfile.ZipFile(file)
            self._digests = json.loads(self._zip.read(MANIFEST))["files"]
            self._zip.getinfo(ENTRIES)
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise NoArchive(f"{file} is no export of a ledger, or not whole: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._zip.close()

    def entries(self) -> Iterator[Entry]:
        """Raises NoArchive where a line is none."""
        with self._reading(ENTRIES) as lines:
            for number, line in enumerate(lines, 1):
                yield self._entry(number, line)

    def seals(self) -> list[Seal]:
        """Raises NoArchive."""
        with self._reading(SEALS) as lines:
            return list(parsed(lines))

    def altered(self) -> list[str]:
        """The files that are not as the manifest has them. Raises NoArchive."""
        return [name for name, digest in self._digests.items() if self._digest(name) != digest]

    def _digest(self, name: str) -> str | None:
        if name not in self._zip.namelist():
            return None
        digest = hashlib.sha256()
        with self._reading(name) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()

    def _entry(self, number: int, line: bytes) -> Entry:
        try:
            told = json.loads(line)
        except ValueError:
            told = None
        match told:
            case {"seq": int(), "previous": str(), "link": str(link)}:
                return Entry({name: value for name, value in told.items() if name != "link"}, link)
        raise NoArchive(f"{self._file}: line {number} of {ENTRIES} is no entry")

    @contextmanager
    def _reading(self, name: str) -> Iterator[IO[bytes]]:
        try:
            with self._zip.open(name) as file:
                yield file
        except (KeyError, OSError, zipfile.BadZipFile) as error:
            raise NoArchive(f"{self._file}: {name} cannot be read: {error}") from error
