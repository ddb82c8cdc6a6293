"""How an agent stands: what is owed, what holds it, and when each collector ran and will run."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from agent import schedule
from agent.config import Collector, Loaded
from agent.errors import TokenUnusable
from agent.events import Events, Received
from agent.ledger import Ledger
from agent.outbox import Outbox
from agent.runs import Runs
from agent.store import Store
from agent.token import Token
from agent.verified import Verified


def standing(loaded: Loaded, store: Store) -> dict[str, Any]:
    """What `status` shows, for programs. This looks at every verdict, which takes a second for some 100,000."""
    events, last = Events(store), Verified.load(store.directory).last
    return {
        **essentials(loaded, store),
        "verified": last.model_dump(mode="json") if last else None,
        "signals": events.signals(),
        "events_waiting": events.waiting(),
        "facts": [_fact(event) for event in events.facts()],
    }


def essentials(loaded: Loaded, store: Store) -> dict[str, Any]:
    """What the status page shows of it: the service makes it, and sends nothing meanwhile."""
    outbox = Outbox(store)
    hold = outbox.hold()
    return {
        "state_dir": str(loaded.config.state_dir),
        "outbox": {state: asdict(count) for state, count in outbox.counts().items()},
        "accepted": Ledger(store).count(),
        "lost": sum(loss.items for loss in outbox.losses()),
        "hold": asdict(hold) if hold else None,
        "token": _token(loaded, outbox),
        "collectors": [_collector(collector, store) for collector in loaded.collectors.values()],
    }


def _fact(event: Received) -> dict[str, Any]:
    """What Chequr told last about a score, a risk or a vendor."""
    return {"type": event.type, "subject": event.subject, "at": event.created_at, "facts": event.data}


def _token(loaded: Loaded, outbox: Outbox) -> dict[str, Any]:
    """Which token is in its place, and when it was first used here; the secret itself is never shown."""
    try:
        fingerprint = Token(loaded.config.chequr.token_file).fingerprint
    except TokenUnusable as error:
        return {"fingerprint": None, "first_seen": None, "problem": str(error)}
    return {"fingerprint": fingerprint, "first_seen": outbox.token_seen(fingerprint), "problem": None}


def _collector(collector: Collector, store: Store) -> dict[str, Any]:
    last = Runs(store).latest(collector.name)
    common = collector.common
    following = schedule.next_start(collector.due, datetime.now(UTC)) if common.enabled else None
    return {
        "collector": collector.name,
        "source": collector.source_name,
        "enabled": common.enabled,
        "schedule": common.schedule,
        "last_run": asdict(last) if last else None,
        "next_run": following.astimezone(UTC).isoformat() if following else None,
    }
