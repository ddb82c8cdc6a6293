"""`docs/metrics.md`: every figure for Prometheus."""

from agent.figures import FIGURES, PREFIX
from agent.reference.text import table

_INTRODUCTION = """\
# Metrics

What `/metrics` answers, where `[http] listen` is set, and what `collect` and `deliver` tell by `--metrics-file` and
`--pushgateway`. A service also tells the `process_` figures of its own process. Instants are seconds since 1970.
[deployment.md](deployment.md#seeing-how-it-stands) says which alarms are worth having; the kinds of gaps are in
[evidence.md](evidence.md#gaps).

"""


def metrics_markdown() -> str:
    """A table with a row for each."""
    rows = (
        (f"`{PREFIX}{figure.name}`", figure.kind, ", ".join(f"`{label}`" for label in figure.labels), figure.says)
        for figure in FIGURES.values()
    )
    return _INTRODUCTION + table(("metric", "kind", "by", "what it says"), rows)
