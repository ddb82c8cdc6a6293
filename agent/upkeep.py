"""What is done now and then, by the service each day and by each command that delivered: sealing, and forgetting."""

from agent.config import Loaded
from agent.events import Events
from agent.outbox import Outbox
from agent.runs import Runs
from agent.sealing import Sealing
from agent.store import Store

_DAY = 86_400.0  # seconds
_RUNS_KEPT = 400 * _DAY
_EVENTS_KEPT = 3 * _DAY  # the API sends one again for a day at most


def upkeep(loaded: Loaded, store: Store, *, now: float) -> None:
    """Seals the ledger, and lets go of what was kept for long enough. Raises OSError."""
    sealing = Sealing(store, loaded.config.ledger.signing_key_file)
    sealing.forget(before=now - loaded.config.delivery.receipts_keep_days * _DAY, now=now)
    sealing.seal(now=now)
    Outbox(store).forget_bodies(before=now - loaded.config.delivery.keep_bodies.total_seconds())
    Events(store).prune(before=now - _EVENTS_KEPT)
    Runs(store).prune(before=now - _RUNS_KEPT)
