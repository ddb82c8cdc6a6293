"""`controls` and `audit-log`: what the API says."""

from datetime import datetime
from typing import Annotated

import typer

from agent.cli.options import TIMES, ConfigPath, Json, start

controls = typer.Typer(help="The workspace's controls, from the API.", no_args_is_help=True)


@controls.command("list")
def list_controls(
    config: ConfigPath = None,
    *,
    framework: Annotated[str | None, typer.Option(help="soc2, iso_27001, hipaa, pci_dss, gdpr or nist_csf.")] = None,
    status: Annotated[str | None, typer.Option(help="passing, failing, drifted or not_tested.")] = None,
    json: Json = False,
) -> None:
    """Lists all controls."""
    from agent import connect
    from agent.cli.output import print_line, table, when

    loaded = start(config, quiet=True)
    with connect.client(loaded, connect.token(loaded)) as client:
        found = client.controls(framework, status, limit=100)
        if json:
            for control in found:
                print_line(control.model_dump(mode="json"))
            return
        rows = [
            (each.id, each.framework, each.code, each.name, each.status, when(each.last_tested_at)) for each in found
        ]
    table(("control", "framework", "code", "name", "status", "last tested"), rows)


@controls.command()
def show(
    control_id: Annotated[str, typer.Argument(metavar="ID", help="The control's id, as in ctrl_ac_02.")],
    config: ConfigPath = None,
    *,
    json: Json = False,
) -> None:
    """Shows one control: its policy, its owner, and its last 50 pieces of evidence."""
    from agent import connect
    from agent.cli.output import print_json, say, table, when

    loaded = start(config, quiet=True)
    with connect.client(loaded, connect.token(loaded)) as client:
        control = client.control(control_id)
    if json:
        print_json(control.model_dump(mode="json"))
        return
    policy = control.test_policy
    say(f"{control.id}  {control.framework} {control.code}  {control.name}")
    tested = f", last tested {when(control.last_tested_at)}" if control.last_tested_at else ""  # the API may not say
    say(f"status   {control.status}{tested}")
    say(
        f"policy   {policy.evaluator or 'no evaluator'}, {policy.cadence or 'no cadence'}"
        if policy
        else "policy   none"
    )
    say(f"owner    {control.owner.name or control.owner.id}" if control.owner else "owner    nobody")
    if control.evidence:
        rows = ((each.id, each.source, each.status, when(each.collected_at)) for each in control.evidence)
        table(("evidence", "source", "signal", "collected"), rows)


From = Annotated[
    datetime | None,
    typer.Option("--from", metavar="TIME", formats=TIMES, help="UTC, as in 2026-04-01. [default: 7 days ago]"),
]
To = Annotated[datetime | None, typer.Option("--to", metavar="TIME", formats=TIMES, help="UTC. [default: now]")]
Actor = Annotated[str | None, typer.Option(metavar="ID", help="Only of this user or API key.")]


def audit_log(config: ConfigPath = None, *, from_: From = None, to: To = None, actor: Actor = None) -> None:
    """Prints the workspace's audit log as JSON Lines."""
    from datetime import UTC

    from agent import connect
    from agent.cli.output import print_line

    loaded = start(config, quiet=True)
    first, last = (moment.replace(tzinfo=UTC) if moment else None for moment in (from_, to))
    with connect.client(loaded, connect.token(loaded)) as client:
        for entry in client.audit_log(first, last, actor):
            print_line(entry.model_dump(mode="json"))
