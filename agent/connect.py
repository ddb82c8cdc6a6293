"""The agent's parts put together as the configuration says."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TypedDict

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
from collectors.contract import Cancelled

log = structlog.get_logger()


class _Reach(TypedDict):
    base_url: str
    ca_file: Path | None
    timeout: float


def token(loaded: Loaded) -> Token:
    return Token(loaded.config.chequr.token_file)


def client(loaded: Loaded, key: Token, *, attempts: int = 4) -> Client:
    """Raises ConfigurationInvalid where the proxy or the certificates of the environment cannot be used."""
    with _usable():
        return Client(key, **_reach(loaded), attempts=attempts)


def reader(loaded: Loaded, key: Token, cancelled: Event | None = None, *, most: float | None = None) -> Client:
    """A client that reads much: at the pace that delivery leaves it, and at `most` requests a second.

    It raises Cancelled once it is `cancelled`. Raises as `client` does.
    """
    pace, ended = _pace(loaded, key, most), cancelled or Event()

    def pause(seconds: float) -> None:
        if ended.wait(max(seconds, 0.0)):
            raise Cancelled

    def turn() -> None:
        pause(pace.reserve(time.monotonic()))
        pause(pace.pause_until - time.monotonic())

    with _usable():
        return Client(key, **_reach(loaded), observe=pacing_observer(pace), turn=turn, pause=pause)


def deliverer(
    loaded: Loaded,
    store: Store,
    key: Token,
    observe: Callable[[Item, Settlement], None] = lambda _item, _settlement: None,
) -> tuple[Deliverer, AsyncClient]:
    """A deliverer, and the client that it uses, which the caller closes. Raises as `client` does."""
    pace = _pace(loaded, key)
    with _usable():
        sender = AsyncClient(key, **_reach(loaded), observe=pacing_observer(pace))
    delivery = loaded.config.delivery
    limits = Limits(keys_remembered=delivery.keys_remembered.total_seconds())
    outbox, most = Outbox(store, keep_bodies=delivery.keep_bodies.total_seconds()), delivery.concurrency
    return Deliverer(outbox, sender, key, pace, concurrency=most, limits=limits, observe=observe), sender


def _pace(loaded: Loaded, key: Token, most: float | None = None) -> Pace:
    """The pace of the host or of its own; nobody goes faster than the configuration and `most` allow."""
    chequr = loaded.config.chequr
    cap = min((rate for rate in (chequr.rate, most) if rate is not None), default=None)
    if loaded.config.delivery.share_rate:
        return HostPace(chequr.base_url, lambda: key.fingerprint, cap=cap)
    return Pace(cap=cap)


def _reach(loaded: Loaded) -> _Reach:
    """Where the API is, and how it is reached."""
    chequr = loaded.config.chequr
    return {"base_url": chequr.base_url, "ca_file": chequr.ca_file, "timeout": chequr.timeout.total_seconds()}


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
    try:
        fresh.save(loaded.config.state_dir)
    except OSError as error:  # as on a full disk: they are read again the next time
        log.warning("controls.unkept", reason=str(error))
    return ControlMap(controls.map, fresh), None
