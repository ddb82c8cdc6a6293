"""A file system of its own in a file, which can be filled, and copied as a power cut would leave it."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Unmountable(Exception):
    """This machine does not let us mount; the message says what it said."""


def blank(image: Path, megabytes: int) -> Path:
    """An empty ext4 in `image`."""
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    _run("mkfs.ext4", "-q", "-F", str(image))
    return image


@contextmanager
def mounted(image: Path, where: Path) -> Iterator[Path]:
    """The file system while the context lasts. Raises Unmountable."""
    where.mkdir(exist_ok=True)
    _run("mount", "-o", "loop", str(image), str(where))
    try:
        yield where
    finally:
        _run("umount", str(where))


def cut(image: Path, copy: Path) -> Path:
    """A copy of what has reached the device so far, as if the power went now: nothing is flushed."""
    shutil.copyfile(image, copy)
    return copy


def fill(file: Path) -> int:
    """Writes into `file` until the disk is really full; how many bytes that were."""
    written = 0
    with file.open("wb", buffering=0) as stream:
        for size in (1 << 16, 4096, 512):
            try:
                while True:
                    written += stream.write(b"\0" * size)
            except OSError:
                continue
    return written


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
    except FileNotFoundError as error:
        raise Unmountable(f"there is no {command[0]}") from error
    except subprocess.CalledProcessError as error:
        raise Unmountable(f"{command[0]}: {error.stderr.strip()}") from error
