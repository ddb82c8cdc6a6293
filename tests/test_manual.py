import base64
import gzip
import hashlib
import io
import itertools
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collectors.contract import Cancelled, Journal, Run, journaling
from collectors.errors import AccessDenied, CollectionError, Gap, Invalid, NotFound
from collectors.manual import SOURCE
from collectors.manual.files import CHUNK, content
from collectors.manual.targets import FolderSettings, files

DOCUMENT = "application/vnd.openxmlformats-officedocument"


@dataclass
class Seen:
    """What came of one file."""

    controls: tuple[str, ...]
    revision: str | None
    records: list = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    @property
    def file(self):
        return self.records[0].file

    @property
    def rows(self):
        return [record.row for record in self.records if record.kind == "row"]

    @property
    def bytes(self):
        return b"".join(base64.b64decode(record.chunk) for record in self.records if record.kind == "chunk")


class Folder:
    def __init__(self, path: Path):
        self.path = path
        self.cancelled = threading.Event()
        self.waited: list[float] = []

    def put(self, name, text="x", *, age=60.0):
        """Writes a file that was last changed `age` seconds ago."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        os.utime(path, (time.time() - age,) * 2)
        return path

    def run(self):
        def waiting(_reason, seconds):
            self.waited.append(seconds)

        return Run("manual", datetime.now(UTC), None, 1, self.cancelled, waiting)

    def files(self, **settings):
        return SOURCE.connect(SOURCE.settings(path=self.path, **settings), self.run())

    def collect(self, **settings) -> dict[str, Seen]:
        return {file.id: read(file) for file in self.files(**settings)}

    def only(self, **settings) -> Seen:
        (seen,) = self.collect(**settings).values()
        return seen


def read(file) -> Seen:
    seen = Seen(file.controls, file.revision)
    try:
        for observed in content(file):
            (seen.gaps if isinstance(observed, Gap) else seen.records).append(observed)
    except CollectionError as error:
        seen.gaps.append(error.gap())
    return seen


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "evidence"
    path.mkdir()
    return Folder(path)


def test_a_file_that_always_changes_is_given_up(folder):
    """A file that another program changes while it is read, each time, is a gap, and holds up no other."""
    busy = folder.put("ctrl_a/busy.log", b"x" * 8_000_000, age=60)
    folder.put("ctrl_b/other.txt")
    stop = threading.Event()

    def write():
        old = itertools.count(int(time.time()) - 3600)
        while not stop.is_set():
            os.utime(busy, (next(old),) * 2)  # long ago, each time another time

    with ThreadPoolExecutor(1) as pool:
        pool.submit(write)
        try:
            seen = folder.collect()
        finally:
            stop.set()
    (gap,) = seen["ctrl_a/busy.log"].gaps
    assert "changed each time that it was read" in gap.message
    assert not seen["ctrl_b/other.txt"].gaps


# ── What is a file of evidence ─────────────────────────────────────────────────────────────────────────────────────


def test_each_file_is_evidence_of_the_control_whose_subfolder_it_is_in(folder):
    """A file at any depth of a control's subfolder is a place of its own, in a stable order."""
    for name in ("ctrl_b/z.txt", "ctrl_a/2026/q1/deep.txt", "ctrl_a/b.txt"):
        folder.put(name)
    assert {name: seen.controls for name, seen in folder.collect().items()} == {
        "ctrl_a/2026/q1/deep.txt": ("ctrl_a",),
        "ctrl_a/b.txt": ("ctrl_a",),
        "ctrl_b/z.txt": ("ctrl_b",),
    }
    file = next(folder.files())
    assert file.description == {"folder": "evidence", "file": "ctrl_a/2026/q1/deep.txt"}
    assert file.identity().startswith("file:")


def test_reads_are_journaled(folder):
    """The journal names each file that was read, and the permission."""
    folder.put("ctrl_a/a.txt")
    with journaling(Journal()) as journal:
        folder.collect()
    assert journal.uses["file:read"].permission == "folder:read"
    assert journal.uses["file:read"].parameters == {'{"path":"ctrl_a/a.txt"}'}


def test_hidden_and_temporary_files_are_passed_over(folder):
    """Hidden files and what editors and browsers keep for a while are no evidence."""
    names = (".DS_Store", "a~", "a.swp", "a.tmp", "#a#", "~$a.docx", "a.crdownload", "a.part", "A.TMP", ".git/config")
    for name in names:
        folder.put(f"ctrl_a/{name}")
    folder.put(".hidden/a.txt")
    folder.put("ctrl_a/kept.txt")
    assert list(folder.collect()) == ["ctrl_a/kept.txt"]


