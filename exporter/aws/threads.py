"""Runs blocking calls beside the event loop, on threads that nobody has to wait for.

asyncio's own pool is joined at the end of the program, however long a call still takes.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from exporter.core.model import Unanswered, Unavailable

T = TypeVar("T")

# Calls that were given up on may still hang on a server that never stops sending.
_MAX_THREADS = 8


class Threads:
    """Starts a thread per call, never more than a few at once."""

    def __init__(self, system: str) -> None:
        self._system = system
        self._free = threading.BoundedSemaphore(_MAX_THREADS)

    async def run(self, call: Callable[[threading.Event], T], *, seconds: float) -> T:
        """Return what a call returns; it should stop soon after the event it is given is set."""
        if not self._free.acquire(blocking=False):
            raise Unavailable(self._system, "earlier calls have not come to an end")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        stop = threading.Event()
        threading.Thread(
            target=self._work, args=(call, stop, future), name=self._system, daemon=True
        ).start()
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError as error:
            raise Unanswered(self._system, "took too long") from error
        finally:
            stop.set()

    def _work(
        self, call: Callable[[threading.Event], T], stop: threading.Event, future: asyncio.Future[T]
    ) -> None:
        try:
            settle = _success(future, call(stop))
        except BaseException as error:  # noqa: BLE001  It is raised where it is waited for.
            settle = _failure(future, error)
        finally:
            self._free.release()
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            future.get_loop().call_soon_threadsafe(settle)


def _success(future: asyncio.Future[T], result: T) -> Callable[[], None]:
    return lambda: None if future.done() else future.set_result(result)


def _failure(future: asyncio.Future[T], error: BaseException) -> Callable[[], None]:
    return lambda: None if future.done() else future.set_exception(error)
