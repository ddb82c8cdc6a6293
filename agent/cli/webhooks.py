"""`webhooks`: what Chequr tells this agent by itself."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.options import TIMES, ConfigPath, Json, start
from agent.exit import Exit

if TYPE_CHECKING:
    from agent.config import ConfigurationInvalid, Loaded
    from agent.models import Webhook
    from agent.registration import Registration

EVENTS = (
    "evidence.collected", "control.drifted", "audit.readiness_changed", "risk.scored", "vendor.posture_changed",
)  # fmt: skip
_LISTED = 50

app = typer.Typer(help="What Chequr tells this agent by itself.", no_args_is_help=True)

Wanted = Annotated[
    list[str] | None, typer.Option("--event", metavar="EVENT", help=f"{', '.join(EVENTS)}. [default: all]")
]
Body = Annotated[
    Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The body of a delivery, to the byte.")
]
Signature = Annotated[str, typer.Option(metavar="VALUE", help="Its header X-Chequr-Signature.")]
At = Annotated[
    datetime | None, typer.Option(metavar="TIME", formats=TIMES, help="When it arrived, in UTC. [default: now]")
]


@app.command()
def register(config: ConfigPath = None, *, event: Wanted = None) -> None:
    """Registers webhooks.public_url at the API, once, with a fresh secret in webhooks.secret_file.

    Doing it again does nothing; after one that was cut short it comes to the same end. It may take a key of a larger
    scope than the service's: CHEQUR_TOKEN or CHEQUR_AGENT__CHEQUR__TOKEN_FILE names one for this command alone.
    """
    from agent.cli.output import say
    from agent.registration import Registration
    from agent.store import Store

    loaded = start(config, quiet=True)
    events = tuple(dict.fromkeys(event or EVENTS))
    if unknown := [each for each in events if each not in EVENTS]:
        raise typer.BadParameter(f"there is no event {unknown[0]}; there are {', '.join(EVENTS)}", param_hint="--event")
    url, file = _places(loaded)
    secret, is_fresh = _secret(loaded, file)
    wanted = Registration.of(loaded.config.chequr.base_url, url, events, secret)
    with Store(loaded.config.state_dir, loaded.config.outbox.room) as store:
        if before := wanted.is_registered(store.directory):
            say(f"{url} is registered already{f' as {before.id}' if before.id else ''}: nothing was done.")
            return
        made = _registered(loaded, wanted, secret, file if is_fresh else None)
        wanted.model_copy(update={"id": made.id if made else None}).save(store.directory)
    if made:
        say(f"{url} is registered as {made.id}, for {', '.join(events)}. Its secret is in {file}.")
    else:
        say(f"{url} was registered before; the secret in {file} is taken to be the one that was told then.")
    say("The service takes them where webhooks.listen is set; a running one has to be started again for that.")


@app.command()
def verify(file: Body, config: ConfigPath = None, *, signature: Signature, at: At = None, json: Json = False) -> None:
    """Checks a delivery that was stored: its signature, its age, and what it says.

    Exit codes: 0 it is Chequr's, 4 it is not, or is not of then.
    """
    from datetime import UTC

    from agent.cli.output import print_json, say
    from agent.webhook import WebhookInvalid
    from agent.webhook import verify as verified
    from agent.webhook_secret import secrets
    from collectors.secret import SecretMissing

    loaded = start(config, quiet=True)
    now = at.replace(tzinfo=UTC).timestamp() if at else None
    try:
        event = verified(file.read_bytes(), signature, secrets(loaded.config.webhooks.secret_file), now=now)
    except WebhookInvalid as error:
        say(f"NOT good: {error}.")
        raise typer.Exit(Exit.DIFFERENCE) from error
    except SecretMissing as error:
        raise _unusable(loaded, str(error)) from error
    told = {"id": event.id, "type": event.type, "created_at": event.created_at.isoformat(), "data": event.data}
    if json:
        print_json(told)
    else:
        say(f"Good: {event.type} {event.id}, of {event.created_at:%Y-%m-%d %H:%M:%S} UTC.")


@app.command("list")
def list_events(config: ConfigPath = None, *, json: Json = False) -> None:
    """Lists the last events, and what was done about each."""
    from dataclasses import asdict

    from agent.cli.output import print_line, say, table, when
    from agent.events import Events
    from agent.store import Store

    loaded = start(config, quiet=True)
    with Store(loaded.config.state_dir, loaded.config.outbox.room) as store:
        found = Events(store).recent(_LISTED)
    if json:
        for each in found:
            print_line(asdict(each))
    elif found:
        rows = (
            (each.id, each.type, each.subject or "-", when(each.received_at), each.outcome or "waits to be acted upon")
            for each in found
        )
        table(("event", "type", "about", "received", "what was done"), rows)
    else:
        say("None was received so far.")


def _places(loaded: "Loaded") -> tuple[str, Path]:
    """Where the API sends them to, and where their secret is. Raises ConfigurationInvalid."""
    from agent.config import ConfigurationInvalid

    webhooks = loaded.config.webhooks
    if webhooks.public_url is None or webhooks.secret_file is None:
        lacks = "public_url" if webhooks.public_url is None else "secret_file"
        raise ConfigurationInvalid([f"webhooks.{lacks}: it is needed to register; set it"], path=loaded.path)
    return webhooks.public_url, webhooks.secret_file


def _secret(loaded: "Loaded", file: Path) -> tuple[str, bool]:
    """The secret that is there, or a fresh one; and whether it is fresh. Raises ConfigurationInvalid."""
    from agent.webhook_secret import make, secrets
    from collectors.secret import SecretMissing

    try:
        return make(file), True
    except FileExistsError:
        try:
            return secrets(file)[0], False
        except SecretMissing as error:
            raise _unusable(loaded, str(error)) from error
    except OSError as error:
        raise _unusable(loaded, f"{file} cannot be written: {error.strerror}") from error


def _unusable(loaded: "Loaded", reason: str) -> "ConfigurationInvalid":
    from agent.config import ConfigurationInvalid

    return ConfigurationInvalid([f"webhooks.secret_file: {reason}"], path=loaded.path)


def _registered(loaded: "Loaded", wanted: "Registration", secret: str, fresh: Path | None) -> "Webhook | None":
    """The webhook as the API has it now; None where it had it before, and does not tell it again.

    A `fresh` secret is taken back where the API certainly does not know it.
    """
    from agent import connect
    from agent.errors import BadRequest, Conflict, Forbidden, TokenUnusable, Unauthorized, UnprocessableEntity

    try:
        with connect.client(loaded, connect.token(loaded)) as client:
            return client.register_webhook(wanted.url, wanted.events, secret, idempotency_key=wanted.key)
    except Conflict as error:
        if fresh is None:
            return None
        fresh.unlink()
        message = f"the API has a webhook with this URL and these events, with a secret that is not here: {error}"
        remedy = f"delete it in Chequr's settings, or put its secret into {fresh}"
        raise typer.BadParameter(f"{message}; {remedy}", param_hint="webhooks.public_url") from error
    except (BadRequest, Forbidden, TokenUnusable, Unauthorized, UnprocessableEntity):
        if fresh is not None:
            fresh.unlink()
        raise
