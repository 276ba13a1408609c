"""What keeps whoever knocks from costing much: answers that are remembered, and turns to be asked.

Nothing is remembered in the clear: what is known stands under a keyed hash whose key is this
process's own.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

_SALT = secrets.token_bytes(32)


class Busy(Exception):
    """There is too much to check already."""


def fingerprint(*parts: bytes) -> bytes:
    """Return a hash of the parts that says nothing about them outside this process."""
    made = hashlib.blake2b(key=_SALT, digest_size=32)
    for part in parts:
        made.update(len(part).to_bytes(8, "big"))
        made.update(part)
    return made.digest()


@dataclass(slots=True)
class Remembered(Generic[T]):
    """The latest `size` values, each for so many seconds; the one put in longest ago goes first."""

    size: int
    seconds: float
    clock: Callable[[], float] = time.monotonic
    _values: dict[bytes, tuple[float, T]] = field(default_factory=dict)

    def get(self, key: bytes) -> T | None:
        """Return a value while it is fresh, None where there is none."""
        until, value = self._values.get(key, (0.0, None))
        return value if self.clock() < until else None

    def put(self, key: bytes, value: T) -> None:
        """Remember a value from now on."""
        self._values.pop(key, None)
        while len(self._values) >= self.size:
            del self._values[next(iter(self._values))]
        self._values[key] = (self.clock() + self.seconds, value)


@dataclass(slots=True)
class Turns:
    """Lets so many work at once and so many wait, in all and of each; whoever comes beyond is Busy.

    One address that knocks all the time thus keeps others waiting for its few turns only.
    """

    at_once: int
    waiting: int
    of_each: int
    _of: Counter[str] = field(default_factory=Counter)
    _free: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        """Make the places to work."""
        self._free = asyncio.Semaphore(self.at_once)

    @asynccontextmanager
    async def turn(self, who: str) -> AsyncIterator[None]:
        """Wait for a turn and hold it; raise `Busy` where too many wait."""
        if self._of.total() >= self.waiting or self._of[who] >= self.of_each:
            raise Busy
        self._of[who] += 1
        try:
            async with self._free:
                yield
        finally:
            self._of[who] -= 1
            if not self._of[who]:
                del self._of[who]
