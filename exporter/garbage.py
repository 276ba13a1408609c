"""Keeps Python's cycle collector from stopping the event loop over what lives from cycle to cycle.

A fleet's readings and drawn rows are a million objects without reference cycles. Walking them all
stops the process for a tenth of a second, again and again, and finds nothing.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass

# Frozen objects are still freed when nothing refers to them; only cycles among them would stay.
_THAW_SECONDS = 3600.0
_YOUNG_OBJECTS = 50_000


@dataclass(slots=True)
class Garbage:
    """Sets aside what a cycle leaves; once an hour everything is looked through."""

    clock: Callable[[], float]
    _thawed: float = 0.0

    def start(self) -> None:
        """Look through young objects less often than the default of every 700."""
        gc.set_threshold(_YOUNG_OBJECTS, 20, 100)
        self._thawed = self.clock()

    def after_cycle(self) -> None:
        """Set aside what lives now."""
        if self.clock() - self._thawed >= _THAW_SECONDS:
            self._thawed = self.clock()
            gc.unfreeze()
            gc.collect()
        gc.freeze()
