"""An event loop in a thread of its own, for callers that wait."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class EventLoop:
    """Runs from its making until `close`. Works for any thread, be it one that has an event loop itself."""

    def __init__(self) -> None:
        made: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=_run, args=(made,), name="event loop", daemon=True)
        self._thread.start()
        self._loop = made.result()

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` comes to. A caller that is interrupted, as by Ctrl-C, takes the work with it."""
        coming = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return coming.result()
        finally:
            coming.cancel()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def close(self) -> None:
        """Ends what is still under way."""
        if self.is_running:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()


def _run(made: Future[asyncio.AbstractEventLoop]) -> None:
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        made.set_result(loop)
        loop.run_forever()
