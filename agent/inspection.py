"""The service's own proof of arrival: every week, and soon after a conflict, whatever restarts come between.

When the next one is due stands in the state directory, beside what the last one came to. Nothing is repaired from here.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import structlog

from agent import connect
from agent.arrival import Finding, Verification
from agent.config import ConfigurationInvalid, Loaded
from agent.errors import ChequrError
from agent.event_loop import in_own_thread
from agent.items import Accept, Defer, Item, Reject, Settlement
from agent.lock import Locked
from agent.store import StateUnusable, Store
from agent.token import Token
from agent.verified import SOON, WEEK, Verified
from agent.verify import Proof
from collectors.contract import Cancelled

log = structlog.get_logger()

_SPAN = timedelta(days=8)  # so that two that follow one another overlap
_MOST = 5.0  # requests a second: what is owed goes first
_LOOK = 60.0  # seconds between looks at the clock, which may be set, and at what others have verified
_AGAIN = 6 * 3600.0  # seconds after one that came to nothing
_CONFLICT = 409
_NAMED = 10  # findings that the log names


class Inspection:
    """Verifications of one state directory, one after the other, in a thread, until they are `cancelled`."""

    def __init__(self, loaded: Callable[[], Loaded], store: Store, token: Token, cancelled: threading.Event) -> None:
        self._loaded = loaded
        self._store = store
        self._token = token
        self._cancelled = cancelled
        self._planned = 0.0  # by the last conflict
        self._not_before = 0.0  # where what is planned cannot be written down

    async def run(self, stopping: asyncio.Event) -> None:
        """Verifies whenever it is due; for the first time a week after the first start."""
        self._plan(time.time() + WEEK)
        while not stopping.is_set():
            wait = self._wait()
            if wait <= 0:
                await in_own_thread(self._inspect)
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), min(_LOOK, wait))

    def settled(self, _item: Item, settlement: Settlement) -> None:
        """After a conflict something may not be where it is thought to be: that is looked at soon."""
        match settlement:
            case Accept(created_at=None):  # found at its control
                self._conflict()
            case Defer(answer=answer) | Reject(answer=answer) if answer.status == _CONFLICT:
                self._conflict()
            case _:
                pass

    def _conflict(self) -> None:
        """Those that come together are one reason."""
        now = time.time()
        if now >= self._planned:
            self._planned = now + SOON
            self._plan(self._planned)

    def _wait(self) -> float:
        """Seconds until the next one."""
        return max(self._kept().due or 0.0, self._not_before) - time.time()

    def _plan(self, latest: float) -> None:
        self._keep(self._kept().no_later_than(latest))

    def _postpone(self) -> None:
        self._keep(self._kept().model_copy(update={"due": time.time() + _AGAIN}))

    def _kept(self) -> Verified:
        return Verified.load(self._store.directory)

    def _keep(self, verified: Verified) -> None:
        try:
            verified.save(self._store.directory)
        except OSError:
            self._not_before = time.time() + _AGAIN

    def _inspect(self) -> None:
        """Whatever it comes to, the next one is planned."""
        try:
            with connect.reader(self._loaded(), self._token, self._cancelled, most=_MOST) as client:
                chequr = self._loaded().config.chequr
                proof = Proof(self._store, client, datetime.now(UTC) - _SPAN, is_shared=chequr.shared_key)
                _tell(*proof.verify())
        except Cancelled:
            pass  # it is due still
        except (ChequrError, ConfigurationInvalid, Locked, StateUnusable, OSError) as error:
            log.warning("ledger.unverified", reason=str(error), again_in=_AGAIN)
            self._postpone()
        except Exception:  # around this job: the service goes on
            log.exception("ledger.unverified", again_in=_AGAIN)
            self._postpone()


def _tell(verification: Verification, findings: list[Finding]) -> None:
    """The canonical line of one verification."""
    told = verification.model_dump(mode="json", exclude={"verified_at", "findings"}) | verification.findings
    if verification.differences:
        named = [f"{each.kind} {each.evidence_id}" for each in findings if each.level == "difference"][:_NAMED]
        log.warning("ledger.verified", **told, named=named, remedy="`chequr-agent verify` says more, and mends")
    else:
        log.info("ledger.verified", **told)
