"""The figures of an agent for Prometheus: what each is called, what it is by, and what it says."""

from dataclasses import dataclass
from typing import Literal

PREFIX = "chequr_agent_"


@dataclass(frozen=True)
class Figure:
    """One metric. `labels` are what it is told by."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    says: str
    labels: tuple[str, ...] = ()


_ALL = (
    Figure("gauge", "build_info", "The agent's version; the value is 1.", ("version",)),
    Figure(
        "counter",
        "collections_total",
        "Runs of a collector that ended complete, incomplete (with gaps) or failed.",
        ("collector", "outcome"),
    ),
    Figure("histogram", "collection_duration_seconds", "How long a run of a collector took.", ("collector",)),
    Figure("counter", "records_total", "Records that were read.", ("collector", "evidence_type")),
    Figure("counter", "gaps_total", "What could not be read, by the kinds of gaps.", ("collector", "kind")),
    Figure("counter", "source_calls_total", "Calls of the source's API.", ("collector",)),
    Figure("counter", "source_waits_total", "Waits that a source imposed.", ("collector",)),
    Figure("gauge", "collector_last_end_timestamp_seconds", "When its last run ended.", ("collector",)),
    Figure(
        "gauge",
        "collector_last_success_timestamp_seconds",
        "When its last run that left no gap ended.",
        ("collector",),
    ),
    Figure(
        "counter", "deliveries_total", "Items that were accepted, deferred, rejected or lost on delivery.", ("outcome",)
    ),
    Figure("gauge", "delivery_rate", "Requests a second that delivery goes at most; of a service only."),
    Figure("gauge", "held", "1 while nothing is delivered until somebody acts, else 0."),
    Figure("gauge", "outbox_items", "Items that are owed or were refused, by state.", ("state",)),
    Figure("gauge", "outbox_bytes", "Their request bodies, by state.", ("state",)),
    Figure("gauge", "outbox_oldest_age_seconds", "How long the oldest waits, by state.", ("state",)),
    Figure("gauge", "lost_items", "Items in loss reports."),
    Figure("gauge", "verified_timestamp_seconds", "When the ledger was last compared with the API."),
    Figure("gauge", "verify_differences", "Differences that were found then."),
)

FIGURES = {figure.name: figure for figure in _ALL}
