"""`sandbox`: a local Chequr API."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from agent.sandbox.server import Sandbox

Host = Annotated[str, typer.Option(help="Where to listen: an address of this machine's loopback.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")]
Tokens = Annotated[
    list[str] | None,
    typer.Option("--token", metavar="SCOPE=VALUE", help="A token: read=…, write=… or admin=…. May be repeated."),
]
Rate = Annotated[float, typer.Option(metavar="N", help="Requests a second and a token; bursts take twice as many.")]
Faults = Annotated[
    list[str] | None,
    typer.Option(
        "--fault",
        metavar="FAULT",
        help="Misbehave, as in 500:0.1 or drop-after:x3@ctrl_ac_02. Kinds: drop-before, drop-after, cut-off, 500, "
        "500-after, stored-500, 503, 429, 409-in-progress, slow, html-200. May be repeated.",
    ),
]
State = Annotated[Path | None, typer.Option(metavar="FILE", help="Remember everything in this file.")]
Controls = Annotated[Path | None, typer.Option(metavar="FILE", help="Controls (JSON) instead of the built-in ones.")]


def sandbox(
    *,
    host: Host = "127.0.0.1",
    port: Port = 8400,
    token: Tokens = None,
    rate: Rate = 100.0,
    fault: Faults = None,
    state: State = None,
    controls: Controls = None,
) -> None:
    """Runs a local Chequr API: every endpoint, limit and error of the real one, until Ctrl-C."""
    from agent.sandbox import options
    from agent.sandbox.server import serve

    try:
        tokens = [options.token(text) for text in token or []]
        told = options.Options(
            host=host, port=port, tokens=tokens, rate=rate, faults=fault or [], state=state, controls=controls
        )
        serve(told, _greet)
    except options.InvalidOption as error:
        raise typer.BadParameter(str(error)) from error
    except KeyboardInterrupt:
        return


def _greet(running: "Sandbox") -> None:
    from agent.cli.output import say

    say(f"Chequr sandbox at {running.url}")
    for scope, value in running.tokens.items():
        say(f"  {scope:<6} token  {value}")
    say(f"In another terminal: export CHEQUR_TOKEN={running.write} CHEQUR_AGENT__CHEQUR__BASE_URL={running.url}")
    say("Ctrl-C ends it.")
    import sys

    sys.stdout.flush()