def test_special_files_are_not_opened(folder):
    """A pipe without a writer, a socket and a device neither hang the run nor become evidence."""
    folder.put("ctrl_a/kept.txt")
    os.mkfifo(folder.path / "ctrl_a/pipe.csv")
    (folder.path / "ctrl_a/null").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder.path / "ctrl_a/socket"))
        found = folder.collect()
    assert [name for name, seen in found.items() if seen.records] == ["ctrl_a/kept.txt"]


def test_a_pipe_that_takes_a_files_place_does_not_hang(folder):
    """A file that turned into a pipe after it was found is a gap at once."""
    path = folder.put("ctrl_a/a.csv")
    (file,) = folder.files()
    path.unlink()
    os.mkfifo(path)
    assert read(file).gaps[0].kind == "unavailable"


def test_links_stay_within_the_folder(folder, tmp_path):
    """Links inside the folder are followed; links out, dangling links and loops are a gap and never content."""
    folder.put("ctrl_a/real.txt", "real")
    folder.put("shared/policy.md", "# Policy")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/shadow").write_text("secret")
    for name, target in {
        "inside.txt": "real.txt",
        "shared": "../shared",
        "out": "../../secret/shadow",
        "outdir": "/etc",
        "dangling": "nowhere",
        "loop": "loop",
        "up": "..",
        "here": ".",
    }.items():
        (folder.path / "ctrl_a" / name).symlink_to(target)
    found = folder.collect()
    assert {name for name, seen in found.items() if seen.records} == {
        "ctrl_a/real.txt", "ctrl_a/inside.txt", "ctrl_a/shared/policy.md", "shared/policy.md",
    }  # fmt: skip
    assert {name: [gap.kind for gap in seen.gaps] for name, seen in found.items() if seen.gaps} == {
        f"ctrl_a/{name}": ["omitted"] for name in ("out", "outdir", "dangling", "loop", "up")
    }
    assert found["ctrl_a/inside.txt"].bytes == b"real"


def test_a_link_that_takes_a_folders_place_is_not_followed(folder, tmp_path):
    """A subfolder that turned into a link out of the folder after it was found is not read through."""
    folder.put("ctrl_a/sub/a.txt", "mine")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/a.txt").write_text("other")
    (file,) = folder.files()
    (folder.path / "ctrl_a/sub").rename(tmp_path / "moved")
    (folder.path / "ctrl_a/sub").symlink_to(tmp_path / "other")
    seen = read(file)
    assert not seen.records
    assert seen.gaps[0].kind == "unavailable"


def test_a_mounted_volume_of_links_is_read(folder):
    """Files that lead through a hidden folder, as Kubernetes mounts them, are read under their own names."""
    folder.put("ctrl_a/..2026_04_15/policy.md", "# Policy")
    (folder.path / "ctrl_a/..data").symlink_to("..2026_04_15")
    (folder.path / "ctrl_a/policy.md").symlink_to("..data/policy.md")
    assert list(folder.collect()) == ["ctrl_a/policy.md"]


def test_a_file_outside_every_control_is_a_gap(folder):
    """A file beside the controls' subfolders is told of, with what to do, and stops nothing."""
    folder.put("readme.txt")
    folder.put("ctrl_a/a.txt")
    found = folder.collect()
    assert found["readme.txt"].controls == ()
    assert found["readme.txt"].gaps[0].kind == "invalid"
    assert found["readme.txt"].gaps[0].remedy == "Move it into a subfolder named after its control."
    assert found["ctrl_a/a.txt"].records


def test_a_link_beside_the_controls_is_not_followed_out(folder):
    """A link out of the folder is no control's subfolder; one to a subfolder inside is."""
    folder.put("ctrl_a/a.txt")
    (folder.path / "ctrl_out").symlink_to("/etc")
    (folder.path / "ctrl_b").symlink_to("ctrl_a")
    found = folder.collect()
    assert (found["ctrl_out"].controls, found["ctrl_out"].gaps[0].kind) == ((), "omitted")
    assert found["ctrl_b/a.txt"].controls == ("ctrl_b",)
    assert found["ctrl_b/a.txt"].bytes == found["ctrl_a/a.txt"].bytes == b"x"


