"""Points for CloudWatch: what is read goes into its minute, and a minute that closes is told once.

A reading belongs to the minute it began in, or, where that has closed already, to the earliest
that is open. A gauge is the minute's last whole cycle, whatever that could read: the coverage
stands beside it. A counter's gain is what it rose since the last minute that told one, so a
minute without a reading has no point and loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Protocol, TypeVar

from exporter.core.catalog import (
    CLOUDWATCH_GAUGES,
    CLOUDWATCH_SUBNETS,
    CLOUDWATCH_TOTALS,
    CloudWatchMetric,
    Measure,
)
from exporter.core.counters import Timings
from exporter.core.report import Report
from exporter.core.subnets import SubnetUsage

Row = TypeVar("Row")

# No service of AWS takes a request whose clock is off by more. What was stamped later than that
# ahead of now was stamped by a clock that has since been set, and never taken.
AHEAD_SECONDS = 900.0
# Characters in the value of a dimension (MetricDatum, API reference).
MAX_DIMENSION = 1024


@dataclass(frozen=True, slots=True)
class Point:
    """One metric in the minute that began at `time` (Unix seconds), of one subnet or the cluster.

    `doubted` says that it was sent once without hearing what became of it.
    """

    name: str
    unit: str
    measure: Measure
    time: int
    value: float | Timings
    subnet: str = ""
    doubted: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What it is a point of."""
        return self.name, self.subnet

    def plus(self, other: Point) -> Point:
        """Return this point with another one's gain added."""
        mine, theirs = self.value, other.value
        if isinstance(mine, Timings) and isinstance(theirs, Timings):
            return replace(self, value=mine.plus(theirs), doubted=self.doubted or other.doubted)
        assert not isinstance(mine, Timings)
        assert not isinstance(theirs, Timings)
        return replace(self, value=mine + theirs, doubted=self.doubted or other.doubted)


Points = tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Minutes:
    """What was read in the minute that is open, and what the counters had told before it.

    `period` is the length of a minute in seconds. `open` is the earliest minute that is not
    closed; it has begun once something was read in it. `heard` says that it has a reading of the
    counters, which without a node that answered there is not.
    """

    period: int = 60
    open: float = -inf
    begun: bool = False
    gauges: Points = ()
    subnets: Points = ()
    heard: bool = False
    counts: Mapping[str, float] = field(default_factory=dict)
    told: Mapping[str, float] = field(default_factory=dict)
    timings: Timings | None = None


def take(minutes: Minutes, report: Report) -> tuple[Minutes, Points]:
    """Note a finished cycle; return with it the points of the minute that it closes, if any.

    Cycles come in order, so that one of a later minute is the end of those before.
    """
    minutes, points = _at(minutes, report.time)
    cluster, timings = report.cluster, minutes.timings
    if report.timings is not None:
        timings = report.timings if timings is None else timings.plus(report.timings)
    noted = replace(
        minutes,
        gauges=_gauges(CLOUDWATCH_GAUGES, cluster, minutes.open),
        heard=minutes.heard or cluster.read > 0 or not cluster.expected,
        counts=_counts(report),
        timings=timings,
    )
    return noted, points


def take_subnets(
    minutes: Minutes, usages: Iterable[SubnetUsage], now: float, *, surveyed: bool
) -> tuple[Minutes, Points]:
    """Note the subnets' accounts as they were published at `now`.

    Without a survey of the ENIs what only these can tell is not new, and is left out.
    """
    minutes, points = _at(minutes, now)
    found = {point.key: point for point in minutes.subnets}
    for usage in usages:
        known = usage if surveyed else replace(usage, blocks=None)
        for point in _gauges(CLOUDWATCH_SUBNETS, known, minutes.open, usage.subnet.id):
            found[point.key] = point
    return replace(minutes, subnets=tuple(found.values())), points


def close(minutes: Minutes, now: float) -> tuple[Minutes, Points]:
    """Close the open minute if it is over at `now`; return with it the minute's points."""
    if minutes.begun and now >= minutes.open + minutes.period:
        return _closed(minutes)
    return minutes, ()


def finish(minutes: Minutes) -> Points:
    """Return what the unfinished minute has gained, at the end of the program.

    Its gauges are left to whoever reads on, and gains of nothing would only add samples.
    """
    return tuple(point for point in _gains(minutes) if point.value)


def _at(minutes: Minutes, time: float) -> tuple[Minutes, Points]:
    """Open the minute that a reading of this time belongs to."""
    slot = time // minutes.period * minutes.period
    if slot <= minutes.open and minutes.open - slot <= AHEAD_SECONDS:
        return replace(minutes, begun=True), ()
    points: Points = ()
    if slot > minutes.open and minutes.begun:
        minutes, points = _closed(minutes)
    elif slot < minutes.open:
        # The clock was set back: what is open has a time that never was.
        minutes = replace(minutes, gauges=(), subnets=())
    return replace(minutes, open=slot, begun=True), points


def _closed(minutes: Minutes) -> tuple[Minutes, Points]:
    points = (*minutes.gauges, *_gains(minutes), *minutes.subnets)
    after = Minutes(minutes.period, minutes.open + minutes.period, counts=minutes.counts)
    if minutes.heard:
        return replace(after, told=minutes.counts), points
    return replace(after, told=minutes.told), points


def _gauges(
    metrics: Iterable[CloudWatchMetric[Row]], row: Row, minute: float, subnet: str = ""
) -> Points:
    found = ((metric, metric.value(row)) for metric in metrics)
    return tuple(
        Point(metric.name, metric.unit, metric.measure, int(minute), value, subnet)
        for metric, value in found
        if value is not None
    )


def _counts(report: Report) -> Mapping[str, float]:
    gained = (metric for metric in CLOUDWATCH_TOTALS if metric.measure is Measure.GAIN)
    return {metric.name: metric.value(report.totals) or 0.0 for metric in gained}


def _gains(minutes: Minutes) -> Points:
    if not minutes.heard:
        return ()
    points = []
    for metric in CLOUDWATCH_TOTALS:
        value: float | Timings | None = minutes.timings
        if metric.measure is Measure.GAIN:
            value = minutes.counts[metric.name] - minutes.told.get(metric.name, 0.0)
        if value is not None:
            name, unit, time = metric.name, metric.unit, int(minutes.open)
            points.append(Point(name, unit, metric.measure, time, value))
    return tuple(points)


class PointWriter(Protocol):
    """The door to CloudWatch."""

    @property
    def call_seconds(self) -> float:
        """After so many seconds a call has ended, whatever became of it."""

    def fitting(self, points: Sequence[Point], cluster: str) -> int:
        """Return how many of the first points fit into one call; one always does."""

    async def send(self, points: Sequence[Point], cluster: str) -> None:
        """Publish points in one call; raises `Unavailable` alone.

        `Invalid` where CloudWatch will not have one of them, `Unanswered` where it may have taken
        them all; otherwise it took none.
        """


def unusable(cluster: str) -> str:
    """Return why a cluster's name cannot be a dimension's value, empty where it can."""
    if not cluster:
        return "the cluster's name is not known"
    printable = cluster.isascii() and cluster.isprintable() and not cluster.isspace()
    if not printable or len(cluster) > MAX_DIMENSION:
        return "the cluster's name is no ASCII text of up to 1,024 characters"
    return ""
