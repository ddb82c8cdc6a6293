"""What is done about what Chequr told by webhook: verdicts are written down, and drift brings fresh evidence.

Events wait in the database until they are done, whatever ends this process in between. Drifts that come together are
one run of each collector that they concern, for their evidence types only; the next one is a minute later at the
soonest, however many come. Verdicts do not wait for such a run.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import structlog

from agent.config import ConfigurationInvalid, Loaded
from agent.controls import ControlMap
from agent.events import Events, Received
from agent.overlap import Ending, Kinds
from agent.store import StateUnusable

log = structlog.get_logger()

Collect = Callable[[str, Kinds], Awaitable[Ending]]

_GATHER = 1.0  # seconds that a drift waits for others
_APART = 60.0  # seconds between two runs
_DONE: Mapping[Ending, str] = {"over": "collected anew by", "failed": "the log says what broke in the run of"}
_NOBODY = "no collector here has evidence for it"


class Reactions:
    """Acts upon events. `collect` runs a collector for some evidence types: what became of the run.

    `controls` is the mapping, or None while it is not known.
    """

    def __init__(
        self, loaded: Callable[[], Loaded], events: Events, controls: Callable[[], ControlMap | None], collect: Collect
    ) -> None:
        self._loaded = loaded
        self._events = events
        self._controls = controls
        self._collect = collect
        self._awake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._turn = threading.Lock()

    def arrived(self) -> None:
        """Something is to be done. Called from any thread."""
        with self._turn, suppress(RuntimeError):  # of a loop that has ended: it is done at the next start
            if self._loop:
                self._loop.call_soon_threadsafe(self._awake.set)

    async def run(self, stopping: asyncio.Event) -> None:
        """Until it is stopped; what waits then is done at the next start."""
        with self._turn:
            self._loop = asyncio.get_running_loop()
        ended = asyncio.create_task(stopping.wait())
        while not stopping.is_set():
            wait = await self._react()
            arrived = asyncio.create_task(self._awake.wait())
            await asyncio.wait({arrived, ended}, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            arrived.cancel()
            self._awake.clear()
        if self._refreshing:
            await self._refreshing

    async def _react(self) -> float | None:
        """Seconds until there is more to do; None where that is when more arrives, or a run under way ends."""
        with _postponing():
            await asyncio.to_thread(self._events.note, now=time.time())
            if self._refreshing or not await asyncio.to_thread(self._events.drifted):
                return None
            if (early := self._not_before - time.monotonic()) > 0:
                return early
            self._refreshing = asyncio.create_task(self._refresh_soon())
            return None
        return _APART

    async def _refresh_soon(self) -> None:
        with _postponing():
            await asyncio.sleep(_GATHER)
            await self._refresh(await asyncio.to_thread(self._events.drifted))
        self._refreshing = None
        self._not_before = time.monotonic() + _APART
        self._awake.set()

    async def _refresh(self, drifts: Sequence[Received]) -> None:
        controls = await asyncio.to_thread(self._controls)
        if controls is None:
            log.warning("webhook.postponed", reason="the controls were never read yet", again_in=_APART)
            return
        wanted = concerned(self._loaded(), controls, {drift.subject for drift in drifts if drift.subject})
        endings = await asyncio.gather(*(self._collect(name, kinds) for name, (kinds, _) in wanted.items()))
        ended = dict(zip(wanted, endings, strict=True))
        outcomes = {drift.number: _outcome(drift.subject, wanted, ended) for drift in drifts}
        done = {number: outcome for number, outcome in outcomes.items() if outcome is not None}
        await asyncio.to_thread(self._events.done, done, now=time.time())
        log.info("drift.answered", drifts=len(done), postponed=len(drifts) - len(done), collectors=sorted(wanted))


@contextmanager
def _postponing() -> Iterator[None]:
    """What fails is done the next time."""
    try:
        yield
    except (StateUnusable, ConfigurationInvalid, OSError) as error:
        log.warning("webhook.postponed", reason=str(error), again_in=_APART)
    except Exception:  # around this job: the service goes on
        log.exception("webhook.postponed", again_in=_APART)


Wanted = Mapping[str, tuple[Kinds, frozenset[str]]]


def concerned(loaded: Loaded, controls: ControlMap, drifted: Iterable[str]) -> Wanted:
    """For each collector that has evidence for any of the controls: its evidence types, and these controls.

    A type whose places name their controls themselves, such as files, may have evidence for any.
    """
    asked = frozenset(drifted)
    found: dict[str, tuple[Kinds, frozenset[str]]] = {}
    for collector in loaded.enabled:
        own = [kind for kind in collector.types if kind.speaks_for_itself]
        mapped = {kind: asked & set(controls.controls_for(kind.id)) for kind in collector.types}
        kinds = [kind for kind in collector.types if kind in own or mapped[kind]]
        if kinds:
            found[collector.name] = kinds, asked if own else frozenset().union(*mapped.values())
    return found


def _outcome(control: str | None, wanted: Wanted, ended: Mapping[str, Ending]) -> str | None:
    """What was done about a drift; None where it is yet to be done."""
    names = [name for name, (_, controls) in wanted.items() if control in controls]
    if not names:
        return _NOBODY
    if any(ended[name] == "put off" for name in names):
        return None
    told = {words: [name for name in names if ended[name] == ending] for ending, words in _DONE.items()}
    return "; ".join(f"{words} {', '.join(those)}" for words, those in told.items() if those)
