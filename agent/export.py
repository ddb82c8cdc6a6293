"""What an auditor takes away: entries of the ledger with all that shows that they are what was written.

index.html      what this is, what it proves, and a list; plain, and printable
entries.jsonl   one entry a line, in the order of the chain
seals.jsonl     one seal a line
manifest.json   what was asked for, the first and the last entry, and the SHA-256 of each other file
"""

import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from agent import __version__
from agent.archive import ENTRIES, MANIFEST, PAGE, SEALS
from agent.chain import facts
from agent.evidence import stamp
from agent.export_page import page
from agent.ledger import Ledger, Span
from agent.private import whole
from agent.seal import Seal

_MADE = (1980, 1, 1, 0, 0, 0)  # the least that a zip can say: the manifest says when


@dataclass(frozen=True)
class Export:
    """The part of a ledger that was accepted from `since` to `until`, both aware, and all seals."""

    ledger: Ledger
    span: Span
    seals: Sequence[Seal]
    since: datetime
    until: datetime

    @property
    def about(self) -> dict[str, Any]:
        """What the manifest tells, but for the digests."""
        return {
            "agent": __version__,
            "from": stamp(self.since),
            "to": stamp(self.until),
            "first": self.span.first,
            "last": self.span.last,
            "entries": self.span.last - self.span.first + 1,
        }

    def write(self, file: Path, *, now: datetime) -> dict[str, Any]:
        """Writes the archive for its owner only, whole or not at all; its manifest. Raises OSError."""
        with whole(file) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            return self._fill(archive, now)

    def _fill(self, archive: zipfile.ZipFile, now: datetime) -> dict[str, Any]:
        about = {**self.about, "exported_at": stamp(now)}
        digests = {
            ENTRIES: _put(archive, ENTRIES, (_line(told) for told in self._entries())),
            SEALS: _put(archive, SEALS, (_line(asdict(seal)) for seal in self.seals)),
        }
        digests[PAGE] = _put(archive, PAGE, page(about, digests, self._entries(), self.seals))
        manifest = {**about, "files": digests}
        _put(archive, MANIFEST, [json.dumps(manifest, indent=2).encode() + b"\n"])
        return manifest

    def _entries(self) -> Iterator[dict[str, Any]]:
        for entry in self.ledger.entries(after=self.span.first - 1, until=self.span.last):
            yield {**facts(entry), "link": entry.link}


def _line(told: dict[str, Any]) -> bytes:
    return json.dumps(told, ensure_ascii=False).encode() + b"\n"


def _put(archive: zipfile.ZipFile, name: str, chunks: Iterable[bytes]) -> str:
    """Writes one file; its SHA-256."""
    digest = hashlib.sha256()
    told = zipfile.ZipInfo(name, _MADE)
    told.compress_type, told.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    with archive.open(told, "w", force_zip64=True) as file:
        for chunk in chunks:
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()
