"""`verify`: whether what was accepted is at the API."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.options import ConfigPath, Json, start
from agent.exit import Exit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.arrival import Finding, Verification
    from agent.config import Loaded

_MARKS = {"note": "note", "difference": "BAD "}

Since = Annotated[
    str, typer.Option(metavar="WHEN", help="How far back: a duration, as in 8d, or an instant, as in 2026-04-01.")
]
Mend = Annotated[
    bool,
    typer.Option(
        "--repair",
        help="Put what is missing back into the outbox under its old key; or have it read again, where its body is "
        "gone (delivery.keep_bodies).",
    ),
]
Shared = Annotated[
    bool,
    typer.Option("--shared-key", help="Others use the same key: what the ledger does not know is no difference."),
]


def verify(
    config: ConfigPath = None,
    *,
    since: Since = "8d",
    repair: Mend = False,
    shared_key: Shared = False,
    json: Json = False,
) -> None:
    """Proves that what was accepted is at the API: compares its audit log and its controls with the ledger.

    Exit code 4 where they differ. The service does it every week, and after a conflict.
    """
    from agent import connect
    from agent.cli.output import print_json
    from agent.store import Store
    from agent.verify import Proof

    loaded = start(config, quiet=True)
    from_, remembered = _instant(since), _remembered(loaded) if repair else None
    is_shared = shared_key or loaded.config.chequr.shared_key
    with (
        Store(loaded.config.state_dir, loaded.config.outbox.room) as store,
        connect.reader(loaded, connect.token(loaded)) as client,
    ):
        proof = Proof(store, client, from_, is_shared=is_shared, remembered=remembered)
        verification, findings = proof.verify()
    if json:
        print_json(_told(verification, findings))
    else:
        _print(verification, findings)
    raise typer.Exit(Exit.DIFFERENCE if verification.differences else Exit.WELL)


def _instant(text: str) -> datetime:
    """Raises BadParameter."""
    from datetime import UTC, timedelta

    from pydantic import TypeAdapter, ValidationError

    from agent.config import Duration

    try:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except ValueError:
        pass
    try:
        back: timedelta = TypeAdapter(Duration).validate_python(text)
        return datetime.now(UTC) - back
    except (ValidationError, OverflowError) as error:
        message = f"{text!r} is neither a duration, as in 8d, nor an instant, as in 2026-04-01T00:00:00Z"
        raise typer.BadParameter(message, param_hint="--since") from error


def _remembered(loaded: "Loaded") -> float:
    import time

    return time.time() - loaded.config.delivery.keys_remembered.total_seconds()


def _told(verification: "Verification", findings: "Sequence[Finding]") -> dict[str, Any]:
    """What `--json` prints: of the findings the first ones, and how many there are by kind."""
    from dataclasses import asdict

    told = verification.model_dump(mode="json")
    return {**told, "kinds": told["findings"], "findings": [asdict(finding) for finding in findings]}


def _print(verification: "Verification", findings: "Sequence[Finding]") -> None:
    from agent.cli.output import count, say

    day = f"{verification.since:%Y-%m-%d %H:%M} UTC"
    if not verification.compared:
        say(f"The ledger has nothing that the API took since {day}: there is nothing to compare.")
        return
    say(f"Of {count(verification.compared, 'piece')} of evidence since {day}, {verification.there:,} are at the API.")
    if verification.resent:
        say(f"{count(verification.resent, 'entry')} more in the ledger: sent again since, and judged as that.")
    if verification.untold:
        say(f"{count(verification.untold, 'entry')} more that cannot be told: its control shows later ones by now.")
    for finding in findings:
        where = f" for {finding.control_id}" if finding.control_id else ""
        say(f"{_MARKS[finding.level]}  {finding.evidence_id}{where}, {finding.at or 'of an unknown time'}:")
        say(f"      {finding.message} -> {finding.remedy}")
    left = verification.differences + verification.notes - len(findings)
    if left:
        say(f"And {count(left, 'finding')} more.")
    say(f"{count(verification.differences, 'difference')}, {count(verification.notes, 'note')}.")
