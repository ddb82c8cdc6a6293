"""The command `chequr-agent`. Modules that a command needs are imported when it runs, so that help is quick."""

import io
import os
import sys

from agent.exit import Exit


def main() -> None:
    """Runs the command, and turns what is foreseen into one message and its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show a character gets a stand-in
            stream.reconfigure(errors="backslashreplace")
    code: str | int | None
    try:
        from agent.cli.app import app

        app()
    except SystemExit as ended:  # as each command ends; with 2 where it was not understood
        code = ended.code
    except KeyboardInterrupt:  # before a command is there to say what is left of its work
        code = Exit.STOPPED
    except Exception as error:  # around the command: whatever it is, it ends in a message
        code = _report(error)
    sys.exit(_flush() or code)


def _flush() -> int:
    """Writes out what is still held back, which may be refused as late as now: a full disk, or nobody who reads on."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter would try once more
        return Exit.FAILURE if isinstance(error, BrokenPipeError) else _report(error)
    return Exit.WELL


def _report(error: Exception) -> int:
    """One message on standard error, and the exit code."""
    import sqlite3

    from agent.config import ConfigurationInvalid
    from agent.errors import (
        BadRequest,
        ChequrError,
        Forbidden,
        NotFound,
        TokenUnusable,
        Unauthorized,
        UnprocessableEntity,
    )
    from agent.lock import Locked
    from agent.outbox import UnknownItem
    from agent.store import StateUnusable

    match error:
        case ConfigurationInvalid():
            where = f"{error.path}: " if error.path else ""
            message, code = "\n".join(where + problem for problem in error.problems), Exit.CONFIGURATION
        case TokenUnusable() | Unauthorized() | Forbidden():
            message, code = f"the API does not take the token: {error}", Exit.REFUSED
        case BadRequest() | NotFound() | UnprocessableEntity():
            message, code = f"the API refuses the question: {error}", Exit.USAGE
        case ChequrError():
            message, code = f"the API could not be asked: {error}", Exit.UNDELIVERED
        case UnknownItem():
            message, code = str(error), Exit.USAGE
        case Locked():
            message, code = f"{error}; wait until it is done or stop it, or set another state_dir", Exit.UNDELIVERED
        case StateUnusable():
            message, code = f"{error}; {error.remedy}", Exit.FAILURE
        case OSError() | sqlite3.OperationalError():
            message, code = f"this machine refuses: {error}", Exit.FAILURE
        case _:
            return _unforeseen(error)
    return _say(message, code)


def _unforeseen(error: Exception) -> int:
    import traceback

    text = "".join(traceback.format_exception(error))
    return _say(f"{text}\nThis is a fault of the agent. Please report the lines above.", Exit.FAILURE)


def _say(message: str, code: Exit) -> Exit:
    from agent.redaction import redact

    for line in redact(message)[0].splitlines():
        print(f"chequr-agent: {line}" if line and not line.startswith(" ") else line, file=sys.stderr)  # noqa: T201
    return code
