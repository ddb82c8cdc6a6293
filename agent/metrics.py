"""What the agent counts and how it stands, for Prometheus.

Counters begin with the process, as Prometheus expects. What the state directory has is looked at for each scrape.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, InvalidURL
from pathlib import Path
from typing import get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
    push_to_gateway,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector as Source

from agent import __version__
from agent.config import Loaded
from agent.figures import FIGURES, PREFIX
from agent.items import Accept, Defer, Item, Lose, Reject, Settlement
from agent.outbox import Outbox
from agent.private import whole
from agent.report import Outcome, Report
from agent.runs import Runs
from agent.states import STATES
from agent.store import Store
from agent.verified import Verified
from collectors.errors import GapKind

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_OUTCOMES: dict[type[Settlement], str] = {Accept: "accepted", Defer: "deferred", Reject: "rejected", Lose: "lost"}
_PATIENCE = 10.0  # seconds for a Pushgateway to answer
_BUCKETS = (1, 5, 15, 60, 300, 900, 3600, 14_400)


class Metrics:
    """The figures of one process. Safe over threads. `rate` is how fast delivery goes at most, in requests a second."""

    def __init__(
        self, loaded: Callable[[], Loaded], store: Store, rate: Callable[[], float | None] = lambda: None
    ) -> None:
        # A second series for each would say nothing that anybody asks. The function has no types.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._registry.register(_Standing(loaded, store, rate))
        self._process = CollectorRegistry()  # apart: whoever reads a file of figures has such figures of its own
        ProcessCollector(registry=self._process)
        self._collections = self._counter("collections_total")
        took = FIGURES["collection_duration_seconds"]
        self._duration = Histogram(
            PREFIX + took.name, took.says, took.labels, registry=self._registry, buckets=_BUCKETS
        )
        self._records = self._counter("records_total")
        self._gaps = self._counter("gaps_total")
        self._calls = self._counter("source_calls_total")
        self._waits = self._counter("source_waits_total")
        self._deliveries = self._counter("deliveries_total")
        self._loaded = loaded
        self._begin()

    def _counter(self, name: str) -> Counter:
        figure = FIGURES[name]
        return Counter(PREFIX + figure.name, figure.says, figure.labels, registry=self._registry)

    def _begin(self) -> None:
        """What never happened is told as 0: a series that begins with 1 did not increase, says Prometheus."""
        for outcome in _OUTCOMES.values():
            self._deliveries.labels(outcome)
        for collector in self._loaded().enabled:
            for outcome in get_args(Outcome):
                self._collections.labels(collector.name, outcome)
            for kind in get_args(GapKind):
                self._gaps.labels(collector.name, kind)

    def collected(self, report: Report, seconds: float) -> None:
        """A run came to its end."""
        collector = report.collector
        self._collections.labels(collector, report.outcome).inc()
        self._duration.labels(collector).observe(seconds)
        self._waits.labels(collector).inc(report.waits.total())
        for observed in report.observed:
            self._records.labels(collector, observed.evidence_type).inc(observed.records)
            self._calls.labels(collector).inc(observed.calls)
            for kind, number in observed.kinds.items():
                self._gaps.labels(collector, kind).inc(number)

    def settled(self, _item: Item, settlement: Settlement) -> None:
        """The API answered, or did not."""
        if outcome := _OUTCOMES.get(type(settlement)):
            self._deliveries.labels(outcome).inc()

    def text(self) -> bytes:
        """All of it, and the process's own, in Prometheus' text format."""
        self._begin()  # with collectors that a reload brought
        return generate_latest(self._registry) + generate_latest(self._process)

    def write(self, file: Path) -> None:
        """All of it into a file, whole or not at all, as the node exporter's textfile collector wants it.

        Raises OSError.
        """
        with whole(file) as fresh:
            fresh.write(generate_latest(self._registry))
            os.fchmod(fresh.fileno(), 0o644)  # others are to read it, whatever the umask says

    def push(self, url: str, instance: str | None = None) -> None:
        """The same to a Pushgateway, in the place of what this `instance`, else this host, pushed before.

        Raises OSError.
        """
        group = {"instance": instance or socket.gethostname()}
        with _pushing():
            push_to_gateway(url, "chequr-agent", self._registry, group, timeout=_PATIENCE)


@contextmanager
def _pushing() -> Iterator[None]:
    """Says without the address, which may hold a password, what is wrong with it or with who answers there."""
    try:
        yield
    except (InvalidURL, ValueError) as error:
        raise OSError("this is not the address of one; it is http://host:port, without a user") from error
    except HTTPException as error:
        raise OSError("what answers there does not speak HTTP") from error


class _Standing(Source):
    """What the state directory has now."""

    def __init__(self, loaded: Callable[[], Loaded], store: Store, rate: Callable[[], float | None]) -> None:
        self._loaded = loaded
        self._store = store
        self._rate = rate

    def describe(self) -> list[Metric]:
        """Nothing is looked at when this is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        outbox = Outbox(self._store)
        yield _gauge("build_info", {__version__: 1.0})
        counts = outbox.counts()
        items, size = dict.fromkeys(STATES, 0.0), dict.fromkeys(STATES, 0.0)
        items |= {state: float(count.items) for state, count in counts.items()}
        size |= {state: float(count.bytes) for state, count in counts.items()}
        oldest: dict[str, float] = {state: count.oldest for state, count in counts.items() if count.oldest}
        yield _gauge("outbox_items", items)
        yield _gauge("outbox_bytes", size)
        yield _gauge("outbox_oldest_age_seconds", _ages(oldest))
        yield _gauge("held", float(outbox.hold() is not None))
        yield _gauge("lost_items", float(sum(loss.items for loss in outbox.losses())))
        if (rate := self._rate()) is not None:
            yield _gauge("delivery_rate", rate)
        last = Verified.load(self._store.directory).last
        yield _gauge("verified_timestamp_seconds", {"": last.verified_at} if last else {})
        yield _gauge("verify_differences", {"": float(last.differences)} if last else {})
        yield from self._runs()

    def _runs(self) -> Iterator[Metric]:
        runs = Runs(self._store)
        names = [collector.name for collector in self._loaded().enabled]
        finished = {name: run for name in names if (run := runs.latest(name, finished=True))}
        success = {name: at for name in names if (at := runs.last_success(name))}
        ended = {name: run.finished_at for name, run in finished.items() if run.finished_at}
        yield _gauge("collector_last_end_timestamp_seconds", ended)
        yield _gauge("collector_last_success_timestamp_seconds", success)


def _gauge(name: str, value: float | dict[str, float]) -> Metric:
    """A family with one value, or with one for each value of its label."""
    figure = FIGURES[name]
    family = GaugeMetricFamily(PREFIX + figure.name, figure.says, labels=figure.labels or None)
    for labelled, number in value.items() if isinstance(value, dict) else [("", value)]:
        family.add_metric([labelled] if figure.labels else [], number)
    return family


def _ages(oldest: dict[str, float]) -> dict[str, float]:
    now = time.time()
    return {state: max(0.0, now - since) for state, since in oldest.items()}
