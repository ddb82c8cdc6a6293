"""`doctor`: what is wrong, and what to do about it."""

from dataclasses import asdict

import typer

from agent.cli.options import ConfigPath, Json, start
from agent.exit import Exit

_MARKS = {"good": "ok  ", "note": "note", "bad": "BAD "}


def doctor(config: ConfigPath = None, *, json: Json = False) -> None:
    """Checks configuration, state directory, API and token, mapping, and each collector's credentials and grants.

    One line a finding, each with its remedy. Exit code 4 where something keeps evidence from being collected or
    delivered.
    """
    from agent.cli.output import print_line, say
    from agent.doctor import examine
    from agent.log import configure

    loaded = start(config, quiet=True)
    configure("error", loaded.config.log.format)  # the findings say what the log would
    bad = 0
    for finding in examine(loaded):
        bad += finding.level == "bad"
        if json:
            print_line(asdict(finding))
        else:
            remedy = f" -> {finding.remedy}" if finding.remedy else ""
            say(f"{_MARKS[finding.level]}  {finding.subject}: {finding.message}{remedy}")
    raise typer.Exit(Exit.DIFFERENCE if bad else Exit.WELL)
