"""Options that several commands share, and what they all do first."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from agent.config import Loaded

TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"]

ConfigPath = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        readable=False,  # one that cannot be read is a fault of the configuration: load says so
        help="Configuration file. [default: $CHEQUR_AGENT_CONFIG, ./config.toml, /etc/chequr-agent/config.toml]",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log every step to standard error.")]


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Around what is written where the command says: what the system refuses there is told of that place."""
    try:
        yield
    except OSError as error:
        raise typer.BadParameter(f"{place} cannot be written to: {error.strerror}; name another place") from error


def start(config: Path | None, *, verbose: bool = False, quiet: bool = False) -> "Loaded":
    """The configuration, with logging set up as it says. Raises ConfigurationInvalid.

    `quiet` commands tell people what happened themselves: on a terminal only errors are logged beside that.
    """
    from agent.load import load, locate
    from agent.log import configure

    loaded = load(locate(config))
    level = loaded.config.log.level
    if verbose:
        level = "debug"
    elif quiet and sys.stderr.isatty():
        level = "error"
    configure(level, loaded.config.log.format)
    return loaded
