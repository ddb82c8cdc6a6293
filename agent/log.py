"""Logs: one event a line on standard error, named `noun.verb_past`, without secrets.

Events are for operators. What was observed stays out of them: a payload never goes into a log.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog

from agent.redaction import REDACTED, names_secret, redact

Format = Literal["console", "json"]
Level = Literal["debug", "info", "warning", "error"]


def configure(level: Level = "info", format: Format | None = None, *, stream: TextIO | None = None) -> None:  # noqa: A002
    """Sends all events, and the warnings of libraries, to `stream` (standard error). Called once a process."""
    stream = stream or sys.stderr
    as_json = format == "json" or (format is None and not stream.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        scrub,
    ]
    render: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, scrub, render],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("agent").setLevel(level.upper())
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=lambda *_name: logging.getLogger("agent"),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def scrub(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor that takes secrets out: by the name of a field, and by the shape of any text within it."""
    for name, value in event.items():
        event[name] = REDACTED if value and names_secret(name) else _scrubbed(value)
    return event


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str | dict | list):
        return redact(value)[0]
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, tuple | set | frozenset):
        return redact([_scrubbed(inner) for inner in value])[0]
    return value if isinstance(value, type(logging.LogRecord)) else redact(str(value))[0]