def test_names_reach_the_wire_printable_and_distinct(folder):
    """Line feeds, bidirectional marks and bytes that are no UTF-8 are escaped, and no two names become one."""
    names = [
        b"a\nb.txt",
        b"a\\nb.txt",
        b"\xff.txt",
        b"\\xff.txt",
        "\u202egpj.txt".encode(),
        "ü \U0001f600.txt".encode(),
    ]
    (folder.path / "ctrl_a").mkdir()
    for name in names:
        path = folder.path / "ctrl_a" / os.fsdecode(name)
        path.write_bytes(name)
        os.utime(path, (1, 1))
    found = folder.collect()
    assert len(found) == len(names)
    assert all(name.isprintable() for name in found)
    assert {seen.bytes for seen in found.values()} == set(names)
    assert found["ctrl_a/\\xff.txt"].file.name == "\\xff.txt"
    assert "ctrl_a/ü \U0001f600.txt" in found
    for seen in found.values():
        seen.file.model_dump_json().encode()


def test_the_folder_is_never_written_to(folder):
    """A run leaves every name, byte and time of the folder as it was."""
    folder.put("ctrl_a/a.csv", "a,b\n1,2\n")
    folder.put("ctrl_a/a.csv.meta.toml", 'title = "T"\n')
    before = [(path, path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in sorted(folder.path.rglob("*"))]
    folder.collect()
    assert [
        (path, path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in sorted(folder.path.rglob("*"))
    ] == before


# ── The folder itself ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_missing_folder_is_one_clear_error(tmp_path):
    """A folder that is not there, or is a file, ends the connection with its name and a remedy."""
    with pytest.raises(NotFound, match="does not exist") as missing:
        Folder(tmp_path / "nowhere").collect()
    assert "path" in missing.value.gap().remedy
    (tmp_path / "file").write_text("x")
    with pytest.raises(Invalid, match="not a folder"):
        Folder(tmp_path / "file").collect()


DENIED = """
import json, os, sys, threading, encodings.utf_8_sig, zipfile
from datetime import datetime, UTC
from collectors.contract import Run
from collectors.errors import CollectionError
from collectors.manual import SOURCE
from collectors.manual.files import content
run = Run("manual", datetime.now(UTC), None, 1, threading.Event())
if os.geteuid() == 0:
    os.seteuid(65534)
found = {}
try:
    for file in SOURCE.connect(SOURCE.settings(path=sys.argv[1]), run):
        try:
            found[file.id] = [record.model_dump(mode="json") for record in content(file)]
        except CollectionError as error:
            found[file.id] = error.gap().model_dump()
except CollectionError as error:
    found = error.gap().model_dump()
print(json.dumps(found))
"""


def denied(path):
    """Collects in a process of its own that is not root, since root meets no denial."""
    done = subprocess.run([sys.executable, "-c", DENIED, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def open_folder():
    with tempfile.TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)
        path = Path(parent, "evidence")
        path.mkdir()
        yield Folder(path)
        for found in (path, *path.rglob("*")):
            found.chmod(0o755)


def test_what_may_not_be_read_is_denied_and_stops_nothing(open_folder):
    """An unreadable file, sidecar or subfolder is a gap that names the grant and the user; the rest is read."""
    open_folder.put("ctrl_a/closed.csv").chmod(0)
    open_folder.put("ctrl_a/open.txt")
    open_folder.put("ctrl_a/aside.txt")
    open_folder.put("ctrl_a/aside.txt.meta.toml", 'title = "T"').chmod(0)
    open_folder.put("ctrl_a/sub/a.txt")
    (open_folder.path / "ctrl_a/sub").chmod(0)
    found = denied(open_folder.path)
    assert found["ctrl_a/open.txt"][0]["kind"] == "file"
    for name, what in (("closed.csv", "closed.csv"), ("aside.txt", "aside.txt.meta.toml"), ("sub", "sub")):
        gap = found[f"ctrl_a/{name}"]
        assert gap["kind"] == AccessDenied.kind
        assert gap["remedy"].startswith(f"Grant read access to ctrl_a/{what} for the user ")


def test_a_folder_that_may_not_be_listed_is_denied(open_folder):
    """A folder that the user may not list ends the connection with the grant that it lacks."""
    open_folder.path.chmod(0)
    gap = denied(open_folder.path)
    assert gap["kind"] == "denied"
    assert f"read access to {open_folder.path} for the user " in gap["permission"]


# ── Revisions ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_revision_follows_content_sidecar_and_controls_only(folder):
    """The same bytes are the same revision, whenever they were written; other bytes or another sidecar are not."""
    folder.put("ctrl_a/a.txt", "one")
    first = folder.only().revision
    folder.put("ctrl_a/a.txt", "one", age=3)
    assert folder.only().revision == first
    folder.put("ctrl_a/a.txt.meta.toml", 'controls = ["ctrl_b", "ctrl_a"]')
    described = folder.only()
    assert described.revision != first
    assert described.controls == ("ctrl_a", "ctrl_b")
    folder.put("ctrl_a/a.txt", "two")
    assert folder.only().revision not in {first, described.revision}


def test_a_raised_limit_is_a_new_revision(folder):
    """A file that was too large is read again once the limit allows it, and the same limit sends it once."""
    folder.put("ctrl_a/a.txt", "0123456789")
    small = folder.only(max_file_bytes=5)
    assert small.revision == folder.only(max_file_bytes=6).revision
    assert small.revision != folder.only(max_file_bytes=10).revision


def test_what_can_be_mended_is_told_at_each_run(folder):
    """A problem has no revision, so that it is not taken for delivered."""
    folder.put("ctrl_a/a.txt.meta.toml", "title = ")
    assert folder.only().revision is None


# ── Files that change ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_is_taken_once_it_has_settled(folder):
    """A file written a moment ago is waited for, and the wait is told."""
    folder.put("ctrl_a/a.txt", age=1.7)
    folder.put("ctrl_a/b.txt", age=1.7)
    assert all(seen.records for seen in folder.collect().values())
    assert 0 < sum(folder.waited) < 1


def test_a_file_that_is_appended_to_without_end_is_a_gap(folder):
    """A file that never settles is unavailable after a bounded wait, and the others are read."""
    folder.put("ctrl_a/quiet.txt")
    path = folder.put("ctrl_a/busy.log", age=0)
    stopped = threading.Event()

    def append():
        while not stopped.wait(0.05):
            with path.open("a") as stream:
                stream.write("line\n")

    writer = threading.Thread(target=append)
    writer.start()
    try:
        run = folder.run()
        found = {file.id: read(file) for file in files(FolderSettings(path=folder.path), run, "me", patience=0.5)}
    finally:
        stopped.set()
        writer.join()
    assert found["ctrl_a/busy.log"].gaps[0].kind == "unavailable"
    assert found["ctrl_a/busy.log"].revision is None
    assert sum(folder.waited) == pytest.approx(0.5)
    assert found["ctrl_a/quiet.txt"].records


def test_a_file_appended_to_while_it_is_read_leaves_a_gap(folder):
    """What changes between its first and last byte is not passed off as whole."""
    path = folder.put("ctrl_a/a.bin", b"\x00" * (3 * CHUNK))
    (file,) = folder.files()
    observed = content(file)
    next(observed)
    with path.open("ab") as stream:
        stream.write(b"more")
    with pytest.raises(CollectionError, match="changed while it was read"):
        list(observed)


def test_bytes_changed_in_place_are_noticed_by_their_digest(folder):
    """Even with its length and time put back, a file that changed meanwhile is a gap."""
    path = folder.put("ctrl_a/a.bin", b"\x00" * (8 * CHUNK))
    (file,) = folder.files()
    observed = content(file)
    next(observed)
    times = path.stat()
    with path.open("r+b") as stream:
        stream.seek(7 * CHUNK)
        stream.write(b"changed")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(CollectionError, match="changed while it was read"):
        list(observed)


def test_a_file_that_goes_away_or_is_replaced_is_a_gap(folder):
    """A file that is not the one that was found is not read in its place."""
    path = folder.put("ctrl_a/a.txt")
    (file,) = folder.files()
    path.unlink()
    assert read(file).gaps[0].kind == "not_found"
    folder.put("ctrl_a/a.txt", "other")
    assert read(file).gaps[0].kind == "unavailable"


def test_a_wish_to_stop_ends_waiting_and_reading(folder):
    """A run that is asked to stop neither waits for a file nor reads it to its end."""
    folder.put("ctrl_a/a.bin", b"\x00" * (3 * CHUNK))
    (file,) = folder.files()
    observed = content(file)
    next(observed)
    folder.cancelled.set()
    with pytest.raises(Cancelled):
        list(observed)
    with pytest.raises(Cancelled):
        folder.collect()
    folder.put("ctrl_a/a.bin", age=0)
    with pytest.raises(Cancelled):
        folder.collect()


# ── Sidecars ───────────────────────────────────────────────────────────────────────────────────────────────────────

SIDECAR = """
title = "Policy"
description = "What holds"
owner = "Kamala Iyer"
reviewer = "Board"
approved_at = 2026-01-12T10:00:00+01:00
effective_date = 2026-02-01
period_start = "2026-01-01"
period_end = "2026-12-31"
expires = 2027-02-01
supersedes = "Policy 4.1"
controls = ["ctrl_b"]
"""


def test_a_sidecar_is_told_with_its_file(folder):
    """Every key of a sidecar is in the file's description, dates as ISO 8601."""
    folder.put("ctrl_a/a.md", "# Policy")
    folder.put("ctrl_a/a.md.meta.toml", SIDECAR)
    seen = folder.only()
    assert seen.controls == ("ctrl_a", "ctrl_b")
    assert seen.file.sidecar.model_dump(mode="json") == {
        "title": "Policy",
        "description": "What holds",
        "owner": "Kamala Iyer",
        "reviewer": "Board",
        "approved_at": "2026-01-12T10:00:00+01:00",
        "effective_date": "2026-02-01",
        "period_start": "2026-01-01",
        "period_end": "2026-12-31",
        "expires": "2027-02-01",
        "supersedes": "Policy 4.1",
        "controls": ["ctrl_b"],
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('title = "T"\nownr = "x"', 'line 2: "ownr" is not a key; did you mean "owner"?'),
        ("colour = 1", "the keys are title, description"),
        ("title = 3", "line 1: title: Input should be a valid string"),
        ('title = ""', "line 1: title: String should have at least 1 character"),
        ('title = "T"\n\nexpires = "2026-13-01"', "line 3: expires: month must be in 1..12"),
        ("expires = 20260101", "line 1: expires: Input should be a valid date"),
        ("approved_at = 2026-01-01T10:00:00", "line 1: approved_at"),
        ("period_start = 2026-02-01\nperiod_end = 2026-01-01", "period_end is before period_start"),
        ('title = "T', "at line 1"),
        ('title = "T"\ntitle = "T"', "line 2"),
        ('controls = "ctrl_b"', "line 1: controls"),
        (b'title = "\xff"', "is not UTF-8 text"),
        ("#" * 70_000, "larger than 65536 bytes"),
    ],
)
def test_a_bad_sidecar_is_a_gap_that_names_key_and_line(folder, text, words):
    """A sidecar that cannot be understood leaves its file out, and says where it is wrong."""
    folder.put("ctrl_a/a.md", "# Policy")
    folder.put("ctrl_a/a.md.meta.toml", text)
    folder.put("ctrl_a/b.md", "# Other")
    found = folder.collect()
    (gap,) = found["ctrl_a/a.md"].gaps
    assert gap.kind == "invalid"
    assert gap.message.startswith("ctrl_a/a.md.meta.toml")
    assert words in gap.message
    assert not found["ctrl_a/a.md"].records
    assert found["ctrl_a/b.md"].records


def test_a_sidecar_without_its_file_is_a_gap(folder):
    """A sidecar whose file is not there is told of under the name of that file."""
    folder.put("ctrl_a/a.pdf.meta.toml", 'title = "T"')
    (gap,) = folder.only().gaps
    assert (gap.kind, gap.message) == ("not_found", "ctrl_a/a.pdf.meta.toml describes a file that is not there")


# ── What a file is ─────────────────────────────────────────────────────────────────────────────────────────────────


def archive(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name in names:
            made.writestr(name, "x")
    return buffer.getvalue()


MAIL = "Received: from a by b\nFrom: a@acme.com\nSubject: Approval\n\nApproved.\n"
SIGNED = bytes.fromhex("3082010006092a864886f70d010702") + b"rest"


@pytest.mark.parametrize(
    ("name", "text", "media_type"),
    [
        ("a.txt", b"%PDF-1.7\n...", "application/pdf"),
        ("a", b"\x89PNG\r\n\x1a\n....", "image/png"),
        ("a", b"\xff\xd8\xff\xe0....", "image/jpeg"),
        ("a", b"GIF89a....", "image/gif"),
        ("a", b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        ("a.txt", gzip.compress(b"x", mtime=0), "application/gzip"),
        ("a.docx", archive("a.txt"), "application/zip"),
        ("a.zip", archive("[Content_Types].xml", "word/document.xml"), f"{DOCUMENT}.wordprocessingml.document"),
        ("a.zip", archive("[Content_Types].xml", "xl/workbook.xml"), f"{DOCUMENT}.spreadsheetml.sheet"),
        ("a.zip", archive("[Content_Types].xml", "ppt/presentation.xml"), f"{DOCUMENT}.presentationml.presentation"),
        ("a.zip", b"PK\x03\x04 cut off", "application/zip"),
        ("a.csv", "<!DOCTYPE html><html>Sign in</html>", "text/html"),
        ("a.txt", '<?xml version="1.0"?><a/>', "application/xml"),
        ("a", '{"a": 1}', "application/json"),
        ("a.txt", '[{"a": 1}]', "application/json"),
        ("a.json", '{"a": 1}\n{"a": 2}\n', "application/jsonl"),
        ("a.json", "{ broken", "application/json"),
        ("a", "a,b\n1,2\n3,4\n", "text/csv"),
        ("a", "Hello, world\nGood, bye\n", "text/plain"),
        ("a.csv", "only\none\ncolumn\n", "text/csv"),
        ("a.tsv", "a\tb\n1\t2\n", "text/tab-separated-values"),
        ("a.md", "# Policy", "text/markdown"),
        ("a.md", "[see](https://acme.com)", "text/markdown"),
        ("a.txt", "# Not Markdown", "text/plain"),
        ("a", MAIL, "message/rfc822"),
        ("a.txt", "Note: this\nis text\n", "text/plain"),
        ("a.p7s", SIGNED, "application/pkcs7-signature"),
        ("a", "-----BEGIN PKCS7-----\nMII\n", "application/pkcs7-signature"),
        ("a.csv", b"a,b\n\x00,2\n", "application/octet-stream"),
        ("a.txt", "caf\u00e9".encode("latin-1"), "application/octet-stream"),
        ("a.txt", "\u00fcber".encode("utf-16"), "text/plain"),
        ("a", b"", "application/octet-stream"),
        ("a.txt", b"", "text/plain"),
    ],
)  # fmt: skip
def test_the_media_type_is_told_from_content(folder, name, text, media_type):
    """Content decides what a file is; its name only between kinds of text."""
    folder.put(f"ctrl_a/{name}", text)
    assert folder.only().file.media_type == media_type


def test_a_file_is_described_by_its_original(folder):
    """Name, size, digest and time are those of the bytes on disk."""
    folder.put("ctrl_a/sub/a.bin", b"\x00\x01")
    os.utime(folder.path / "ctrl_a/sub/a.bin", (1_775_000_000, 1_775_000_000))
    seen = folder.only()
    assert (seen.file.name, seen.file.size) == ("a.bin", 2)
    assert seen.file.sha256 == hashlib.sha256(b"\x00\x01").hexdigest()
    assert seen.file.modified == datetime.fromtimestamp(1_775_000_000, UTC)
    assert seen.bytes == b"\x00\x01"


def test_an_empty_file_is_described_and_has_no_parts(folder):
    """A file of no bytes is told of, and nothing follows."""
    folder.put("ctrl_a/a.txt", b"")
    seen = folder.only()
    assert (seen.file.size, seen.file.count, len(seen.records)) == (0, 0, 1)


def test_a_file_over_the_limit_is_described_with_a_gap(folder):
    """Of a file one byte over the limit only the facts are told; one at the limit is carried."""
    folder.put("ctrl_a/a.bin", b"\x00" * 11)
    seen = folder.only(max_file_bytes=10)
    assert seen.file.carried == "none"
    assert seen.file.sha256 == hashlib.sha256(b"\x00" * 11).hexdigest()
    assert len(seen.records) == 1
    (gap,) = seen.gaps
    assert (gap.kind, gap.resource) == ("omitted", "ctrl_a/a.bin")
    assert "max_file_bytes = 10" in gap.message
    assert folder.only(max_file_bytes=11).bytes == b"\x00" * 11


def test_the_default_limit_is_25_megabytes(folder):
    """A file of 30 MB is described only."""
    with folder.put("ctrl_a/a.bin").open("wb") as stream:
        stream.truncate(30_000_000)
    os.utime(folder.path / "ctrl_a/a.bin", (1, 1))
    seen = folder.only()
    assert (seen.file.size, seen.file.carried, [gap.kind for gap in seen.gaps]) == (30_000_000, "none", ["omitted"])


def test_bytes_are_carried_in_numbered_chunks_that_fit_a_part(folder):
    """The chunks of a file put together are the file, and each is below 1 MB as sent."""
    original = os.urandom(2 * CHUNK + 5)
    folder.put("ctrl_a/a.bin", b"\x00" + original)
    seen = folder.only()
    assert seen.bytes == b"\x00" + original
    assert [record.number for record in seen.records] == [0, 1, 2, 3]
    assert seen.file.count == 3
    assert max(len(record.model_dump_json()) for record in seen.records) < 1_000_000


# ── Tables ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_tables_are_cut_where_their_rows_agree(folder, separator):
    """Comma, semicolon, tab and bar are told apart from the rows, also where cells hold the other ones."""
    folder.put("ctrl_a/a.csv", separator.join(["name", "note"]) + "\n" + separator.join(["Ada", '"1,5;2|3"']) + "\n")
    assert folder.only().rows == [{"name": "Ada", "note": "1,5;2|3"}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_tables_are_read_in_the_encoding_of_their_mark(folder, encoding):
    """A byte order mark tells the encoding and is no part of the first column's name."""
    folder.put("ctrl_a/a.csv", "name,city\nAda,Zürich\n".encode(encoding))
    assert folder.only().rows == [{"name": "Ada", "city": "Zürich"}]


def test_quotes_and_line_ends_within_cells_are_kept(folder):
    """A quoted cell keeps its separators, quotes and line ends."""
    folder.put("ctrl_a/a.csv", 'name,note\r\n"Ada ""A"" Abara","line 1\r\nline 2, end"\r\n')
    assert folder.only().rows == [{"name": 'Ada "A" Abara', "note": "line 1\r\nline 2, end"}]


def test_no_cell_of_a_ragged_table_is_lost(folder):
    """Repeated, empty and missing titles get names of their own; the header stands as written."""
    folder.put("ctrl_a/a.csv", "id,id,,column 3,id (2)\n1,2,3,4,5\n1\n1,2,3,4,5,6,7\n\n")
    seen = folder.only()
    assert seen.file.columns == ("id", "id", "", "column 3", "id (2)")
    names = list(seen.rows[0])
    assert names == ["id", "id (3)", "column 3 (2)", "column 3", "id (2)"]
    assert seen.rows[0] == dict(zip(names, "12345", strict=True))
    assert seen.rows[1] == {"id": "1"}
    assert list(seen.rows[2].values()) == list("1234567")
    assert seen.file.count == 3


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", 'a,b\n"open,2\n', "line 2: unexpected end of data"),
        ("a.csv", 'a,b\n"x"y,2\n', "line 2: "),
        ("a.csv", b"a,b\n" + b"1,2\n" * 40_000 + b"\xff,2\n", "it is not utf-8 text throughout"),
        ("a.csv", "," * 20_000 + "\n", "more than 16384 columns"),
        ("a.csv", "a,b\n" + "x" * 1_100_000 + "\n", "line 2 is longer than"),
        ("a.json", '{"a": 1', "Expecting"),
        ("a.json", '[{"a": 1}, {"a": NaN}]', "NaN is not JSON"),
        ("a.json", '[{"a": 1, "a": 2}]', "same key twice"),
        ("a.json", '[{"a": 12345678901234567890}]', "more digits"),
        ("a.json", '[{"a": 1e400}]', "larger than JSON readers keep"),
        ("a.json", '[{"a": 9007199254740993.0}]', "more digits"),
        ("a.json", '[{"a": 0.12345678901234567890123}]', "more digits"),
        ("a.json", '[{"a": 1e-400}]', "more digits"),
        ("a.json", '[{"a": "\\ud800"}]', "half of a surrogate pair"),
        ("a.json", "[" * 100_000, "the file is nested too deeply"),
        ("a.json", '[{"a": ' + "[" * 400 + "]" * 400 + "}]", "a row is nested too deeply"),
        ("a.json", '[{"a": 1}] trailing', "something follows"),
        ("a.json", '["' + "x" * 1_100_000 + '"]', "longer than"),
        ("a.jsonl", '{"a": 1}\n{"a": \n', "line 2: "),
        ("a.jsonl", '{"a": "' + "x" * 5_000_000 + '"}\n', "line 1 is longer than"),
    ],
    ids=range(20),
)
def test_what_cannot_be_read_as_rows_is_carried_whole(folder, name, text, words):
    """A table or JSON that would lose something as rows comes as its bytes, and says why."""
    original = folder.put(f"ctrl_a/{name}", text).read_bytes()
    seen = folder.only()
    assert words in seen.file.unreadable
    assert seen.file.carried == "chunks"
    assert seen.bytes == original
    assert not seen.gaps


# ── JSON ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "text", "rows"),
    [
        ("a.json", '[{"a": 1}, {"b": [true, null, 1.5, "\\u00fc"]}]', [{"a": 1}, {"b": [True, None, 1.5, "ü"]}]),
        ("a.json", " [ ] ", []),
        ("a.json", '{"a": {"b": 1}}', [{"a": {"b": 1}}]),
        ("a.json", '[1, {"a": 1}]', [{"value": [1, {"a": 1}]}]),
        ("a.json", "null", [{"value": None}]),
        ("a.json", "\ufeff[{}]", [{}]),
        ("a.jsonl", '{"a": 1}\r\n\r\n{"a": 2}', [{"a": 1}, {"a": 2}]),
        ("a.ndjson", '1\n"x"\n', [{"value": 1}, {"value": "x"}]),
        ("a.jsonl", '{"a": "\u2028\u0085"}\n{"a": "\\u0000"}\n', [{"a": "\u2028\u0085"}, {"a": "\x00"}]),
    ],
)
def test_json_is_read_as_rows(folder, name, text, rows):
    """An array of objects and JSON Lines give a row each; any other JSON is one row."""
    folder.put(f"ctrl_a/{name}", text)
    seen = folder.only()
    assert seen.rows == rows
    assert seen.file.count == len(rows)
    assert seen.file.carried == "rows"


def test_a_long_array_is_read_object_by_object(folder):
    """Objects that lie across the reader's windows come out whole and in order."""
    rows = [{"n": n, "text": "ü" * (n * 37 % 90_000)} for n in range(60)]
    folder.put("ctrl_a/a.json", json.dumps(rows, ensure_ascii=False, indent=1))
    assert folder.only().rows == rows


# ── Memory ─────────────────────────────────────────────────────────────────────────────────────────────────────────

RESIDENT = """
import resource, sys, threading
from datetime import datetime, UTC
from collectors.contract import Run
from collectors.manual import SOURCE
from collectors.manual.files import content
run = Run("manual", datetime.now(UTC), None, 1, threading.Event())
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
def read(path):
    return sum(1 for file in SOURCE.connect(SOURCE.settings(path=path), run) for record in content(file))
read(sys.argv[1])
before = peak()
print(read(sys.argv[2]), peak() - before)
"""


def _large(name):
    if name == "a.bin":
        return b"\x00" * 25_000_000, 49
    if name == "a.zip":
        crowded = _crowded(500_000)
        return crowded, 1 + -(-len(crowded) // CHUNK)
    if name == "a.csv":
        return "id,name,when\n" + "".join(f"{n},Ada Abara {n},2026-04-15\n" for n in range(200_000)), 200_001
    return json.dumps([{"id": n, "note": "x" * 200} for n in range(50_000)]), 50_001


def _crowded(count):
    """An archive whose index has so many entries, and which has one file."""
    file = struct.pack("<4s22xHH", b"PK\x03\x04", 1, 0) + b"a"
    entry = struct.pack("<4s24xH16x", b"PK\x01\x02", 1) + b"a"
    end = len(file) + count * len(entry)
    last = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, end - len(file), len(file))
    last += struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1) + struct.pack("<4s16xH", b"PK\x05\x06", 0)
    return file + count * entry + last


@pytest.mark.parametrize("name", ["a.bin", "a.csv", "a.json", "a.zip"])
def test_memory_does_not_grow_with_a_file(tmp_path, name):
    """Bytes, rows of CSV, a JSON array, an archive that is all index: much takes a few MB more than little."""
    text, records = _large(name)
    small, large = Folder(tmp_path / "small"), Folder(tmp_path / "large")
    for warm, sample in (("a.bin", b"\x00" * CHUNK), ("a.csv", "a,b\n" + "1,2\n" * 20_000), ("a.json", '[{"a": 1}]')):
        small.put(f"ctrl_a/{warm}", sample)
    large.put(f"ctrl_a/{name}", text)
    done = subprocess.run(
        [sys.executable, "-c", RESIDENT, str(small.path), str(large.path)], capture_output=True, text=True, check=True
    )
    count, kilobytes = map(int, done.stdout.split())
    assert count == records
    assert kilobytes < 6_000


# ── What it asks for ───────────────────────────────────────────────────────────────────────────────────────────────


def test_grants_are_read_only():
    """The operating system's user needs to read, and never to write."""
    text = json.dumps(SOURCE.grants([content]))
    assert "read" in text
    assert "write access is never needed" in text
    assert SOURCE.grants([]) == {}
