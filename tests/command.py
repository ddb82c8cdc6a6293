"""The command `chequr-agent` as a process of its own, in a home of its own."""

import atexit
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from agent.sandbox.server import Sandbox
from agent.store import DATABASE

ROOT = Path(__file__).parents[1]
_OURS = ("CHEQUR_", "AWS_", "OKTA_", "GITHUB_", "CREDENTIALS_DIRECTORY", "NO_COLOR", "XDG_")


@dataclass(frozen=True)
class Done:
    """What a command came to. `told` is standard error in one line of words, without boxes and log lines."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> str:
        lines = [line for line in self.err.splitlines() if not line.startswith("{")]
        return re.sub(r"[\s│╭╮╰╯─]+", " ", " ".join(lines)).strip()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.err.splitlines() if line.startswith("{")]

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Agent:
    """An agent's home: its configuration, its state directory, and an example folder `evidence`."""

    home: Path
    url: str
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.home / "config.toml"

    @property
    def state(self) -> Path:
        return self.home / "state"

    def configure(self, tables: str = '[collectors.manual]\npath = "evidence"\n', *, top: str = "") -> None:
        """Writes a configuration: keys at the top, the API's address, then `tables`."""
        text = f'state_dir = "state"\n{top}\n[chequr]\nbase_url = "{self.url}"\n{tables}\n'
        self.config.write_text(text, encoding="utf-8")

    def put(self, name: str, content: bytes | str = "name\nalice\n") -> Path:
        """A file of the folder that was written an hour ago."""
        path = self.home / "evidence" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        hour_ago = time.time() - 3600
        os.utime(path, (hour_ago, hour_ago))
        return path

    def run(self, *arguments: str, **environment: str) -> Done:
        """Runs a command to its end. A traceback is never an answer."""
        out, err = (self.home / f".{name}-{time.monotonic_ns()}" for name in ("out", "err"))
        code = _zygote().run(arguments, self.home, self._environment(environment), out, err)
        done = Done(code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"))
        out.unlink()
        err.unlink()
        assert "Traceback" not in done.err, done.err
        return done

    def run_afresh(self, *arguments: str, stdout: Any = subprocess.PIPE, **environment: str) -> Done:
        """The same, by an interpreter of its own: where the very start or the end matters."""
        done = subprocess.run(
            self._command(arguments),
            cwd=self.home,
            env=self._environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout or "", done.stderr)

    @contextmanager
    def started(self, *arguments: str, **environment: str) -> Iterator["Process"]:
        """A command that runs while the context lasts."""
        log = self.home / f"{arguments[0]}-{time.monotonic_ns()}.log"
        with (
            log.open("wb") as stream,
            subprocess.Popen(
                self._command(arguments),
                cwd=self.home,
                env=self._environment(environment),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
            ) as process,
        ):
            try:
                yield Process(process, log)
            finally:
                process.kill()

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "agent", *arguments]

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        # Unbuffered output would hide what goes wrong when the interpreter writes the rest out at its end.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith((*_OURS, "PYTHONUNBUF"))}
        own = {"PYTHONPATH": str(ROOT), "HOME": str(self.home), "RUNTIME_DIRECTORY": str(self.home / "run")}
        told = {**inherited, **own, **self.environment, **more}
        return {name: value for name, value in told.items() if value != UNSET}


UNSET = "\0unset"


class Zygote:
    """A process that forks a command whenever it is told to; see tests/zygote.py."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.zygote"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        atexit.register(self._end)

    def run(self, arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], out: Path, err: Path) -> int:
        order = {"arguments": arguments, "cwd": str(cwd), "environment": environment, "out": str(out), "err": str(err)}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def _end(self) -> None:
        self._process.communicate()


@cache
def _zygote() -> Zygote:
    return Zygote()


@dataclass(frozen=True)
class Process:
    popen: "subprocess.Popen[bytes]"
    log: Path

    def signal(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def ended(self, seconds: float = 60) -> int:
        """The exit code, once it has ended by itself."""
        return self.popen.wait(seconds)

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.ended()

    @property
    def text(self) -> str:
        return self.log.read_text(encoding="utf-8")

    @property
    def events(self) -> list[dict[str, Any]]:
        lines = self.text.splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def catches(self, number: int) -> None:
        """Waits until it has a handler of its own for a signal."""
        told = Path(f"/proc/{self.popen.pid}/status")

        def caught() -> bool:
            (mask,) = re.findall(r"^SigCgt:\s*(\w+)$", told.read_text(), re.MULTILINE)
            return bool(int(mask, 16) & 1 << number - 1)

        eventually(caught, f"a handler for {number!r}")

    def count(self, event: str, **facts: Any) -> int:
        """How often it has logged an event with these facts."""
        return sum(told.get("event") == event and facts.items() <= told.items() for told in self.events)

    def saw(self, event: str, times: int = 1, **facts: Any) -> None:
        """Waits until it has logged an event with these facts so often, which it must before it ends."""
        told = f"{event} {facts}"
        try:
            eventually(lambda: self.count(event, **facts) >= times or self.popen.poll() is not None, told)
            assert self.count(event, **facts) >= times, f"ended before: {told}"
        except AssertionError as error:
            error.add_note(f"the process logged:\n{self.text}")
            raise


def eventually(holds: Any, what: str, seconds: float = 60) -> None:
    """Waits until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.02)


def make_agent(home: Path, sandbox: Sandbox) -> Agent:
    """An agent that may write to the sandbox, with two files and a manual collector."""
    agent = Agent(home, sandbox.url, {"CHEQUR_TOKEN": sandbox.write})
    agent.put("ctrl_bc_03/restore.csv", "day,hours\nmonday,2\n")
    agent.put("ctrl_gv_01/policy.txt", "Be kind.\n")
    agent.configure()
    return agent


def exactly_once(sandbox: Sandbox, state: Path) -> int:
    """That the API has each item of the ledger once, and nothing else; how many those are."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(state / DATABASE)) as database:
        owed = database.execute("SELECT count(*) FROM item").fetchone()[0]
        receipts = {row[0] for row in database.execute("SELECT evidence_id FROM ledger")}
    taken = [(each.control_id, json.dumps(each.payload, sort_keys=True)) for each in sandbox.evidence]
    assert owed == 0
    assert len(set(taken)) == len(taken)
    taken_ids = {each.id for each in sandbox.evidence}
    assert receipts == taken_ids, (receipts - taken_ids, taken_ids - receipts)
    return len(taken)
