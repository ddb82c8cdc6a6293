"""What kind of file this is, told from its content; its name decides only between kinds of text."""

import codecs
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from collectors.manual.tables import separation

CSV = "text/csv"
TSV = "text/tab-separated-values"
JSON = "application/json"
JSON_LINES = "application/jsonl"

HEAD = 64 * 1024
_INDEX = 1_000_000  # bytes: no office document comes near it

_BINARY = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\x1f\x8b", "application/gzip"),
    (b"PK\x05\x06", "application/zip"),
)
_OFFICE = {
    "word/": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xl/": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "ppt/": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}
_BY_NAME = {
    ".csv": CSV,
    ".tsv": TSV,
    ".tab": TSV,
    ".json": JSON,
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".html": "text/html",
    ".htm": "text/html",
    ".xml": "application/xml",
    ".eml": "message/rfc822",
    ".txt": "text/plain",
    ".log": "text/plain",
}
_MARKS = (
    # UTF-32 first: its little-endian mark begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_HTML = re.compile(r"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_XML = re.compile(r"\s*<\?xml\s")
_PEM = re.compile(r"-----BEGIN (?:PKCS7|CMS)-----")
_MAIL = re.compile(r"(?:[A-Za-z][A-Za-z0-9-]*:[^\n]*\n(?:[ \t][^\n]*\n)*)+\r?\n")
_MAIL_FIELDS = re.compile(r"^(from|to|date|subject|received|message-id|mime-version|return-path):", re.MULTILINE)
_LONG_JSON_BEGINS = re.compile(r"""\s*(?:\{\s*"|\[\s*\{)""")
_JSON_BEGINS = re.compile(r"""\s*(?:\{\s*["}]|\[\s*[\]\[{"\d-])""")


@dataclass(frozen=True)
class Media:
    """A media type; for text, how it is encoded too, and for tables what separates their cells."""

    type: str
    encoding: str | None = None
    separator: str | None = None


def sniff(stream: BinaryIO, size: int, name: str) -> Media:
    """The kind of the file in `stream`, `size` bytes long and called `name`, from its head or an archive's index."""
    stream.seek(0)
    head = stream.read(HEAD)
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    binary = _binary(head, stream)
    if binary:
        return Media(binary)
    encoding = next((encoding for mark, encoding in _MARKS if head.startswith(mark)), "utf-8-sig")
    text = _text(head, encoding, whole=len(head) >= size)
    if text is None or (not text and suffix not in _BY_NAME):
        return Media("application/octet-stream")
    return _text_media(text, encoding, suffix, whole=len(head) >= size)


def _binary(head: bytes, stream: BinaryIO) -> str | None:
    if head.startswith(b"PK\x03\x04"):
        return _archive(stream)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[:1] == b"\x30" and _SIGNED_DATA in head[:24]:
        return "application/pkcs7-signature"
    return next((media_type for magic, media_type in _BINARY if head.startswith(magic)), None)


class _Sparing:
    """A stream of which no read is long: an archive's index could be made to fill the memory."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.seek = stream.seek
        self.tell = stream.tell

    def read(self, size: int = -1) -> bytes:
        read = self._stream.read(_INDEX + 1 if size < 0 else min(size, _INDEX + 1))
        if len(read) > _INDEX:
            raise zipfile.BadZipFile
        return read


def _archive(stream: BinaryIO) -> str:
    try:
        with zipfile.ZipFile(cast(BinaryIO, _Sparing(stream))) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return "application/zip"
    if "[Content_Types].xml" not in names:
        return "application/zip"
    kinds = (kind for part, kind in _OFFICE.items() if any(name.startswith(part) for name in names))
    return next(kinds, "application/zip")


def _text(head: bytes, encoding: str, *, whole: bool) -> str | None:
    """The head as text, without a character that is cut off at its end; None where it is no text."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head, final=whole)
    except UnicodeDecodeError:
        return None
    return None if _CONTROL.search(text) else text


def _text_media(text: str, encoding: str, suffix: str, *, whole: bool) -> Media:
    kind = _told_by_content(text, suffix, whole=whole) or _BY_NAME.get(suffix)
    separator, rows = separation(text, whole=whole)
    if kind is None:
        # Two lines with a comma each may be prose; three lines cut alike are a table.
        kind = CSV if separator and rows >= 3 else "text/plain"  # noqa: PLR2004 the comment above says why three
    if kind == TSV:
        separator = "\t"
    return Media(kind, encoding, (separator or ",") if kind in {CSV, TSV} else None)


def _told_by_content(text: str, suffix: str, *, whole: bool) -> str | None:
    if _HTML.match(text):
        return "text/html"
    if _XML.match(text):
        return "application/xml"
    if _PEM.match(text):
        return "application/pkcs7-signature"
    mail = _MAIL.match(text)
    if mail and len(set(_MAIL_FIELDS.findall(mail[0].lower()))) >= 2:  # noqa: PLR2004 one such line may stand in any text
        return "message/rfc822"
    return _json(text, suffix, whole=whole)


def _json(text: str, suffix: str, *, whole: bool) -> str | None:
    if not _JSON_BEGINS.match(text):
        return None
    lines = _complete_lines(text, whole=whole)
    first, second = next(lines, None), next(lines, None)
    if first is not None and second is not None and _parses(first) and _parses(second):
        return JSON_LINES
    if _BY_NAME.get(suffix) in {JSON, JSON_LINES}:
        return _BY_NAME[suffix]
    convincing = _parses(text) if whole else _LONG_JSON_BEGINS.match(text)
    return JSON if convincing else None


def _complete_lines(text: str, *, whole: bool) -> Iterator[str]:
    lines = text.split("\n")
    return (line for line in (lines if whole else lines[:-1]) if line.strip())


def _parses(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
