"""A library that makes fsync fail and the wall clock jump in the agent's process, and how it is steered."""

import os
import struct
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

_SOURCE = Path(__file__).with_name("preload.c")


def build(compiler: str, directory: Path) -> Path:
    """The library, built. Raises CalledProcessError."""
    library = directory / "preload.so"
    command = [compiler, "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
    return library


class Preload:
    """Steers every process that was started with `environment`. All is well at first."""

    def __init__(self, library: Path, file: Path) -> None:
        self._file = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        self._shift, self._fails = 0, False
        self._write()
        self.environment = {"LD_PRELOAD": str(library), "FAULTS_CONTROL": str(file)}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def set_clock(self, seconds: int) -> None:
        """Puts the wall clock off by so much."""
        self._shift = seconds
        self._write()

    def fail_fsync(self, *, fails: bool) -> None:
        self._fails = fails
        self._write()

    def _write(self) -> None:
        os.pwrite(self._file, struct.pack("=qq", self._shift, self._fails), 0)
