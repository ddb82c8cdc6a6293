"""`ledger`: what the API accepted, as a chain that cannot be rewritten unseen."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.options import TIMES, ConfigPath, Json, start, writing
from agent.exit import Exit

if TYPE_CHECKING:
    from agent.proof import Finding, Proof

_SHOWN = 20  # findings

app = typer.Typer(help="What the API accepted: a chain of entries, each sealed by the next.", no_args_is_help=True)

From = Annotated[datetime | None, typer.Option("--from", metavar="TIME", formats=TIMES, help="UTC. [default: all]")]
To = Annotated[datetime | None, typer.Option("--to", metavar="TIME", formats=TIMES, help="UTC. [default: now]")]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write it.")]
Source = Annotated[
    Path | None,
    typer.Option(
        "--archive", metavar="FILE", exists=True, dir_okay=False, help="An export, instead of the ledger here."
    ),
]
PublicKey = Annotated[
    Path | None, typer.Option("--public-key", metavar="FILE", help="PEM; each seal has to be signed with this key.")
]


@app.command()
def verify(
    config: ConfigPath = None, *, archive: Source = None, public_key: PublicKey = None, json: Json = False
) -> None:
    """Finds entries that were altered, removed or moved, here or in an export.

    Exit codes: 0 all entries are what was written, 4 some are not.
    """
    from agent.archive import NoArchive

    key = _key(public_key)
    try:
        proof, findings = _check_archive(archive, key) if archive else _check_ledger(config, key)
    except NoArchive as error:
        raise typer.BadParameter(str(error), param_hint="--archive") from error
    _tell(proof, findings, as_json=json)
    raise typer.Exit(Exit.DIFFERENCE if findings else Exit.WELL)


@app.command()
def export(config: ConfigPath = None, *, from_: From = None, to: To = None, output: Output = None) -> None:
    """Writes an archive for an auditor: entries, seals, digests, and a page that explains and lists them.

    It names resources and controls, and holds no payload.
    """
    from datetime import UTC

    from agent.cli.output import count, say
    from agent.export import Export
    from agent.ledger import Ledger
    from agent.seal import Seals
    from agent.store import Store

    loaded = start(config, quiet=True)
    now = datetime.now(UTC)
    since, until = (from_ or datetime(1970, 1, 1)).replace(tzinfo=UTC), to.replace(tzinfo=UTC) if to else now  # noqa: DTZ001 it has one
    with Store(loaded.config.state_dir, loaded.config.outbox.room) as store:
        ledger = Ledger(store)
        span = ledger.span(since, until)
        if span is None:
            raise typer.BadParameter(f"nothing was accepted from {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC")
        file = output or Path(f"chequr-ledger-{span.first}-{span.last}.zip")
        made = Export(ledger, span, Seals(store.directory).read(), since, until)
        with writing(file):
            manifest = made.write(file, now=now)
    say(f"{file}: {count(manifest['entries'], 'entry')}, {span.first} to {span.last}.")
    say(f"Whoever gets it can check it: chequr-agent ledger verify --archive {file}")


@app.command()
def seal(config: ConfigPath = None) -> None:
    """Seals the last entry now; the service does so each day, and each command that delivered."""
    import time

    from agent.cli.output import say
    from agent.seal import fingerprint
    from agent.sealing import Sealing
    from agent.store import Store

    loaded = start(config, quiet=True)
    with Store(loaded.config.state_dir, loaded.config.outbox.room) as store:
        made = Sealing(store, loaded.config.ledger.signing_key_file).seal(now=time.time())
    if made is None:
        say("Nothing was accepted since the last seal.")
        return
    by = f"signed by {fingerprint(made.public_key)}" if made.public_key else "not signed: there is no signing key"
    say(f"Entry {made.seq} is sealed with {made.link}, {by}.")


def _key(file: Path | None) -> str | None:
    from agent.seal import public_key
    from collectors.secret import SecretMissing

    try:
        return public_key(file) if file else None
    except SecretMissing as error:
        raise typer.BadParameter(str(error), param_hint="--public-key") from error


def _check_ledger(config: Path | None, key: str | None) -> "tuple[Proof, list[Finding]]":
    from agent.chain import facts
    from agent.ledger import Ledger
    from agent.proof import Entry, Proof
    from agent.seal import Seals
    from agent.store import Store

    loaded = start(config, quiet=True)
    with Store(loaded.config.state_dir, loaded.config.outbox.room) as store:
        proof = Proof(Seals(store.directory).read(), key=key)
        entries = (Entry(facts(entry), entry.link) for entry in Ledger(store).entries())
        return proof, list(proof.check(entries))


def _check_archive(file: Path, key: str | None) -> "tuple[Proof, list[Finding]]":
    from agent.archive import Archive
    from agent.proof import Finding, Proof

    with Archive(file) as archive:
        proof = Proof(archive.seals(), key=key, whole=False)
        findings = [
            Finding("altered", 0, 0, f"{name} is not as the manifest has it: the archive was changed")
            for name in archive.altered()
        ]
        findings += proof.check(archive.entries())
        return proof, findings


def _tell(proof: "Proof", findings: "list[Finding]", *, as_json: bool) -> None:
    from dataclasses import asdict

    from agent.cli.output import count, print_json, say

    first, last = (entry.seq if entry else 0 for entry in (proof.first, proof.last))
    if as_json:
        told = {"entries": proof.entries, "first": first, "last": last, "findings": [asdict(each) for each in findings]}
        print_json(told)
        return
    for finding in findings[:_SHOWN]:
        say(f"{finding.kind}: {finding.message}")
    if len(findings) > _SHOWN:
        say(f"and {len(findings) - _SHOWN:,} more; --json has them all.")
    which = f", {first} to {last}" if proof.entries else ""
    say(
        f"{count(proof.entries, 'entry')}{which}: "
        + ("NOT what was written." if findings else "all are what was written.")
    )
    if proof.last and not findings:
        say(f"The last one is {proof.last.link}.")
        if not proof.is_sealed:
            say("There is no seal of it: only an export, or Chequr's audit log, shows whether it was all made anew.")
