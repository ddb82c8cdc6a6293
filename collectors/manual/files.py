"""What the files of the folder hold."""

import base64
import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, Literal, TextIO

from pydantic import Field, JsonValue, ValidationError

from collectors.contract import Cancelled, Gap, Record, evidence
from collectors.manual import json_text
from collectors.manual.errors import READ, StillChanging, TooLarge
from collectors.manual.media import CSV, JSON, JSON_LINES, TSV, Media, sniff
from collectors.manual.rows import Reader
from collectors.manual.sidecar import Sidecar
from collectors.manual.tables import table, titles
from collectors.manual.targets import PERMISSION, File, Original

CHUNK = 512 * 1024
"""Bytes of the original in one chunk: with base64 and the rest, still well below 1 MB."""


def _absent(part: object) -> bool:
    return part is None


class Description(Record):
    """A file as a whole."""

    name: str = Field(description="The file's name, without its folders; unprintable characters are escaped.")
    size: int = Field(description="The original's length in bytes.")
    sha256: str = Field(description="SHA-256 of the original's bytes, in hexadecimal.")
    media_type: str = Field(description="The kind of file, told from its content.")
    modified: datetime | None = Field(description="When it was last written, UTC; null for a time beyond the calendar.")
    carried: Literal["rows", "chunks", "none"] = Field(
        description="How the content follows: as rows, as chunks of the original's bytes, or not at all."
    )
    count: int = Field(description="How many rows or chunks follow.")
    columns: tuple[str, ...] | None = Field(description="A table's first row as written; null for other files.")
    unreadable: str | None = Field(
        description="Why a table or JSON file is carried as chunks and not as rows; null otherwise."
    )
    sidecar: Sidecar | None = Field(description="What the sidecar says; null without one.")


class Content(Record):
    """One piece of a file: first the file as a whole, then its rows or chunks in order.

    Only the part that `kind` names is present.
    """

    kind: Literal["file", "row", "chunk"] = Field(description="Which part this is.")
    number: int = Field(description="0 for the file as a whole; its rows or chunks count from 1.")
    file: Description | None = Field(default=None, exclude_if=_absent, description="The file as a whole.")
    row: dict[str, JsonValue] | None = Field(
        default=None,
        exclude_if=_absent,
        description="A table's cells by column, or a JSON object; any other JSON value stands under `value`.",
    )
    chunk: str | None = Field(
        default=None, exclude_if=_absent, description="512 KiB of the original's bytes, the last one fewer, in base64."
    )


@evidence(PERMISSION)
def content(file: File) -> Iterator[Content | Gap]:
    """Each file of the folder: its digest, what its sidecar says, and its rows or its bytes.

    Tables (CSV, TSV), JSON and JSON Lines come as rows where that loses nothing. Any other file comes as chunks
    of its bytes; of a file larger than `max_file_bytes` only the facts are told, with a gap that says so.
    """
    with file.opened() as (stream, original):
        media = sniff(stream, original.size, file.id)
        if file.omitted:
            yield _whole(file, original, media, _Carriage("none", 0))
            yield _too_large(file, original)
            return
        carriage = _carriage(file, stream, original, media)
        yield _whole(file, original, media, carriage)
        source = _Source(file, stream)
        yield from _rows(source, media, carriage.reader) if carriage.reader else _chunks(source)
        if source.finish() != original.sha256:
            raise StillChanging(f"{file.id} changed while it was read", operation=READ)


# ── How it is carried ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Carriage:
    carried: Literal["rows", "chunks", "none"]
    count: int
    reader: Reader | None = None
    columns: tuple[str, ...] | None = None
    unreadable: str | None = None


def _carriage(file: File, stream: io.FileIO, original: Original, media: Media) -> _Carriage:
    """Rows, if reading the whole file as rows succeeds; else chunks, which need no reading to be right."""
    reasons = []
    for reader in _readers(media):
        try:
            count = _count(file, stream, media, reader)
            columns = _columns(file, stream, media)
        except UnicodeError:
            reasons.append(f"it is not {(media.encoding or '').removesuffix('-sig')} text throughout")
        except ValidationError:  # the only bound that a record sets to JSON
            reasons.append("a row is nested too deeply")
        except (ValueError, csv.Error) as error:
            reasons.append(str(error).splitlines()[0])
        else:
            return _Carriage("rows", count, reader, columns)
    return _Carriage("chunks", -(-original.size // CHUNK), unreadable="; ".join(dict.fromkeys(reasons)) or None)


def _readers(media: Media) -> tuple[Reader, ...]:
    """The ways to read this kind of file as rows, to be tried in turn."""
    if media.type in {CSV, TSV}:
        return (lambda text: table(text, media.separator or ","),)
    if media.type == JSON:
        return json_text.objects, json_text.one_value
    return (json_text.each_line,) if media.type == JSON_LINES else ()


def _count(file: File, stream: io.FileIO, media: Media, reader: Reader) -> int:
    return sum(1 for _ in _rows(_Source(file, stream), media, reader))


def _columns(file: File, stream: io.FileIO, media: Media) -> tuple[str, ...] | None:
    if media.type not in {CSV, TSV}:
        return None
    return titles(_Source(file, stream).text(media), media.separator or ",")


# ── Its parts ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _whole(file: File, original: Original, media: Media, carriage: _Carriage) -> Content:
    description = Description(
        name=file.id.rsplit("/", 1)[-1],
        size=original.size,
        sha256=original.sha256,
        media_type=media.type,
        modified=_instant(original.modified_nanoseconds),
        carried=carriage.carried,
        count=carriage.count,
        columns=carriage.columns,
        unreadable=carriage.unreadable,
        sidecar=file.sidecar,
    )
    return Content(kind="file", number=0, file=description)


def _too_large(file: File, original: Original) -> Gap:
    size = f"{original.size} bytes, more than max_file_bytes = {file.max_file_bytes}"
    return TooLarge(f"the content of {file.id} is not sent: it has {size}", operation=READ).gap(file.id)


def _rows(source: "_Source", media: Media, reader: Reader) -> Iterator[Content]:
    for number, row in enumerate(reader(source.text(media)), 1):
        yield Content(kind="row", number=number, row=row)


def _chunks(source: "_Source") -> Iterator[Content]:
    number = 0
    while block := source.buffered.read(CHUNK):
        number += 1
        yield Content(kind="chunk", number=number, chunk=base64.b64encode(block).decode("ascii"))


def _instant(nanoseconds: int) -> datetime | None:
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        return None


# ── Its bytes ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _Source:
    """One pass over a file from its beginning, digested on the way."""

    def __init__(self, file: File, stream: BinaryIO) -> None:
        stream.seek(0)
        self._digested = _Digested(file, stream)
        self.buffered = io.BufferedReader(self._digested, 256 * 1024)

    def text(self, media: Media) -> TextIO:
        # Line ends are left as they are: csv and json know them, and cells may hold them.
        self._text = io.TextIOWrapper(self.buffered, media.encoding or "utf-8-sig", newline="")
        return self._text

    def finish(self) -> str:
        """The SHA-256, in hexadecimal, of all that was read."""
        while self._digested.read(256 * 1024):
            pass
        return self._digested.sha256.hexdigest()


class _Digested(io.RawIOBase):
    def __init__(self, file: File, stream: BinaryIO) -> None:
        self._cancelled = file.run.cancelled
        self._stream = stream
        self.sha256 = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._cancelled.is_set():
            raise Cancelled
        block = self._stream.read(len(buffer))
        buffer[: len(block)] = block
        self.sha256.update(block)
        return len(block)
