"""This machine's own root, booted under a real systemd in a copy that is thrown away: needs root and systemd-nspawn.

Everything that is written inside is in memory, and gone with the context. The agent is installed as a package would
install it; its Python is copied to where units that hide /root and /home can see it.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON, SOURCE, LIBRARIES = Path("/opt/python"), Path("/opt/source"), Path("/opt/libraries")
# Its library is found where it was built, which units cannot see.
PROGRAM = """#!/bin/sh
export LD_LIBRARY_PATH={home}/lib PYTHONPATH={path}
exec {home}/bin/python3 -m agent "$@"
"""
_BUSY = ("postgresql", "redis-server", "mysql", "apache2", "nginx", "packagekit", "podman", "etcd", "apt-daily", "ssh")


class Machine:
    """A booted system. `run` runs a command in it."""

    def __init__(self, root: Path, init: int) -> None:
        self.root = root
        self._init = init

    def run(self, *command: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["nsenter", "-t", str(self._init), "-a", *command],
            capture_output=True, text=True, check=False, timeout=timeout,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}{self._last()}")
        return done

    def _last(self) -> str:
        return self.run("journalctl", "--no-pager", "--lines=30", check=False).stdout

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit, as in `Result` or `StatusText`."""
        told = self.run("systemctl", "show", unit, *(f"--property={name}" for name in names)).stdout
        return dict(line.split("=", 1) for line in told.splitlines() if "=" in line)

    def journal(self, unit: str) -> str:
        return self.run("journalctl", "--no-pager", "--output=cat", "--unit", unit).stdout

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)

    @contextmanager
    def memory_limited(self, unit: str, limit: int) -> Iterator[None]:
        """Lets a unit's main process have so many bytes more, by the kernel's own means: for where no memory is
        accounted for inside. Skips the test where the kernel does not do that here.
        """
        with ExitStack() as undo:
            folder = Path(undo.enter_context(tempfile.TemporaryDirectory()))
            _mounted(undo, folder, "-t", "cgroup", "-o", "memory", "cgroup")
            group = folder / f"agent-{os.getpid()}"
            group.mkdir()
            undo.callback(self._leave, group)
            (group / "memory.limit_in_bytes").write_text(str(limit))
            (group / "cgroup.procs").write_text(str(self._outside(int(self.show(unit, "MainPID")["MainPID"]))))
            yield

    def _leave(self, group: Path) -> None:
        for process in (group / "cgroup.procs").read_text().split():
            (group.parent / "cgroup.procs").write_text(process)
        self.eventually(lambda: not (group / "cgroup.procs").read_text(), "nobody in the group")
        group.rmdir()

    def _outside(self, inside: int) -> int:
        """The number that a process has for the one who booted the system."""
        for status in Path("/proc").glob("[0-9]*/status"):
            with suppress(OSError):
                numbers = re.findall(r"^NSpid:\s*(.*)$", status.read_text(), re.MULTILINE)[0].split()
                if numbers[1:] == [str(inside)] and self._is_inside(status.parent):
                    return int(numbers[0])
        raise AssertionError(f"no process is {inside} inside")

    def _is_inside(self, process: Path) -> bool:
        return (process / "ns/pid").readlink() == Path(f"/proc/{self._init}/ns/pid").readlink()

    def drop_in(self, unit: str, text: str) -> None:
        """Changes a unit for this test only."""
        self.write(f"/etc/systemd/system/{unit}.d/test.conf", text)

    def eventually(self, holds, what: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, f"never: {what}\n{self.journal('chequr-agent.service')}"
            time.sleep(0.1)


@contextmanager
def booted(place: Path) -> Iterator[Machine]:
    """Skips the tests, and says why, where no system can be booted."""
    if os.geteuid() or not shutil.which("systemd-nspawn"):
        pytest.skip("no system can be booted here: it needs root and systemd-nspawn (package systemd-container)")
    with ExitStack() as undo:
        _alone(undo)
        root = _overlay(place, undo)
        _install(root)
        nspawn = [
            "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", f"--directory={root}", "--boot",
            "--machine=agenthost", "--console=pipe", "--private-network",
            # Where they are may be hidden inside, as /tmp and /root are.
            f"--bind-ro={ROOT}:{SOURCE}", f"--bind-ro={sysconfig.get_path('purelib')}:{LIBRARIES}",
        ]  # fmt: skip
        with (place / "console").open("wb") as console:
            process = subprocess.Popen(
                nspawn, stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True
            )
        undo.callback(_end, process)
        yield Machine(root, _awaited(process, place))


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _alone(undo: ExitStack) -> None:
    """Two booted systems would find each other's processes in the control groups of their units."""
    lock = undo.enter_context((Path(tempfile.gettempdir()) / "chequr-booted.lock").open("w"))
    fcntl.flock(lock, fcntl.LOCK_EX)


def _overlay(place: Path, undo: ExitStack) -> Path:
    """A copy of the root whose changes are in memory."""
    memory = place / "memory"
    memory.mkdir()
    _mounted(undo, memory, "-t", "tmpfs", "-o", "size=2g", "tmpfs")
    upper, work, root = (memory / name for name in ("upper", "work", "root"))
    for folder in (upper, work, root):
        folder.mkdir()
    _mounted(undo, root, "-t", "overlay", "-o", f"lowerdir=/,upperdir={upper},workdir={work}", "overlay")
    for folder in (SOURCE, LIBRARIES):
        (root / folder.relative_to("/")).mkdir(parents=True)
    (root / "etc/machine-id").unlink(missing_ok=True)
    (root / "etc/machine-id").write_text(Path("/proc/sys/kernel/random/uuid").read_text().replace("-", ""))
    for name in _BUSY:
        (root / f"etc/systemd/system/{name}.service").unlink(missing_ok=True)
        (root / f"etc/systemd/system/{name}.service").symlink_to("/dev/null")
    return root


def _mounted(undo: ExitStack, on: Path, *arguments: str) -> None:
    done = subprocess.run(["mount", *arguments, str(on)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no system can be booted here: {done.stderr.strip()}")
    undo.callback(subprocess.run, ["umount", "--lazy", str(on)], check=False)


def _install(root: Path) -> None:
    subprocess.run(["make", "--silent", "install-systemd", f"DESTDIR={root}"], cwd=ROOT, check=True)
    subprocess.run(["cp", "--archive", sys.base_prefix, str(root / PYTHON.relative_to("/"))], check=True)
    program = root / "usr/bin/chequr-agent"
    program.write_text(PROGRAM.format(home=PYTHON, path=f"{SOURCE}:{LIBRARIES}"), encoding="utf-8")
    program.chmod(0o755)


def _awaited(process: subprocess.Popen[bytes], place: Path) -> int:
    """The first process of the system, once it is up."""
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False).stdout
        if found:
            init = found.split()[0]
            asked = ["nsenter", "-t", init, "-a", "systemctl", "is-system-running"]
            state = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
            if state in {"running", "degraded"}:
                return int(init)
        time.sleep(0.2)
    pytest.skip(f"no system can be booted here: {(place / 'console').read_text(errors='replace')[-500:]}")
