"""Passwords against bcrypt hashes, off the event loop, one at a time.

What was checked once is remembered. A name that nobody has costs as much as a wrong password, as
it is checked against somebody's hash. A flood of wrong ones takes half a core at most: each is
followed by a rest as long as the check took.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import bcrypt

from exporter.outputs.guard.limits import Remembered, Turns, fingerprint

# As bcrypt is defined, and as Go and htpasswd have it; the library wants it done for it.
_MAX_BYTES: Final = 72
# Wrong ones are apart, so that a flood of them pushes nothing right out.
_RIGHT: Final = 256
_WRONG: Final = 1024
_WAITING: Final = 64
_OF_EACH: Final = 8

# Whether a password, given first, has a hash.
Check = Callable[[bytes, bytes], bool]
Sleep = Callable[[float], Awaitable[None]]


class Passwords:
    """Knows which passwords are right; the users may be others each time."""

    def __init__(self, sleep: Sleep = asyncio.sleep, check: Check = bcrypt.checkpw) -> None:
        self._sleep = sleep
        self._check = check
        self._turns = Turns(at_once=1, waiting=_WAITING, of_each=_OF_EACH)
        self._right: Remembered[bool] = Remembered(_RIGHT, math.inf)
        self._wrong: Remembered[bool] = Remembered(_WRONG, math.inf)

    async def right(
        self, users: Mapping[str, bytes], name: str, password: bytes, *, remote: str
    ) -> bool:
        """Whether a user has this password; raises `Busy` where too many are being checked."""
        known = name in users
        digest = users[name] if known else _somebodys(users, name)
        key = fingerprint(name.encode(), digest, password)
        if (answer := self._remembered(key)) is not None:
            return answer
        async with self._turns.turn(remote):
            if (answer := self._remembered(key)) is not None:
                return answer  # It was asked for twice at a time.
            begun = time.monotonic()
            matches = await asyncio.to_thread(self._check, password[:_MAX_BYTES], digest)
            answer = matches and known
            (self._right if answer else self._wrong).put(key, answer)
            if not answer:
                await self._sleep(time.monotonic() - begun)
            return answer

    def _remembered(self, key: bytes) -> bool | None:
        right = self._right.get(key)
        return right if right is not None else self._wrong.get(key)


def _somebodys(users: Mapping[str, bytes], name: str) -> bytes:
    """Return the hash of a user, always the same one for a name that nobody has."""
    digests = sorted(users.values())
    return digests[int.from_bytes(fingerprint(name.encode())) % len(digests)]
