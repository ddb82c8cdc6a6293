"""The servers that the agent sends to while it is measured, each a process of its own."""

import json
import ssl
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.command import COMMAND, started
from tests.loopback import certificate


class Server:
    """`url` is the base URL that clients take; `ca_file` has the authority that vouches for it."""

    def __init__(self, url: str, ca_file: Path | None = None) -> None:
        self.url = url
        self.ca_file = ca_file
        self._trust = ssl.create_default_context(cafile=ca_file) if ca_file else None

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url.removesuffix("/v1") + path, context=self._trust) as answer:
            return json.load(answer)


class Sandbox(Server):
    """`chequr-agent sandbox`, asked through its console."""

    def accepted(self) -> int:
        return int(self.get("/_sandbox/state")["evidence"])

    def statuses(self) -> Counter[int]:
        """Answers by status. Only evidence is sent here: all of them are to POST /v1/evidence."""
        return Counter({int(status): number for status, number in self.get("/_sandbox/state")["statuses"].items()})

    def sources(self) -> Counter[str]:
        """Evidence taken, by its source."""
        return Counter(each["source"] for each in self.get("/_sandbox/evidence")["data"])


@contextmanager
def sandbox(home: Path, *, rate: float, faults: Sequence[str] = ()) -> Iterator[Sandbox]:
    command: list[str | Path] = [COMMAND, "sandbox", "--port", "0", "--rate", f"{rate:g}"]
    for fault in faults:
        command += ["--fault", fault]
    with started(home, command) as process:
        yield Sandbox(first_line(process.popen.stdout).split()[-1])


@contextmanager
def receiver(home: Path, *, limit: float, tls: bool) -> Iterator[Server]:
    """`benchmarks.receiver`."""
    command: list[str | Path] = [sys.executable, "-m", "benchmarks.receiver", "--limit", f"{limit:g}"]
    ca_file = None
    if tls:
        ca_file, _ = certificate(home)
        command += ["--certificate", str(home / "server.pem")]
    with started(home, command) as process:
        yield Server(first_line(process.popen.stdout), ca_file)


def first_line(stream: Any) -> str:
    line: str = stream.readline().strip()
    if not line:
        raise SystemExit("the server did not start: see the log in its directory")
    return line
