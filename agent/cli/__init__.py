"""The command `chequr-agent`. Modules that a command needs are imported when it runs, so that help is quick."""

import sys

from agent.exit import Exit


def main() -> None:
    """Runs the command, and turns what is foreseen into one message and its exit code."""
    from agent.cli.app import app

    try:
        app()  # ends by SystemExit, with exit code 2 where the command was not understood
    except Exception as error:  # around the command: whatever it is, it ends in a message
        sys.exit(_report(error))


def _report(error: Exception) -> int:
    """One message on standard error, and the exit code."""
    from agent.config import ConfigurationInvalid
    from agent.errors import ChequrError, Forbidden, TokenUnusable, Unauthorized
    from agent.lock import Locked
    from agent.outbox import UnknownItem
    from agent.store import StateUnusable

    match error:
        case ConfigurationInvalid():
            where = f"{error.path}: " if error.path else ""
            return _say("\n".join(where + problem for problem in error.problems), Exit.CONFIGURATION)
        case TokenUnusable() | Unauthorized() | Forbidden():
            return _say(f"the API does not take the token: {error}", Exit.REFUSED)
        case ChequrError():
            return _say(f"the API could not be asked: {error}", Exit.UNDELIVERED)
        case UnknownItem():
            return _say(str(error), Exit.USAGE)
        case Locked() | StateUnusable():
            return _say(str(error), Exit.FAILURE)
    return _unforeseen(error)


def _unforeseen(error: Exception) -> int:
    import traceback

    from agent.redaction import redact

    text, _ = redact("".join(traceback.format_exception(error)))
    return _say(f"{text}\nThis is a fault of the agent. Please report the lines above.", Exit.FAILURE)


def _say(message: str, code: Exit) -> Exit:
    for line in message.splitlines():
        print(f"chequr-agent: {line}" if line and not line.startswith(" ") else line, file=sys.stderr)  # noqa: T201
    return code
