"""The figures of one command, for those who watch jobs: into a file, or to a Pushgateway."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from agent.config import Loaded
    from agent.metrics import Metrics

MetricsFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Write Prometheus metrics there at the end, as for node_exporter's textfile collector."
    ),
]
Pushgateway = Annotated[
    str | None, typer.Option(metavar="URL", help="Push Prometheus metrics to this Pushgateway at the end.")
]

Instance = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="What this agent is called at the Pushgateway. [default: the host's name]"),
]


@contextmanager
def counted(
    loaded: "Loaded", store: Any, file: Path | None, gateway: str | None, instance: str | None
) -> Iterator["Metrics | None"]:
    """Who counts, if anybody wants to know. That it cannot be told changes nothing of the work."""
    if file is None and gateway is None:
        yield None
        return
    from agent.metrics import Metrics

    metrics = Metrics(lambda: loaded, store)
    try:
        yield metrics
    finally:
        if file is not None:
            _told(metrics.write, file)
        if gateway is not None:
            url = gateway if "://" in gateway else f"http://{gateway}"
            _told(lambda place: metrics.push(place, instance), url)


def _told(tell: Callable[[Any], None], place: object) -> None:
    from agent.cli.output import warn

    try:
        tell(place)
    except OSError as error:
        warn(f"the metrics could not be told to {place}: {error.strerror or error}")
