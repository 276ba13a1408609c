"""When a subnet has no address left, if its free ones go on falling as evenly as they did (ADR 14).

Readings are kept as medians of short bins, without a gap. Whenever a bin ends, lines are drawn
through the latest hour and longer spans; each new reading is held against them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from exporter.core.subnets import SubnetUsage

_BIN_SECONDS = 300.0
_SPAN_SECONDS = 6 * 3600.0
_BINS = 72
# A line is drawn through so many points, each the median of as many bins as one of the scales says.
_POINTS = 6
_SCALES = (2, 4, 6, 8, 12)
_LEAST_BINS = _POINTS * _SCALES[0]
# More bins in a row without a reading, and what was before is no part of the same history.
_MISSING_BINS = 2
_NEWEST = 3
_PAIRS = tuple((i, j) for j in range(_POINTS) for i in range(j))
# The least mean of the steps of a span over its standard error: one step down comes to 1, four
# equal ones to 4.
_EVENNESS = 8.0
# The last two steps may be this much of all steps' mean at least, or the fall is slowing down.
_UNSLOWED = 0.9
# How far above its line the newest reading may lie, in steps.
_LEEWAY = 0.5


@dataclass(frozen=True, slots=True)
class Pace:
    """How much history it takes: `least` seconds, with a reading every so many seconds."""

    least: float = 3600.0
    every: float = 60.0

    @property
    def bin(self) -> float:
        """The seconds of a bin, in which there is a reading at least."""
        return max(min(_BIN_SECONDS, self.least / _LEAST_BINS), self.every)

    @property
    def bins(self) -> int:
        """How many bins are kept."""
        return min(_BINS, int(_SPAN_SECONDS / self.bin))

    @property
    def scales(self) -> tuple[int, ...]:
        """How many bins make a point, of the spans that are long enough and kept."""
        least = self.least / (_POINTS * self.bin)
        return tuple(it for it in _SCALES if least <= it <= self.bins // _POINTS)


@dataclass(frozen=True, slots=True)
class Line:
    """An even fall: addresses at a time, the fall per second, and how far above is still on it."""

    time: float
    level: float
    fall: float
    leeway: float

    def holds(self, free: float, now: float) -> bool:
        """Whether so many free addresses are as few as the line says, or fewer."""
        return free <= self.level - self.fall * (now - self.time) + self.leeway


@dataclass(frozen=True, slots=True)
class History:
    """What is kept of one subnet's free addresses: medians of closed bins, and the open one.

    `number` counts the open bin's place in time, `newest` are the readings of the latest half bin,
    three at most, each with its time.
    """

    bins: tuple[float, ...] = ()
    number: int = 0
    readings: tuple[int, ...] = ()
    newest: tuple[tuple[float, int], ...] = ()
    lines: tuple[Line, ...] = ()

    def noted(self, free: int, now: float, pace: Pace) -> History:
        """Return the history after a reading."""
        number = math.floor(now / pace.bin)
        young = (it for it in self.newest if now - pace.bin / 2 <= it[0] <= now)
        newest = (*young, (now, free))[-_NEWEST:]
        if number == self.number and self.readings:
            return replace(self, readings=(*self.readings, free), newest=newest)
        missing = number - self.number - 1
        if not self.readings or not 0 <= missing <= _MISSING_BINS:
            return History(number=number, readings=(free,), newest=((now, free),))
        median = _median(self.readings)
        bins = (*self.bins, median)
        lines = _lines(bins[-pace.bins :], self.number, pace)
        # A missing bin is taken for the straight way from the one before to the first reading.
        way = (free - median) / (missing + 1)
        bins += tuple(median + way * step for step in range(1, missing + 1))
        return History(bins[-pace.bins :], number, (free,), newest, lines)

    def exhaustion(self, now: float) -> float | None:
        """Return the seconds until nothing is free; None where the addresses do not fall evenly.

        Of the spans that tell of an even fall, the shortest counts: it knows best what is now.
        """
        if not self.newest:
            return None
        free = _median([free for _, free in self.newest])
        return next((free / line.fall for line in self.lines if line.holds(free, now)), None)


@dataclass(frozen=True, slots=True)
class Forecaster:
    """The histories of all subnets, by id."""

    pace: Pace = Pace()
    histories: Mapping[str, History] = field(default_factory=dict)

    def after(
        self, usages: Iterable[SubnetUsage], now: float
    ) -> tuple[Forecaster, tuple[SubnetUsage, ...]]:
        """Return what to remember, and the subnets with the seconds until each is exhausted.

        `now` need not be a time of day, but must pass evenly.
        """
        histories: dict[str, History] = {}
        told = []
        for usage in usages:
            before = self.histories.get(usage.subnet.id, History())
            history = histories[usage.subnet.id] = before.noted(usage.left, now, self.pace)
            told.append(replace(usage, exhaustion_seconds=history.exhaustion(now)))
        return Forecaster(self.pace, histories), tuple(told)


def _lines(bins: Sequence[float], last: int, pace: Pace) -> tuple[Line, ...]:
    """Return the lines of all spans that end with the bin of this number and fall evenly.

    The shortest comes first.
    """
    found = []
    for scale in pace.scales:
        span = bins[-_POINTS * scale :]
        if len(span) == _POINTS * scale:
            points = [_median(span[i : i + scale]) for i in range(0, len(span), scale)]
            # The middle of the last point.
            time = (last + 1 - scale / 2) * pace.bin
            line = _line(points, time, scale * pace.bin)
            if line is not None:
                found.append(line)
    return tuple(found)


def _line(points: Sequence[float], time: float, seconds: float) -> Line | None:
    """Return the line through points, so many seconds apart, of which the last is at `time`."""
    step = _even_step(points)
    if step is None:
        return None
    fall = _median([(points[i] - points[j]) / (j - i) for i, j in _PAIRS])
    level = _median([point - fall * (_POINTS - 1 - i) for i, point in enumerate(points)])
    return Line(time, level, fall / seconds, _LEEWAY * step)


def _even_step(points: Sequence[float]) -> float | None:
    """Return how much a point falls to the next on average, None where that is not even."""
    steps = [before - after for before, after in pairwise(points)]
    mean = math.fsum(steps) / len(steps)
    if mean <= 0 or (steps[-1] + steps[-2]) / 2 < _UNSLOWED * mean:
        return None
    variance = math.fsum((step - mean) ** 2 for step in steps) / (len(steps) - 1)
    return mean if mean >= _EVENNESS * math.sqrt(variance / len(steps)) else None


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2
