"""Keeps Python's cycle collector from stopping the event loop over what lives from cycle to cycle.

A fleet's readings and drawn rows are some hundred thousand objects without reference cycles, and
the program itself as many again. Walking them all stops the process for a tenth of a second, again
and again, and finds nothing.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass

# Young objects are walked once or twice, and then left alone but for once an hour.
_YOUNG_OBJECTS = 5_000
_AT_ONCE, _NEVER = 0, 2**31 - 1
# Python 3.14 looks through old objects a few at a time, the more slowly the greater its second
# number is (library reference, gc.set_threshold).
_SECOND = _AT_ONCE if sys.version_info < (3, 14) else _NEVER
_FULL_SECONDS = 3600.0
# By then code and descriptions of services are loaded, which stay until the end.
_FIRST_CYCLES = 3


@dataclass(slots=True)
class Garbage:
    """Collects young garbage in small portions, and all of it once an hour."""

    clock: Callable[[], float]
    _collected: float = 0.0
    _cycles: int = 0

    def start(self) -> None:
        """Look through young objects in portions that nobody feels."""
        gc.set_threshold(_YOUNG_OBJECTS, _SECOND, _NEVER)
        self._collected = self.clock()

    def after_cycle(self, *, crowded: bool = False) -> None:
        """Set aside for good what the start leaves; look through everything else once an hour.

        While it is `crowded` by much that is soon gone, that waits for a later cycle, for up to an
        hour.
        """
        self._cycles += 1
        if self._cycles <= _FIRST_CYCLES:
            gc.freeze()
            return
        due = 2 * _FULL_SECONDS if crowded else _FULL_SECONDS
        if self.clock() - self._collected >= due:
            self._collected = self.clock()
            gc.collect()
