"""The agent's parts put together as the configuration says."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from agent.client import AsyncClient, Client
from agent.config import ConfigurationInvalid, Loaded
from agent.controls import ControlMap, Discovery
from agent.deliver import Deliverer, pacing_observer
from agent.errors import ChequrError
from agent.host_pace import HostPace
from agent.items import Item, Settlement
from agent.outbox import Outbox
from agent.pacing import Pace
from agent.store import Store
from agent.submit import Limits
from agent.token import Token

log = structlog.get_logger()


def token(loaded: Loaded) -> Token:
    return Token(loaded.config.chequr.token_file)


def client(loaded: Loaded, key: Token, *, attempts: int = 4) -> Client:
    """Raises ConfigurationInvalid where the proxy or the certificates of the environment cannot be used."""
    chequr = loaded.config.chequr
    with _usable():
        return Client(
            key,
            base_url=chequr.base_url,
            ca_file=chequr.ca_file,
            timeout=chequr.timeout.total_seconds(),
            attempts=attempts,
        )


def deliverer(
    loaded: Loaded,
    store: Store,
    key: Token,
    observe: Callable[[Item, Settlement], None] = lambda _item, _settlement: None,
) -> tuple[Deliverer, AsyncClient]:
    """A deliverer, and the client that it uses, which the caller closes. Raises as `client` does."""
    chequr = loaded.config.chequr
    pace = _pace(loaded, key)
    with _usable():
        sender = AsyncClient(
            key,
            base_url=chequr.base_url,
            ca_file=chequr.ca_file,
            timeout=chequr.timeout.total_seconds(),
            observe=pacing_observer(pace),
        )
    delivery = loaded.config.delivery
    limits = Limits(keys_remembered=delivery.keys_remembered.total_seconds())
    outbox, most = Outbox(store, keep_bodies=delivery.keep_bodies.total_seconds()), delivery.concurrency
    return Deliverer(outbox, sender, key, pace, concurrency=most, limits=limits, observe=observe), sender


def _pace(loaded: Loaded, key: Token) -> Pace:
    chequr = loaded.config.chequr
    if loaded.config.delivery.share_rate:
        return HostPace(chequr.base_url, lambda: key.fingerprint, cap=chequr.rate)
    return Pace(cap=chequr.rate)


@contextmanager
def _usable() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ConfigurationInvalid([str(error)]) from error


def control_map(loaded: Loaded, key: Token, *, refresh: bool = True) -> tuple[ControlMap, ChequrError | None]:
    """The mapping in force, and why it is not fresh where it should be. An API that is away stops nothing."""
    controls, base_url = loaded.config.controls, loaded.config.chequr.base_url
    if not controls.discover:
        return ControlMap(controls.map, None), None
    kept = Discovery.load(loaded.config.state_dir, base_url)
    if not refresh or (kept and not kept.is_older_than(controls.refresh)):
        return ControlMap(controls.map, kept), None
    try:
        with client(loaded, key, attempts=2) as api:
            fresh = Discovery.fetch(api, base_url)
    except ChequrError as error:
        log.warning("controls.unavailable", reason=str(error), kept=kept is not None)
        return ControlMap(controls.map, kept), error
    fresh.save(loaded.config.state_dir)
    return ControlMap(controls.map, fresh), None
