"""When the ledger is sealed, and how its oldest entries go: never unsealed, or nobody could tell that from a theft."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from agent.evidence import stamp
from agent.ledger import Ledger
from agent.seal import Seal, Seals, signing_key, told
from agent.store import Store
from collectors.secret import SecretMissing

log = structlog.get_logger()


@dataclass(frozen=True)
class Sealing:
    """Seals the ledger of one state directory, with the key of `key_file` or of the credential where there is one."""

    store: Store
    key_file: Path | None

    def seal(self, *, now: float) -> Seal | None:
        """Seals the last entry; None where it is already, or where there is none. Raises OSError."""
        head, seals = Ledger(self.store).head(), Seals(self.store.directory)
        if head is None or any((seal.seq, seal.link) == head for seal in seals.latest()):
            return None
        return self._append(seals, Seal(*head, _stamp(now)))

    def forget(self, *, before: float, now: float) -> int:
        """Forgets what was accepted before an instant, and seals up to where; how many entries. Raises OSError."""
        ledger = Ledger(self.store)
        last = ledger.forgettable(before=before)
        if last is None:
            return 0
        self._append(Seals(self.store.directory), Seal(last.seq, last.link, _stamp(now), forgets=True))
        return ledger.forget(last.seq)

    def _append(self, seals: Seals, seal: Seal) -> Seal:
        """A key that cannot be used keeps nothing from being sealed."""
        try:
            key = signing_key(self.key_file)
        except SecretMissing as error:
            log.error("ledger.unsigned", reason=str(error))
            key = None
        made = seal.signed(key) if key else seal
        seals.append(made)
        log.info("ledger.sealed", **told(made))
        return made


def _stamp(now: float) -> str:
    return stamp(datetime.fromtimestamp(now, UTC))
