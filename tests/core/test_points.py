"""Minutes and their points: what belongs to which, and that nothing is lost or told twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.catalog import CLOUDWATCH_GAUGES, CLOUDWATCH_TOTALS, ON_CLOUDWATCH, Measure
from exporter.core.counters import (
    ADD_REQUESTS,
    AWS_API_MILLISECONDS,
    AWS_API_TIMED_CALLS,
    Series,
    Timings,
)
from exporter.core.model import Outcome
from exporter.core.points import (
    AHEAD_SECONDS,
    Minutes,
    Point,
    Points,
    close,
    finish,
    take,
    take_subnets,
    unusable,
)
from exporter.core.report import Memory, Report, step
from exporter.core.subnets import SubnetUsage
from tests.builders import (
    LONG_AGO,
    pod,
    read,
    reading,
    snapshot,
    subnet_usage,
    target,
    unread,
    without_enis,
)

T = 1_787_200_020  # the beginning of a minute
ADDS = Series(ADD_REQUESTS, ())
SPENT = Series(AWS_API_MILLISECONDS, ("GetMetadata",))
CALLS = Series(AWS_API_TIMED_CALLS, ("GetMetadata",))


class Cycles:
    """One cycle after the other, on one memory."""

    def __init__(self) -> None:
        self.memory = Memory()

    def at(self, time: float, *outcomes: Outcome) -> Report:
        self.memory, report = step(self.memory, snapshot(*outcomes, time=time))
        return report

    def adds(self, time: float, adds: float, **figures: int) -> Report:
        """One node that counts so many requests by now."""
        what = reading(time=time, said={ADDS: adds}, **figures)  # type: ignore[arg-type]
        return self.at(time, read(what=what))


def told(reports: Iterable[Report], minutes: Minutes | None = None) -> tuple[Minutes, list[Point]]:
    """What the minutes told that these cycles closed."""
    minutes = minutes or Minutes()
    found: list[Point] = []
    for report in reports:
        minutes, points = take(minutes, report)
        found += points
    return minutes, found


def values(points: Iterable[Point], name: str) -> dict[int, float | Timings]:
    return {point.time: point.value for point in points if point.name == name}


def test_a_minute_has_one_point_for_every_metric_stamped_with_its_beginning() -> None:
    cycles = Cycles()
    reports = [
        cycles.at(T + 1, read(what=reading(time=T + 1, said={SPENT: 100, CALLS: 10}))),
        cycles.at(T + 31, read(what=reading(time=T + 31, said={SPENT: 160, CALLS: 12}))),
    ]
    minutes, early = told(reports)
    assert early == []
    points = close(minutes, T + 60)[1]
    assert [(point.name, point.unit, point.measure) for point in points] == [
        (it.name, it.unit, it.measure) for it in ON_CLOUDWATCH if "subnet" not in it.name
    ]
    assert {(point.time, point.subnet, point.doubted) for point in points} == {(T, "", False)}


def test_a_gauge_is_the_last_cycle_of_its_minute_and_its_coverage_of_that_same_cycle() -> None:
    cycles = Cycles()
    reports = [
        cycles.at(T + 5, read("node-1", reading(assigned=5)), read("node-2", reading(assigned=7))),
        cycles.at(T + 35, read("node-1", reading(assigned=6)), unread("node-2")),
    ]
    _, points = close(told(reports)[0], T + 60)
    assert {it.name: it.value for it in points if it.measure is Measure.GAUGE} == {
        "nodesExpected": 2,
        "nodesRead": 1,
        "assignIPAddresses": 6,
        "totalAssignedIPv4sPerCidr": 6,
        "warmIPAddresses": 12,
        "maxIPAddresses": 27,
        "eniAllocated": 2,
        "eniMaxAvailable": 3,
        "totalIPAddresses": 18,
        "totalIPv4Prefixes": 0,
        "ipamdActionInProgress": 0,
        "coveragePercent": 50,
    }


def test_a_counter_is_the_gain_of_its_minute_however_many_cycles_it_has() -> None:
    cycles = Cycles()
    reports = [
        cycles.adds(time, adds)
        for time, adds in [
            (T + 5, 100),
            (T + 35, 103),
            (T + 65, 103),
            (T + 95, 110),
            (T + 125, 111),
            (T + 185, 111),
        ]
    ]
    minutes, points = told(reports)
    points += close(minutes, T + 240)[1]
    assert values(points, "addReqCount") == {T: 3, T + 60: 7, T + 120: 1, T + 180: 0}


def test_a_minute_without_a_cycle_has_no_point_and_its_gains_come_with_the_next() -> None:
    cycles = Cycles()
    minutes, points = told([cycles.adds(T + 5, 100), cycles.adds(T + 245, 109)])
    assert {point.time for point in points} == {T}
    points += close(minutes, T + 300)[1]
    assert values(points, "addReqCount") == {T: 0, T + 240: 9}


def test_a_minute_in_which_no_node_answered_tells_only_that() -> None:
    cycles = Cycles()
    minutes, points = told([cycles.adds(T + 5, 100), cycles.at(T + 65, unread())])
    points += close(minutes, T + 120)[1]
    minutes = close(minutes, T + 120)[0]
    assert {it.name: it.value for it in points if it.time == T + 60} == {
        "nodesExpected": 1,
        "nodesRead": 0,
        "coveragePercent": 0,
    }
    minutes, _ = told([cycles.adds(T + 125, 104)], minutes)
    assert values(close(minutes, T + 180)[1], "addReqCount") == {T + 120: 4}


def test_a_cluster_without_nodes_gains_nothing_and_that_is_known() -> None:
    minutes, _ = told([Cycles().at(T + 5)])
    points = close(minutes, T + 60)[1]
    assert {it.value for it in points if it.measure is Measure.GAIN} == {0}
    assert values(points, "nodesExpected") == {T: 0}


def test_the_times_of_calls_are_one_statistic_set_over_nodes_and_apis() -> None:
    other = (
        Series(AWS_API_MILLISECONDS, ("CreateTags",)),
        Series(AWS_API_TIMED_CALLS, ("CreateTags",)),
    )
    cycles = Cycles()

    def at(time: float, *said: dict[Series, float]) -> Report:
        nodes = (
            read(target(f"node-{n}"), reading(time=time, said=it)) for n, it in enumerate(said)
        )
        return cycles.at(time, *nodes)

    reports = [
        at(T + 1, {SPENT: 10, CALLS: 10, other[0]: 0, other[1]: 0}, {SPENT: 0, CALLS: 0}),
        # 5 ms a call, 300 ms a call; and nothing asked on the other node.
        at(T + 31, {SPENT: 20, CALLS: 12, other[0]: 900, other[1]: 3}, {SPENT: 0, CALLS: 0}),
        # 1 ms a call; 80 ms a call on the other node.
        at(T + 59, {SPENT: 24, CALLS: 16, other[0]: 900, other[1]: 3}, {SPENT: 160, CALLS: 2}),
        at(T + 61, {SPENT: 24, CALLS: 16, other[0]: 900, other[1]: 3}, {SPENT: 160, CALLS: 2}),
    ]
    minutes, points = told(reports)
    whole = Timings(calls=11, milliseconds=1074, quickest=1, slowest=300)
    assert values(points, "awsAPILatency") == {T: whole}
    assert values(points, "awsAPILatencyMilliseconds") == {T: whole}
    # A set of no samples is none.
    assert values(close(minutes, T + 120)[1], "awsAPILatency") == {}


def test_a_minute_closes_once_it_is_over_and_only_once() -> None:
    minutes, _ = told([Cycles().adds(T + 59.9, 5)])
    assert close(minutes, T + 59.99) == (minutes, ())
    closed, points = close(minutes, T + 60)
    assert points
    assert close(closed, T + 600) == (closed, ())


def test_a_cycle_that_comes_after_its_minute_has_closed_belongs_to_the_next() -> None:
    cycles = Cycles()
    minutes, _ = told([cycles.adds(T + 5, 100)])
    minutes, first = close(minutes, T + 60)
    minutes, _ = told([cycles.adds(T + 59, 103, assigned=6)], minutes)
    second = close(minutes, T + 120)[1]
    assert values((*first, *second), "addReqCount") == {T: 0, T + 60: 3}
    assert values((*first, *second), "assignIPAddresses") == {T: 5, T + 60: 6}


def test_no_minute_is_told_twice_where_the_clock_is_set_back_a_little() -> None:
    cycles = Cycles()
    times = [T + 5, T + 65, T + 65 - AHEAD_SECONDS, T + 125 - AHEAD_SECONDS, T + 125]
    minutes, points = told(cycles.adds(time, 100 + n) for n, time in enumerate(times))
    points += close(minutes, T + 180)[1]
    assert values(points, "addReqCount") == {T: 0, T + 60: 3, T + 120: 1}


def test_minutes_begin_anew_where_the_clock_is_set_back_by_more() -> None:
    cycles = Cycles()
    before = T - 7200
    minutes, points = told([cycles.adds(T + 5, 100), cycles.adds(T + 65, 103)])
    minutes, _ = take_subnets(minutes, [without_enis(free=9)], T + 65, surveyed=False)
    minutes, more = told([cycles.adds(before + 5, 104), cycles.adds(before + 65, 106)], minutes)
    # What was gained under the wrong clock is told under the right one, and its gauges are not.
    assert values((*points, *more), "addReqCount") == {T: 0, before: 4}
    assert values(more, "subnetFreeIPs") == {}


@pytest.mark.parametrize("period", [1, 2, 60, 300])
def test_a_minute_is_as_long_as_the_period(period: int) -> None:
    cycles = Cycles()
    start = T // 300 * 300
    times = [start + period * n + 0.5 for n in range(4)]
    reports = [cycles.adds(time, 100 + 2 * n) for n, time in enumerate(times)]
    _, points = told(reports, Minutes(period))
    assert values(points, "addReqCount") == {
        start + period * n: gain for n, gain in enumerate([0, 2, 2])
    }


class TestAtTheEnd:
    def test_the_unfinished_minutes_gains_are_told_and_not_its_gauges(self) -> None:
        cycles = Cycles()
        minutes, _ = told([cycles.adds(T + 5, 100), cycles.adds(T + 35, 104)])
        assert finish(minutes) == (Point("addReqCount", "Count", Measure.GAIN, T, 4),)

    def test_the_times_of_its_calls_are_told_too(self) -> None:
        cycles = Cycles()
        minutes, _ = told(
            [
                cycles.at(T + 1, read(what=reading(time=T + 1, said={SPENT: 0, CALLS: 0}))),
                cycles.at(T + 9, read(what=reading(time=T + 9, said={SPENT: 6, CALLS: 2}))),
            ]
        )
        times = Timings(2, 6, 3, 3)
        assert [(it.name, it.value) for it in finish(minutes)] == [
            ("awsAPILatency", times),
            ("awsAPILatencyMilliseconds", times),
        ]

    def test_nothing_is_told_of_a_minute_without_a_reading(self) -> None:
        assert finish(Minutes()) == ()
        assert finish(told([Cycles().at(T, unread())])[0]) == ()


class TestSubnets:
    def told(self, *taken: tuple[float, Sequence[SubnetUsage], bool]) -> Points:
        minutes, found = Minutes(), list[Point]()
        for now, usages, surveyed in taken:
            minutes, points = take_subnets(minutes, usages, now, surveyed=surveyed)
            found += points
        return (*found, *close(minutes, taken[-1][0] + 60)[1])

    def test_tell_the_last_account_of_the_minute_each_under_its_own_name(self) -> None:
        points = self.told(
            (T + 1, [subnet_usage("subnet-a", free=151), without_enis("subnet-b")], True),
            (T + 58, [subnet_usage("subnet-a", free=150), without_enis("subnet-b")], True),
        )
        assert {(it.subnet, it.name): it.value for it in points} == {
            ("subnet-a", "subnetFreeIPs"): 150,
            ("subnet-a", "subnetUtilizationPercent"): pytest.approx(100 * (1 - 166 / 251)),
            ("subnet-a", "subnetFreePrefixes"): 7,
            ("subnet-b", "subnetFreeIPs"): 10,
            ("subnet-b", "subnetUtilizationPercent"): pytest.approx(100 * (1 - 10 / 59)),
        }
        assert {(it.time, it.measure) for it in points} == {(T, Measure.GAUGE)}
        assert {it.unit for it in points} == {"Count", "Percent"}

    def test_tell_of_free_prefixes_only_where_enis_were_read_in_that_minute(self) -> None:
        points = self.told(
            (T + 1, [subnet_usage()], True),
            (T + 31, [subnet_usage(free=149)], False),
            (T + 61, [subnet_usage(free=148)], False),
        )
        assert values(points, "subnetFreeIPs") == {T: 149, T + 60: 148}
        assert values(points, "subnetFreePrefixes") == {T: 7}

    def test_stand_beside_the_clusters_points_of_the_minute(self) -> None:
        minutes, _ = told([Cycles().adds(T + 5, 100)])
        minutes, _ = take_subnets(minutes, [without_enis()], T + 6, surveyed=False)
        names = [point.name for point in close(minutes, T + 60)[1]]
        assert names[-2:] == ["subnetFreeIPs", "subnetUtilizationPercent"]
        assert len(names) == len(CLOUDWATCH_GAUGES) + len(CLOUDWATCH_TOTALS) - 2 + 2


def test_a_point_takes_in_another_ones_gain_and_its_doubt() -> None:
    gain = Point("addReqCount", "Count", Measure.GAIN, T, 3.0)
    doubted = replace(gain, time=T - 60, value=4.0, doubted=True)
    assert gain.plus(doubted) == replace(gain, value=7.0, doubted=True)
    times = replace(gain, measure=Measure.TIMINGS, value=Timings(2, 10, 4, 6))
    more = replace(times, value=Timings(1, 9, 9, 9))
    assert times.plus(more) == replace(times, value=Timings(3, 19, 4, 9))


@pytest.mark.parametrize(
    ("cluster", "fits"),
    [
        pytest.param("prod", True, id="a name"),
        pytest.param("prod east #1: blue", True, id="punctuation"),
        pytest.param("p" * 1024, True, id="the longest"),
        pytest.param("", False, id="none"),
        pytest.param("p" * 1025, False, id="too long"),
        pytest.param("  ", False, id="blanks alone"),
        pytest.param("produção", False, id="not in ASCII"),
        pytest.param("prod\n", False, id="a control character"),
    ],
)
def test_a_clusters_name_must_be_fit_for_a_dimension(cluster: str, fits: bool) -> None:
    assert (unusable(cluster) == "") is fits


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[float, dict[str, float] | None]]:
    """Cycles at any distance, each with what the nodes that answered counted by then."""
    time, counts = float(T), {"a": 0.0, "b": 50.0}
    found: list[tuple[float, dict[str, float] | None]] = []
    for _ in range(draw(st.integers(1, 25))):
        time += draw(st.floats(0.5, 150.0))
        counts = {name: at + draw(st.integers(0, 5)) for name, at in counts.items()}
        some = {name: at for name, at in counts.items() if draw(st.integers(0, 4))}
        found.append((time, some))
    return found


@given(histories(), st.data())
def test_gains_are_told_once_whatever_is_read_when(
    history: list[tuple[float, dict[str, float] | None]], data: st.DataObject
) -> None:
    """Every minute's gain is what its own readings show, and together they are all there is."""
    cycles, minutes = Cycles(), Minutes()
    points: list[Point] = []
    wanted: defaultdict[int, float] = defaultdict(float)
    last: dict[str, float] = {}
    minute = T // 60 * 60
    for time, counts in history:
        minute = max(minute, int(time // 60) * 60)
        outcomes = [
            read(
                target(name, pod(name, node=name)),
                reading(time=time, started=LONG_AGO, said={ADDS: counts[name]}),
            )
            if counts and name in counts
            else unread(target(name, pod(name, node=name)))
            for name in ("a", "b")
        ]
        for name, count in (counts or {}).items():
            wanted[minute] += count - last.get(name, count)
            last[name] = count
        minutes, more = take(minutes, cycles.at(time, *outcomes))
        points += more
        if data.draw(st.booleans()):
            minutes, more = close(minutes, time + data.draw(st.floats(0, 70)))
            points += more
            if more:
                minute = int(more[0].time) + 60
    points += close(minutes, minute + 120)[1]
    gains = [it for it in points if it.name == "addReqCount"]
    assert len({it.time for it in gains}) == len(gains)
    assert {it.time: it.value for it in gains if it.value} == {
        time: gain for time, gain in wanted.items() if gain
    }
