"""Whether the entries of a ledger are what was written: read one by one, in the order of the chain."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agent.chain import ORIGIN, link
from agent.seal import Seal, fingerprint

Kind = Literal["altered", "moved", "missing", "broken", "sealed otherwise", "signature"]

_MOVED = 100  # altered entries that are looked at for having been moved


@dataclass(frozen=True)
class Finding:
    """What is wrong with the entries from `seq` to `last`."""

    kind: Kind
    seq: int
    last: int
    message: str


@dataclass(frozen=True)
class Entry:
    """An entry as it stands: its facts, and the link that it claims."""

    facts: Mapping[str, Any]
    link: str

    @property
    def seq(self) -> int:
        number: int = self.facts["seq"]
        return number

    def is_what_was_written(self, **changes: Any) -> bool:
        """Whether its link follows from its facts, or would if they were changed so."""
        try:
            return link({**self.facts, **changes}) == self.link
        except ValueError:  # facts that no entry can have
            return False


class Proof:
    """Goes through entries once, in bounded memory. `findings` are all there once `check` has come to its end."""

    def __init__(self, seals: Sequence[Seal], *, key: str | None = None, whole: bool = True) -> None:
        """`key` is the public key, in base64, that all seals have to be signed with; None takes any, and none.

        `whole` entries begin with the first one, or where a seal says that those before were forgotten; others may
        begin and end anywhere.
        """
        self._seals = seals
        self.is_sealed = bool(seals)
        self._key = key
        self._whole = whole
        self._by_seq: dict[int, list[Seal]] = {}
        for seal in seals:
            self._by_seq.setdefault(seal.seq, []).append(seal)
        self._altered: list[Entry] = []
        self.first: Entry | None = None
        self.last: Entry | None = None
        self.entries = 0

    def check(self, entries: Iterable[Entry]) -> Iterator[Finding]:
        yield from self._check_seals()
        for entry in entries:
            yield from self._check_place(entry)
            yield from self._check_content(entry)
            self.first = self.first or entry
            self.last = entry
            self.entries += 1
        yield from self._find_moved()
        if self._whole:
            yield from self._check_end()

    def _check_seals(self) -> Iterator[Finding]:
        for seal in self._seals:
            if seal.signature is not None and not seal.is_genuine():
                yield Finding("signature", seal.seq, seal.seq, f"the seal of {seal.sealed_at} has a false signature")
            elif self._key is not None and seal.public_key != self._key:
                by = f"by {fingerprint(seal.public_key)}" if seal.public_key else "by nobody"
                message = f"the seal of {seal.sealed_at} is signed {by}, not by {fingerprint(self._key)}"
                yield Finding("signature", seal.seq, seal.seq, message)

    def _check_place(self, entry: Entry) -> Iterator[Finding]:
        """Whether it stands behind the entry that it names."""
        if self.last is None:
            yield from self._check_beginning(entry)
        elif entry.seq <= self.last.seq:
            message = f"entry {entry.seq} stands behind entry {self.last.seq}"
            yield Finding("moved", entry.seq, entry.seq, message)
        elif entry.seq > self.last.seq + 1:
            yield _missing(self.last.seq + 1, entry.seq - 1)
        elif entry.facts["previous"] != self.last.link:
            message = f"entry {entry.seq} does not hang on entry {self.last.seq} as it is: one of them was made anew"
            yield Finding("broken", self.last.seq, entry.seq, message)

    def _check_beginning(self, entry: Entry) -> Iterator[Finding]:
        before = entry.seq - 1
        links = [seal.link for seal in self._by_seq.get(before, []) if seal.forgets or not self._whole]
        if before == 0:
            links = [ORIGIN]
        if links and entry.facts["previous"] not in links:
            message = f"entry {entry.seq} does not hang on what was sealed before it"
            yield Finding("broken", entry.seq, entry.seq, message)
        elif not links and self._whole:
            yield _missing(1, before, "no seal says that so much was forgotten")

    def _check_content(self, entry: Entry) -> Iterator[Finding]:
        if not entry.is_what_was_written():
            self._altered.append(entry)
            evidence = entry.facts.get("evidence_id")
            yield Finding("altered", entry.seq, entry.seq, f"entry {entry.seq} ({evidence}) is not what was written")
        for seal in self._by_seq.get(entry.seq, []):
            if seal.link != entry.link:
                message = f"entry {entry.seq} is not the one that was sealed at {seal.sealed_at}"
                yield Finding("sealed otherwise", entry.seq, entry.seq, message)

    def _find_moved(self) -> Iterator[Finding]:
        numbers = [entry.seq for entry in self._altered[:_MOVED]]
        for entry in self._altered[:_MOVED]:
            for number in numbers:
                if number != entry.seq and entry.is_what_was_written(seq=number):
                    message = f"entry {entry.seq} was written as entry {number}"
                    yield Finding("moved", entry.seq, entry.seq, message)

    def _check_end(self) -> Iterator[Finding]:
        last = self.last.seq if self.last else 0
        sealed = max((seal for seal in self._seals), key=lambda seal: seal.seq, default=None)
        if sealed and sealed.seq > last:
            yield _missing(last + 1, sealed.seq, f"sealed at {sealed.sealed_at}")


def _missing(first: int, last: int, why: str = "") -> Finding:
    which = f"entry {first} is" if first == last else f"entries {first} to {last} are"
    return Finding("missing", first, last, f"{which} missing" + (f": {why}" if why else ""))
