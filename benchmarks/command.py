"""The command `chequr-agent` under measurement: a state directory filled beforehand, and a process to look at.

CPU time is the kernel's account of a process that ended (wait4). Peak memory is VmHWM, looked at while it runs: the
ru_maxrss of wait4 would count the process that started it, too.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from subprocess import PIPE

from agent.evidence import Evidence
from agent.outbox import Outbox
from agent.store import Store

COMMAND = Path(sys.executable).with_name("chequr-agent")
TOKEN = "chequr-sandbox-write"  # the sandbox's own default
_ROOT = Path(__file__).parents[1]
_HIDDEN = ("CHEQUR_TOKEN", "CREDENTIALS_DIRECTORY", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
_LOOK = 0.05  # seconds between looks at a process's memory
_GROUP = 5000  # items filled in one transaction


def fill(home: Path, evidence: Iterable[Evidence]) -> None:
    """Makes all of it owed in the state directory of `home`, through `Outbox.put`."""
    pieces = iter(evidence)
    with Store(home / "state") as store:
        outbox = Outbox(store)
        while group := list(islice(pieces, _GROUP)):
            outbox.put("aws", "123456789012", group, None, now=time.time())


def configure(home: Path, url: str, *, ca_file: Path | None = None) -> None:
    """A configuration that only delivers: its one collector, without which `run` would not start, is off."""
    trust = f'ca_file = "{ca_file}"\n' if ca_file else ""
    collector = '[collectors.manual]\nenabled = false\npath = "evidence"\n'
    text = f'state_dir = "state"\n[chequr]\nbase_url = "{url}"\n{trust}{collector}'
    (home / "config.toml").write_text(text, encoding="utf-8")


@dataclass
class Process:
    """A process that runs. Its standard error is in the file `log`."""

    popen: "subprocess.Popen[str]"
    log: Path
    started: float
    """Monotonic seconds, just before the fork."""
    peak: int = 0
    """Bytes of memory, the most that was seen so far."""
    cpu: float = 0.0
    """Seconds of CPU, user and system, once it ended."""
    seconds: float = 0.0
    """From the start to the end, once it ended."""

    def watch(self, seconds: float = 3600.0) -> bool:
        """Watches its memory until it ends, or so long; whether it ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._look()
            if self._ended(os.WNOHANG):
                return True
            time.sleep(_LOOK)
        return False

    def kill(self) -> None:
        if self.popen.returncode is None:
            os.kill(self.popen.pid, signal.SIGKILL)  # Popen's own might take the exit status, and the account with it
            self._ended(0)

    def _look(self) -> None:
        for line in Path(f"/proc/{self.popen.pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                self.peak = int(line.split()[1]) * 1024

    def _ended(self, flags: int) -> bool:
        pid, status, used = os.wait4(self.popen.pid, flags)
        if pid:
            self.seconds = time.monotonic() - self.started
            self.cpu = used.ru_utime + used.ru_stime
            self.popen.returncode = os.waitstatus_to_exitcode(status)
        return pid != 0


@contextmanager
def started(
    home: Path, command: Iterable[str | Path], environment: Mapping[str, str] | None = None, *, stdout: int = PIPE
) -> Iterator[Process]:
    """A process in `home` while the context lasts; killed at its end. Standard output is a pipe, or what is asked for.

    What agents of one host share is in `home`, too, where `environment` names no other RUNTIME_DIRECTORY.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in _HIDDEN}
    ours = {"CHEQUR_TOKEN": TOKEN, "PYTHONPATH": str(_ROOT), "RUNTIME_DIRECTORY": str(home)}
    told = inherited | ours | dict(environment or {})
    log = home / f"log-{time.monotonic_ns()}"
    with log.open("wb") as stream:
        begun = time.monotonic()
        popen = subprocess.Popen(list(command), cwd=home, env=told, stdout=stdout, stderr=stream, text=True)
        process = Process(popen, log, begun)
        try:
            yield process
        finally:
            process.kill()
            popen.communicate()


def deliver(*, wait: float = 30.0) -> list[str | Path]:
    """The command line; it ends once nothing is owed, or nothing was accepted for `wait` seconds."""
    return [COMMAND, "deliver", "--config", "config.toml", "--wait", str(wait)]
