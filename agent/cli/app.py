"""The tree of commands. Each command's work is in the module of its noun."""

from typing import Annotated

import typer

from agent.cli import (
    api,
    catalogue,
    collect,
    config,
    coverage,
    demo,
    doctor,
    ledger,
    outbox,
    sandbox,
    status,
    support,
    verify,
    webhooks,
)

HELP = """Collects compliance evidence and delivers it to Chequr, once, whatever breaks on the way.

New here? [bold]chequr-agent demo[/bold] shows the whole of it without any account.
Then: [bold]config example[/bold], [bold]doctor[/bold], [bold]collect[/bold], and [bold]run[/bold] as a service.
"""

app = typer.Typer(
    name="chequr-agent", help=HELP, no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False
)

WORK, LOOK, API, TRY = "Work", "Look", "The API", "Try"

app.command(rich_help_panel=WORK)(collect.run)
app.command(rich_help_panel=WORK)(collect.collect)
app.command(rich_help_panel=WORK)(collect.deliver)
app.command(rich_help_panel=LOOK)(status.status)
app.add_typer(outbox.app, name="outbox", rich_help_panel=LOOK)
app.add_typer(ledger.app, name="ledger", rich_help_panel=LOOK)
app.command(rich_help_panel=LOOK)(doctor.doctor)
app.command("support-bundle", rich_help_panel=LOOK)(support.support_bundle)
app.add_typer(config.app, name="config", rich_help_panel=LOOK)
app.add_typer(catalogue.types, name="types", rich_help_panel=LOOK)
app.command(rich_help_panel=LOOK)(catalogue.permissions)
api.controls.command()(coverage.coverage)
app.add_typer(api.controls, name="controls", rich_help_panel=API)
app.add_typer(webhooks.app, name="webhooks", rich_help_panel=API)
app.command("audit-log", rich_help_panel=API)(api.audit_log)
app.command(rich_help_panel=API)(verify.verify)
app.command(rich_help_panel=TRY)(sandbox.sandbox)
app.command(rich_help_panel=TRY)(demo.demo)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the flag
    if wanted:
        from agent import __version__
        from agent.cli.output import say

        say(f"chequr-agent {__version__}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)]


@app.callback()
def root(*, version: Version = False) -> None:
    del version  # its callback has printed it and left
