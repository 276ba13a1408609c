"""What waits for CloudWatch: order, bounds, and that gains outlive what must give way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.catalog import Measure
from exporter.core.counters import Timings
from exporter.core.outbox import MAX_AGE_SECONDS, Outbox
from exporter.core.points import AHEAD_SECONDS, Point

T = 1_787_200_020
NOW = float(T + 600)


def gauge(minute: int, value: float = 1.0, subnet: str = "") -> Point:
    return Point("eniAllocated", "Count", Measure.GAUGE, T + 60 * minute, value, subnet)


def gain(minute: int, value: float, name: str = "addReqCount") -> Point:
    return Point(name, "Count", Measure.GAIN, T + 60 * minute, value)


def times(minute: int, *of: float) -> Point:
    value = Timings(len(of), sum(of), min(of), max(of))
    return Point("awsAPILatency", "Count", Measure.TIMINGS, T + 60 * minute, value)


def outbox(*points: Point) -> Outbox:
    return Outbox().put(points)


def test_points_wait_in_the_order_they_come() -> None:
    assert outbox(gain(0, 1), gauge(0)).put([gain(1, 2)]).points == (
        gain(0, 1),
        gauge(0),
        gain(1, 2),
    )


def test_what_was_taken_goes_and_nothing_that_looks_the_same() -> None:
    one, same = gain(0, 1), gain(0, 1)
    assert outbox(one, same).without([one]).points[0] is same


def test_what_may_have_been_taken_is_marked() -> None:
    one, other = gain(0, 1), gain(1, 1)
    assert outbox(one, other).doubting([one]).points == (replace(one, doubted=True), other)


def test_an_outbox_within_its_bounds_is_left_as_it_is() -> None:
    oldest = replace(gauge(0), time=int(NOW - MAX_AGE_SECONDS))
    newest = replace(gauge(0), time=int(NOW + AHEAD_SECONDS))
    full = outbox(oldest, gain(0, 1), newest)
    assert full.bounded(NOW, most=3) == (full, 0)


def test_after_a_day_gauges_are_dropped_and_gains_move_to_the_next_point_kept() -> None:
    full = outbox(
        gauge(0), gain(0, 3), times(0, 5, 7), gauge(1), gain(1, 4), times(1, 1), gain(2, 1)
    )
    later = T + MAX_AGE_SECONDS + 30
    assert full.bounded(later) == (
        Outbox((gauge(1), gain(1, 7), times(1, 5, 7, 1), gain(2, 1))),
        1,
    )
    later += 60
    assert full.bounded(later) == (Outbox((gain(2, 8),), (times(0, 5, 7, 1),)), 2)


def test_more_than_there_may_be_give_way_from_the_oldest_on() -> None:
    full = outbox(gauge(0), gain(0, 3), gauge(1), gain(1, 4))
    assert full.bounded(NOW, most=2) == (Outbox((gauge(1), gain(1, 7))), 1)
    assert full.bounded(NOW, most=1) == (Outbox((gain(1, 7),)), 2)
    assert full.bounded(NOW, most=0) == (Outbox((), (gain(0, 7),)), 2)


def test_gains_without_a_point_wait_for_the_next_of_their_kind() -> None:
    waiting = Outbox((), (gain(0, 7), gain(0, 2, "delReqCount")))
    assert waiting.put([gauge(5), gain(5, 1), gain(6, 1)]) == Outbox(
        (gauge(5), gain(5, 8), gain(6, 1)), (gain(0, 2, "delReqCount"),)
    )


def test_gains_that_wait_go_by_themselves_at_the_end() -> None:
    waiting = Outbox((gauge(5),), (gain(0, 7),))
    late = replace(gain(0, 7), time=int(NOW))
    assert waiting.released(NOW + 0.5) == Outbox((gauge(5), late))
    assert Outbox((gauge(5),)).released(NOW) == Outbox((gauge(5),))


def test_gains_that_wait_add_up() -> None:
    waiting = Outbox((gain(1, 5),), (gain(0, 7),))
    assert waiting.bounded(NOW, most=0) == (Outbox((), (gain(0, 12),)), 0)


def test_what_a_wrong_clock_stamped_gives_way_too() -> None:
    ahead = [replace(it, time=int(NOW + AHEAD_SECONDS) + 1) for it in (gauge(0), gain(0, 3))]
    full = outbox(*ahead, gauge(9), gain(9, 1))
    assert full.bounded(NOW) == (Outbox((gauge(9), gain(9, 4))), 1)


def test_a_subnets_gauges_are_told_apart() -> None:
    full = outbox(gauge(0, 1, "subnet-a"), gauge(0, 2, "subnet-b"))
    assert full.without(full.points[:1]).points == (gauge(0, 2, "subnet-b"),)


KINDS = st.sampled_from(["gauge", "adds", "dels", "times"])


def point(kind: str, minute: int, value: int) -> Point:
    match kind:
        case "gauge":
            return gauge(minute, value)
        case "times":
            return times(minute, *([float(value)] * 2))
        case name:
            return gain(minute, value, name)


def gained(points: Iterable[Point]) -> Counter[str]:
    found: Counter[str] = Counter()
    for it in points:
        if isinstance(it.value, Timings):
            found[f"{it.name} calls"] += int(it.value.calls)
            found[f"{it.name} ms"] += int(it.value.milliseconds)
        elif it.measure is Measure.GAIN:
            found[it.name] += int(it.value)
    return found


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.lists(st.tuples(KINDS, st.integers(0, 9)), max_size=5)),
            st.tuples(st.just("take"), st.integers(0, 4)),
            st.tuples(st.just("bound"), st.integers(0, 6)),
            st.tuples(st.just("age"), st.integers(1, 2000)),
        ),
        max_size=30,
    )
)
def test_no_gain_is_ever_lost_and_every_gauge_is_taken_dropped_or_waits(
    story: list[tuple[str, int | list[tuple[str, int]]]],
) -> None:
    box, given_points, taken, dropped, minute = Outbox(), list[Point](), list[Point](), 0, 0
    for what, argument in story:
        if what == "put" and isinstance(argument, list):
            # One point of a kind in a minute.
            new = [point(kind, minute, value) for kind, value in dict(argument).items()]
            given_points += new
            box = box.put(new)
        elif what == "take" and isinstance(argument, int):
            batch = box.points[:argument]
            taken += batch
            box = box.without(batch)
        elif what == "bound" and isinstance(argument, int):
            box, gone = box.bounded(T + 60.0 * minute, most=argument)
            dropped += gone
            assert len(box.points) <= argument
        elif isinstance(argument, int):
            minute += argument
    left = (*box.points, *box.waiting)
    assert gained(given_points) == gained((*taken, *left))
    gauges = [sum(it.measure is Measure.GAUGE for it in them) for them in (given_points, taken)]
    assert gauges[0] == gauges[1] + dropped + sum(it.measure is Measure.GAUGE for it in left)
    assert [it.time for it in box.points] == sorted(it.time for it in box.points)


@pytest.mark.parametrize("most", [0, 1, 5])
def test_an_empty_outbox_has_nothing_to_drop(most: int) -> None:
    assert Outbox().bounded(NOW, most) == (Outbox(), 0)
