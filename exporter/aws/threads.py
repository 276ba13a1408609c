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


class UnderWay:
    """A call on its thread: what it tells of itself, and what it is told."""

    def __init__(self, goes_on: Callable[[], None] = lambda: None) -> None:
        self._goes_on = goes_on
        self._given_up = threading.Event()

    @property
    def given_up(self) -> bool:
        """Whether nobody waits for the call any more."""
        return self._given_up.is_set()

    def give_up(self) -> None:
        """Have the call end soon."""
        self._given_up.set()

    def goes_on(self) -> None:
        """Give the call as much time again: a part of it is done."""
        self._goes_on()


class Threads:
    """Starts a thread per call, never more than a few at once."""

    def __init__(self, system: str) -> None:
        self._system = system
        self._free = threading.BoundedSemaphore(_MAX_THREADS)

    async def run(self, call: Callable[[UnderWay], T], *, seconds: float) -> T:
        """Return what a call returns; it should end soon after it is given up.

        That is after so many seconds in which it did not say that it goes on.
        """
        if not self._free.acquire(blocking=False):
            raise Unavailable(self._system, "earlier calls have not come to an end")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        limit = asyncio.timeout(seconds)

        def extend() -> None:
            if not future.done():
                limit.reschedule(loop.time() + seconds)

        under_way = UnderWay(lambda: _tell(loop, extend))
        threading.Thread(
            target=self._work, args=(call, under_way, future), name=self._system, daemon=True
        ).start()
        try:
            async with limit:
                return await future
        except TimeoutError as error:
            raise Unanswered(self._system, "took too long") from error
        finally:
            under_way.give_up()

    def _work(
        self, call: Callable[[UnderWay], T], under_way: UnderWay, future: asyncio.Future[T]
    ) -> None:
        try:
            settle = _success(future, call(under_way))
        except BaseException as error:  # noqa: BLE001  It is raised where it is waited for.
            settle = _failure(future, error)
        finally:
            self._free.release()
        _tell(future.get_loop(), settle)


def _tell(loop: asyncio.AbstractEventLoop, news: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(news)


def _success(future: asyncio.Future[T], result: T) -> Callable[[], None]:
    return lambda: None if future.done() else future.set_result(result)


def _failure(future: asyncio.Future[T], error: BaseException) -> Callable[[], None]:
    return lambda: None if future.done() else future.set_exception(error)
