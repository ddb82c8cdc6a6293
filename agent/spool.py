"""What one evidence type observed at one target, line by line, until all of it is known.

Memory does not grow with the population: beyond a first megabyte the lines are in a file without a name, which is
gone with its process. Secrets are taken out before a line is written.
"""

import hashlib
import tempfile
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agent.canonical import canonical, carriable, plain, widest
from agent.pseudonym import Pseudonym
from agent.redaction import is_clean, redact
from collectors.contract import Gap, Record

_IN_MEMORY = 1_000_000  # bytes before the lines move to disk


class SpoolFull(Exception):
    """There is no room for what is being observed."""


@dataclass(frozen=True)
class Line:
    """One record or gap in canonical bytes, and the most bytes that any encoder would need for it."""

    is_gap: bool
    content: bytes
    width: int


class Spool:
    """The observations of one snapshot in their order, scrubbed of secrets, appended once and read many times."""

    def __init__(self, directory: Path | None = None, pseudonym: Pseudonym | None = None) -> None:
        """With `pseudonym`, people are written down as what it makes of their names."""
        self.pseudonym = pseudonym
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, dir=str(directory) if directory else None)  # noqa: SIM115 closed by close()
        self._lengths = array("Q")
        self._widths = array("Q")
        self._are_gaps = array("b")
        self._digest = hashlib.sha256()
        self.records = 0
        self.gaps = 0
        self.redactions = 0

    def append(self, observation: Record | Gap) -> None:
        """Raises SpoolFull, after which this spool is of no more use."""
        value = observation.model_dump(mode="json", context=self.pseudonym)
        text = plain(value)
        if text is not None and is_clean(text):
            content = text.encode()
        else:
            value, redactions = redact(carriable(value))
            content = canonical(value)
            self.redactions += redactions
        self._are_gaps.append(isinstance(observation, Gap))
        self._lengths.append(len(content))
        self._widths.append(widest(value, content))
        with _fitting():
            self._file.write(content)
        if isinstance(observation, Gap):
            self.gaps += 1
        else:
            self.records += 1
            self._digest.update(content + b"\n")

    def flush(self) -> None:
        """Has all that was appended where it can be read. Raises SpoolFull as `append` does."""
        with _fitting():
            self._file.flush()

    @property
    def records_digest(self) -> str:
        """SHA-256 over all records in canonical JSON, each followed by a line feed."""
        return f"sha256:{self._digest.hexdigest()}"

    def __iter__(self) -> Iterator[Line]:
        offset = 0
        for is_gap, length, width in zip(self._are_gaps, self._lengths, self._widths, strict=True):
            self._file.seek(offset)
            yield Line(bool(is_gap), self._file.read(length), width)
            offset += length

    def close(self) -> None:
        with suppress(OSError):  # what did not fit is tried once more, for a file that goes; it is closed all the same
            self._file.close()


@contextmanager
def _fitting() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SpoolFull(f"what was observed does not fit on the disk: {error.strerror}") from error
