"""`support-bundle`: what somebody who helps needs to see, and nothing of what was collected."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.options import ConfigPath, start, writing

if TYPE_CHECKING:
    from agent.config import Loaded

_LIBRARIES = ("aiohttp", "apscheduler", "boto3", "botocore", "httpx", "okta", "pydantic", "pygithub", "zstandard")
_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET")
_SHOWN = 200  # items, and runs

Listed = Annotated[bool, typer.Option("--list", help="Show what would go in, and write nothing.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write it.")]


def support_bundle(config: ConfigPath = None, *, list_: Listed = False, output: Output = None) -> None:
    """Writes an archive for somebody who helps: versions, configuration, outbox without bodies, runs, losses.

    No evidence is in it, and secrets are taken out: --list shows it all first.
    """
    from agent.cli.output import say

    contents = dict(_contents(start(config, quiet=True)))
    if list_:
        for name, text in contents.items():
            say(f"── {name}")
            say(text)
        return
    file = output or Path(f"chequr-support-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz")
    with writing(file):
        _write(file, contents)
    say(f"{file}: {', '.join(contents)}. Look at it before you send it: tar -xzOf {file}")


def _contents(loaded: "Loaded") -> Iterator[tuple[str, str]]:
    """The text of each file by its name."""
    from agent.canonical import carriable
    from agent.load import read
    from agent.redaction import redact
    from agent.resolved import resolved

    written = read(loaded.path) if loaded.path else {}
    facts: dict[str, Any] = {
        "about.json": _about(),
        "settings.json": [asdict(setting) for setting in resolved(loaded, written, os.environ)],
        **_state(loaded),
        "state.json": _folder(loaded.config.state_dir),
    }
    for name, fact in facts.items():
        clean, _ = redact(carriable(json.loads(json.dumps(fact, default=str))))
        yield name, json.dumps(clean, indent=2, ensure_ascii=False)


def _state(loaded: "Loaded") -> dict[str, Any]:
    """What the database tells; why it does not, where it cannot be used: that is when help is needed."""
    from agent.outbox import Outbox
    from agent.runs import Runs
    from agent.standing import standing
    from agent.store import StateUnusable, Store

    try:
        with Store(loaded.config.state_dir, loaded.config.outbox.room) as store:
            outbox = Outbox(store)
            return {
                "status.json": standing(loaded, store),
                "outbox.json": [asdict(item) for item in outbox.items(limit=_SHOWN)],
                "runs.json": [asdict(run) for run in Runs(store).recent(_SHOWN)],
                "losses.json": [asdict(loss) for loss in outbox.losses()],
            }
    except StateUnusable as error:
        return {"status.json": {"unusable": str(error)}}


def _about() -> dict[str, Any]:
    import platform
    import sqlite3

    from agent import __version__

    return {
        "chequr-agent": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "sqlite": sqlite3.sqlite_version,
        "cores": os.cpu_count(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "variables": sorted(name for name in _VARIABLES if name in os.environ or name.lower() in os.environ),
    }


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _folder(directory: Path) -> list[dict[str, Any]]:
    """What lies in the state directory: names, sizes, modes and ages."""
    now = time.time()
    found = []
    for path in sorted(directory.rglob("*")):
        with suppress(FileNotFoundError):  # a temporary one is gone again
            told = path.lstat()
            name, age = str(path.relative_to(directory)), round(now - told.st_mtime)
            found.append({"name": name, "bytes": told.st_size, "mode": oct(told.st_mode), "age_seconds": age})
    return found


def _write(file: Path, contents: dict[str, str]) -> None:
    """For its owner only, whole or not at all."""
    import tarfile
    from io import BytesIO

    from agent.private import whole

    with whole(file) as stream, tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, text in contents.items():
            entry, content = tarfile.TarInfo(f"chequr-support/{name}"), text.encode()
            entry.size, entry.mtime, entry.mode = len(content), int(time.time()), 0o600
            archive.addfile(entry, BytesIO(content))
