"""Logs: one event a line on standard error, named `noun.verb_past`, without secrets.

Events are for operators. What was observed stays out of them: a payload never goes into a log.
"""

import logging
import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal, TextIO

import structlog

from agent.redaction import REDACTED, names_secret, redact

Format = Literal["console", "json"]
Level = Literal["debug", "info", "warning", "error"]


def configure(level: Level = "info", format: Format | None = None, *, stream: TextIO | None = None) -> None:  # noqa: A002
    """Sends all events, and the warnings of libraries, to `stream` (standard error). Called once a process."""
    stream = stream or sys.stderr
    coloured = stream.isatty() and not os.environ.get("NO_COLOR")
    as_json = format == "json" or (format is None and not stream.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    render: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=coloured)
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, scrub, _lead, render],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.raiseExceptions = False  # a malformed call to a logger would print its arguments, past the scrubbing
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
        event[name] = REDACTED if value and names_secret(name) else redact(_plain(value))[0]
    return event


def _lead(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """When, how grave and what: where people look first."""
    first = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
    return {**first, **event}


def _plain(value: Any) -> Any:
    """`value` in texts, lists and dicts, so that nothing is hidden from redaction in an object."""
    match value:
        case str() | bool() | int() | float() | None:
            return value
        case Mapping():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(inner) for inner in value]
        case bytes() | bytearray():
            return value.decode("utf-8", "replace")
    return str(value)
