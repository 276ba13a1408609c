from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator

import pytest

from exporter.garbage import Garbage


class Ring:
    """An object that only the cycle collector can free."""

    def __init__(self) -> None:
        self.itself = self


def started(clock: Callable[[], float]) -> Garbage:
    """Return what has seen the start off."""
    garbage = Garbage(clock)
    garbage.start()
    for _ in range(3):
        garbage.after_cycle()
    return garbage


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_young_objects_are_looked_through_and_old_ones_left_alone() -> None:
    Garbage(lambda: 0.0).start()
    gc.collect()
    before = [generation["collections"] for generation in gc.get_stats()]
    kept: list[list[int]] = [[] for _ in range(200_000)]
    collected = [it["collections"] - was for it, was in zip(gc.get_stats(), before, strict=True)]
    assert 35 <= collected[0] + collected[1] <= 45
    assert collected[1] >= 15
    assert collected[2] == 0
    assert len(kept) == 200_000


def test_what_the_start_leaves_is_no_longer_walked_and_what_comes_later_is() -> None:
    garbage = Garbage(lambda: 0.0)
    garbage.start()
    gc.unfreeze()
    for _ in range(3):
        garbage.after_cycle()
    started = gc.get_freeze_count()
    later = [Ring() for _ in range(1_000)]
    garbage.after_cycle()
    assert started > 1_000
    assert gc.get_freeze_count() <= started
    assert len(later) == 1_000


def test_a_ring_that_came_to_lie_among_old_objects_is_freed_within_the_hour() -> None:
    now = 0.0
    garbage = started(lambda: now)
    ring = Ring()
    alive = weakref.ref(ring)
    gc.collect(1)
    del ring
    gc.collect(1)
    now = 3_599.0
    garbage.after_cycle()
    assert alive() is not None
    now = 3_600.0
    garbage.after_cycle()
    assert alive() is None


def test_all_is_not_looked_through_while_much_is_there_that_is_soon_gone() -> None:
    now = 0.0
    garbage = started(lambda: now)
    full = gc.get_stats()[2]["collections"]
    now = 7_199.0
    garbage.after_cycle(crowded=True)
    assert gc.get_stats()[2]["collections"] == full
    now = 7_200.0
    garbage.after_cycle(crowded=True)
    assert gc.get_stats()[2]["collections"] == full + 1
    now = 10_800.0
    garbage.after_cycle()
    assert gc.get_stats()[2]["collections"] == full + 2
