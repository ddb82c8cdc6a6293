import io
import json
import logging

import pytest
import structlog
from test_redaction import SHAPES, WORD

from agent.log import configure

formats = pytest.mark.parametrize("format_", ["json", "console"])


@pytest.fixture
def written():
    """Configures logging as `written(format)`, and puts everything back afterwards."""
    root, agent = logging.getLogger(), logging.getLogger("agent")
    before = root.handlers[:], root.level, agent.level, logging.raiseExceptions
    stream = io.StringIO()

    def begin(format_="json", level="debug"):
        configure(level, format_, stream=stream)
        return stream

    yield begin
    root.handlers[:], root.level, level, logging.raiseExceptions = before
    agent.setLevel(level)
    structlog.reset_defaults()


class Opaque:
    def __init__(self, secret):
        self.secret = secret

    def __repr__(self):
        return f"Opaque({self.secret})"


def _raise(text):
    raise ValueError(text)


def _chained(text):
    try:
        _raise(text)
    except ValueError as error:
        raise RuntimeError("could not") from error


LOG = structlog.get_logger()

WAYS = {
    "field": lambda text: LOG.info("a.done", note=text),
    "event": lambda text: LOG.info(text),  # noqa: PLW0108 - bound to its configuration when it is called
    "bound": lambda text: LOG.bind(note=text).info("a.done"),
    "context": lambda text: _in_context(text, "a.done"),
    "dict": lambda text: LOG.info("a.done", note={"a": {"b": [text]}}),
    "name in a dict": lambda text: LOG.info("a.done", note={text: 1}),
    "number as a name": lambda text: LOG.info("a.done", note={1: text, None: text}),
    "tuple": lambda text: LOG.info("a.done", note=(1, ({"a": (text,)},))),
    "set": lambda text: LOG.info("a.done", note={"a": {text}}),
    "bytes": lambda text: LOG.info("a.done", note=text.encode()),
    "bytes inside": lambda text: LOG.info("a.done", note=[{"a": bytearray(text.encode())}]),
    "object": lambda text: LOG.info("a.done", note=Opaque(text)),
    "object inside": lambda text: LOG.info("a.done", note={"a": [Opaque(text)]}),
    "exception as a field": lambda text: LOG.info("a.done", error=ValueError(text)),
    "exception": lambda text: _caught(lambda: _raise(text)),
    "chained exception": lambda text: _caught(lambda: _chained(text)),
    "library": lambda text: logging.getLogger("library").warning(text),
    "library, positional": lambda text: logging.getLogger("library").warning("%s %r", 1, text),
    "library, object": lambda text: logging.getLogger("library").warning("%s", Opaque(text)),
    "library, by name": lambda text: logging.getLogger("library").warning("%(a)s", {"a": text}),
    "library, exception": lambda text: _caught(lambda: _chained(text), logging.getLogger("library")),
    "library, extra": lambda text: logging.getLogger("library").warning("x", extra={"note": text}),
}


def _caught(fail, logger=LOG):
    try:
        fail()
    except (ValueError, RuntimeError):
        logger.exception("a.failed")


def _in_context(text, event):
    with structlog.contextvars.bound_contextvars(note=text):
        LOG.info(event)


@formats
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_no_secret_is_logged(written, format_, way):
    """However a secret gets into a line, and of whatever shape it is, it does not come out."""
    stream = written(format_)
    for text in SHAPES.values():
        way(text)
    assert stream.getvalue().count("\n") >= len(SHAPES)
    assert WORD not in stream.getvalue()


@formats
@pytest.mark.parametrize("name", ["token", "password", "client_secret", "api_key", "apiKey"])
@pytest.mark.parametrize("value", ["x7", b"x7", ["x7"], {"a": "x7"}, Opaque("x7")])
def test_a_field_that_says_that_it_is_secret(written, format_, name, value):
    """A field whose name says so is left out, whatever it holds."""
    stream = written(format_)
    LOG.info("a.done", **{name: value})
    assert "x7" not in stream.getvalue()
    assert "[redacted]" in stream.getvalue()


def test_a_broken_call_of_a_library(written, capsys):
    """A library's malformed call to its logger prints neither a line nor its arguments."""
    stream = written()
    logging.getLogger("library").warning("%d", f"ghp_{WORD}")
    assert WORD not in stream.getvalue() + "".join(capsys.readouterr())


def test_one_line_of_json(written):
    """An event is one line of JSON with its level and its instant, and facts stay facts."""
    stream = written()
    LOG.info("evidence.accepted", item=1, seconds=0.25, complete=True, receipt=None, controls=["a"], note="zwölf\n")
    (line,) = stream.getvalue().splitlines()
    told = json.loads(line)
    assert told.pop("timestamp").endswith("Z")
    assert told == {
        "event": "evidence.accepted", "level": "info", "item": 1, "seconds": 0.25, "complete": True, "receipt": None,
        "controls": ["a"], "note": "zwölf\n",
    }  # fmt: skip


def test_levels(written):
    """Our events are logged from the level configured, those of libraries from warnings on."""
    stream = written(level="info")
    LOG.debug("a.hidden")
    LOG.info("a.shown")
    logging.getLogger("library").info("hidden too")
    logging.getLogger("library").warning("shown too")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["a.shown", "shown too"]


def test_json_where_nobody_looks(written):
    """Without a format it is JSON, unless somebody sits at a terminal."""
    stream = written(None)
    LOG.info("a.done")
    assert json.loads(stream.getvalue())["event"] == "a.done"


def test_a_line_of_json_begins_with_when_how_grave_and_what(written):
    """What people look for stands first, whatever else an event tells."""
    stream = written("json")
    structlog.get_logger().info("outbox.held", status=401, reason="refused")
    assert list(json.loads(stream.getvalue())) == ["timestamp", "level", "event", "status", "reason"]
