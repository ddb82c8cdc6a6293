"""A folder from written answers, by the operating system's own door: real files, really unreadable where one is."""

import base64
import codecs
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from pathlib import Path

from collectors.contract import Run
from collectors.manual.folder import SIDECAR, ignored
from collectors.manual.targets import File, FolderSettings, files

NOBODY = 65534


@contextmanager
def replay(answers: list[dict], settings: dict, run: Run) -> Iterator[Iterator[File]]:
    """The files of a folder that holds these answers, read as the user `chequr-agent`.

    An answer is `{"text": …}` or `{"base64": …}`, an error `{"code": "EACCES"}`. `modified` is when it was written:
    by default a day before the run. Fails where an answer is a file that nobody came upon.
    """
    met: set[str] = set()
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, "evidence")
        folder.mkdir()
        for answer in answers:
            _write(folder, answer, run.started - timedelta(days=1))
        denied = any("error" in answer for answer in answers)
        with _without_root(Path(parent)) if denied else nullcontext():
            yield _noting(files(FolderSettings(path=folder, **settings), run, "chequr-agent"), met)
    unmet = {answer["parameters"]["path"] for answer in answers if not _is_aside(answer)} - met
    assert not unmet, f"files that nobody came upon: {', '.join(sorted(unmet))}"


def _is_aside(answer: dict) -> bool:
    path = answer["parameters"]["path"]
    return path.endswith(SIDECAR) or any(ignored(part) for part in path.split("/"))


def _noting(found: Iterator[File], met: set[str]) -> Iterator[File]:
    for file in found:
        met.add(file.id)
        yield file


def _write(folder: Path, answer: dict, modified: datetime) -> None:
    assert answer["call"] == "file:read", f"a folder has no answer to {answer['call']}"
    path = folder / answer["parameters"]["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    content = answer.get("answer", {})
    path.write_bytes(base64.b64decode(content["base64"]) if "base64" in content else content.get("text", "").encode())
    when = datetime.fromisoformat(answer["modified"]) if "modified" in answer else modified
    os.utime(path, (when.timestamp(), when.timestamp()))
    if "error" in answer:
        assert answer["error"] == {"code": "EACCES"}, f"a folder cannot answer with {answer['error']}"
        path.chmod(0)


@contextmanager
def _without_root(folder: Path) -> Iterator[None]:
    """Reads as somebody who may not read everything: root meets no denial, so it is put aside meanwhile."""
    if os.geteuid() != 0:
        yield
        return
    folder.chmod(0o755)
    codecs.lookup("utf-8-sig")  # imported at first use, from where only root may read in some places
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
