from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from exporter.garbage import Garbage


class Ring:
    """An object that only the cycle collector can free."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_what_lives_after_a_cycle_is_no_longer_walked() -> None:
    garbage = Garbage(lambda: 0.0)
    garbage.start()
    gc.unfreeze()
    garbage.after_cycle()
    assert gc.get_freeze_count() > 1_000


def test_a_ring_that_was_set_aside_is_freed_within_the_hour() -> None:
    now = 0.0
    garbage = Garbage(lambda: now)
    garbage.start()
    ring = Ring()
    alive = weakref.ref(ring)
    garbage.after_cycle()
    del ring
    gc.collect()
    assert alive() is not None
    now = 3_599.0
    garbage.after_cycle()
    assert alive() is not None
    now = 3_600.0
    garbage.after_cycle()
    assert alive() is None
