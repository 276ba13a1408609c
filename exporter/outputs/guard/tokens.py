"""Bearer tokens as somebody else vouches for them: asked seldom, and remembered for a minute.

Who that is, is not known here. While nobody can be asked, nobody new is let in.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

from exporter.core.access import Verdict
from exporter.outputs.guard.limits import Remembered, Turns, fingerprint

ALLOWED_SECONDS: Final = 60.0
# Shorter, so that a permission that was just given shows soon.
REFUSED_SECONDS: Final = 10.0
_ALLOWED: Final = 1024
_REFUSED: Final = 1024
_AT_ONCE: Final = 4
_WAITING: Final = 64
_OF_EACH: Final = 16

# Returns what is known of a token; raises `Unavailable` where that cannot be told now.
Review = Callable[[str], Awaitable[Verdict]]


class Tokens:
    """Knows which tokens may see the figures."""

    def __init__(self, review: Review, clock: Callable[[], float] = time.monotonic) -> None:
        self._review = review
        self._turns = Turns(at_once=_AT_ONCE, waiting=_WAITING, of_each=_OF_EACH)
        # Refused ones are apart, so that a flood of them pushes nobody out.
        self._allowed: Remembered[Verdict] = Remembered(_ALLOWED, ALLOWED_SECONDS, clock)
        self._refused: Remembered[Verdict] = Remembered(_REFUSED, REFUSED_SECONDS, clock)

    async def verdict(self, token: str, *, remote: str) -> Verdict:
        """Return what is known of a token; raises `Unavailable` or `Busy` where nothing is."""
        key = fingerprint(token.encode())
        if known := self._remembered(key):
            return known
        async with self._turns.turn(remote):
            if known := self._remembered(key):
                return known  # It was asked for twice at a time.
            verdict = await self._review(token)
            memory = self._allowed if verdict is Verdict.ALLOWED else self._refused
            memory.put(key, verdict)
            return verdict

    def _remembered(self, key: bytes) -> Verdict | None:
        return self._allowed.get(key) or self._refused.get(key)
