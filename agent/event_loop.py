"""An event loop in a thread of its own, for callers that wait; and the reverse: long work off an event loop."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
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


async def in_own_thread(work: Callable[..., T], *arguments: Any) -> T:
    """What `work` comes to. The few threads of `asyncio.to_thread` are for what is short: all of it waits for them."""
    thread = ThreadPoolExecutor(1)
    try:
        return await asyncio.get_running_loop().run_in_executor(thread, work, *arguments)
    finally:
        thread.shutdown(wait=False)


def _run(made: Future[asyncio.AbstractEventLoop]) -> None:
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        made.set_result(loop)
        loop.run_forever()
