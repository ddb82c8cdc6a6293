"""One run of one collector, alone at it on this state directory, and written down."""

import threading
import time
from collections.abc import Sequence
from contextlib import closing, nullcontext
from typing import Any

import structlog

from agent.collect import Collection
from agent.config import Collector, Loaded
from agent.controls import ControlMap
from agent.keep import Queue
from agent.lock import lock
from agent.outbox import Outbox
from agent.report import Progress, Report
from agent.runs import Runs
from agent.shard import WHOLE, Shard
from agent.store import Store
from agent.unfinished import Unfinished
from collectors.contract import EvidenceType

log = structlog.get_logger()

WAITS_TOLD = 5  # reasons


def run_collector(
    loaded: Loaded,
    store: Store,
    collector: Collector,
    controls: ControlMap,
    *,
    cancelled: threading.Event,
    types: Sequence[EvidenceType[Any]] | None = None,
    progress: Progress | None = None,
    shard: Shard = WHOLE,
) -> Report:
    """Collects into the outbox. Raises Locked where another process is at it, and Cancelled.

    A run that is cancelled or dies is left without an end, so that it is made up for. One of some `types` only is not
    written down: it is no run of the collector, and makes up for none. It reads all anew, and leaves alone what a run
    that was cut short had read: who asks for some types wants to know how they are now.
    """
    delivery = loaded.config.delivery
    shape = collector.common.payload_shape or delivery.payload_shape
    queue = Queue(Outbox(store), collector.name, shape=shape, limit=delivery.max_payload_bytes)
    runs = Runs(store)
    is_whole = types is None or len(types) == len(collector.types)
    with lock(store.directory, f"collector-{collector.name}"):
        run_id = runs.start(collector.name, now=time.time()) if is_whole else None
        with closing(Unfinished(store.directory, collector.name)) if is_whole else nullcontext() as unfinished:
            collection = Collection(
                collector,
                collector.types if types is None else types,
                controls,
                queue,
                cancelled=cancelled,
                spool_dir=store.directory,
                unfinished=unfinished,
                progress=progress,
                shard=shard,
            )
            report = collection.run()
            if run_id is not None:
                _finish(runs, run_id, report)
            if unfinished is not None:
                unfinished.finish()
            _tell(report)
    return report


def _finish(runs: Runs, run_id: int, report: Report) -> None:
    gaps = (gap for observed in report.observed for gap in observed.told)
    runs.finish(
        run_id,
        report.outcome,
        now=time.time(),
        snapshots=report.snapshots,
        records=report.records,
        gaps=report.gaps,
        items=len(report.items),
        message=next((f"{gap.resource}: {gap.message}" if gap.resource else gap.message for gap in gaps), None),
    )


def _tell(report: Report) -> None:
    """The canonical line of one run."""
    log.info(
        "collector.finished",
        collector=report.collector,
        outcome=report.outcome,
        snapshots=report.snapshots,
        records=report.records,
        gaps=report.gaps,
        items=len(report.items),
        **({"waits": dict(report.waits.most_common(WAITS_TOLD))} if report.waits else {}),
        unmapped=len(report.unmapped),
        **({"elsewhere": report.elsewhere} if report.elsewhere else {}),
    )
