"""What CloudWatch has not taken yet, oldest first, and what gives way when there is too much of it.

Gauges that must go are lost, and counted; what counters gained moves to the next point that stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from exporter.core.catalog import Measure
from exporter.core.points import AHEAD_SECONDS, Point, Points

# CloudWatch takes points of the last two weeks, and older than a day it shows late (DESIGN 5).
MAX_AGE_SECONDS = 86_400.0
# A day of the cluster's points, or of a few dozen subnets' beside them: some 15 MiB.
MAX_POINTS = 100_000


@dataclass(frozen=True, slots=True)
class Outbox:
    """Points that are to be sent, and gains for which there is no point to go with yet."""

    points: Points = ()
    waiting: Points = ()

    def put(self, points: Iterable[Point]) -> Outbox:
        """Return the outbox with more points, which take with them what waited for one."""
        added = tuple(points)
        joined, waiting = _joined(added, self.waiting)
        return Outbox(self.points + joined, waiting)

    def without(self, points: Iterable[Point]) -> Outbox:
        """Return the outbox without these very points."""
        gone = {id(point) for point in points}
        return replace(self, points=tuple(it for it in self.points if id(it) not in gone))

    def doubting(self, points: Iterable[Point]) -> Outbox:
        """Return the outbox with these very points marked: they may have been taken."""
        sent = {id(point) for point in points}
        return replace(
            self,
            points=tuple(replace(it, doubted=True) if id(it) in sent else it for it in self.points),
        )

    def released(self, now: float) -> Outbox:
        """Return the outbox with what waits for a point as points of its own, at the end."""
        stamped = tuple(replace(gain, time=int(now)) for gain in self.waiting)
        return Outbox(self.points + stamped)

    def bounded(self, now: float, most: int = MAX_POINTS) -> tuple[Outbox, int]:
        """Return the outbox within its bounds, and how many gauges were dropped for them."""
        oldest, newest = now - MAX_AGE_SECONDS, now + AHEAD_SECONDS
        kept = [point for point in self.points if oldest <= point.time <= newest]
        if len(kept) == len(self.points) <= most:
            return self, 0
        gone = [point for point in self.points if not oldest <= point.time <= newest]
        surplus = max(len(kept) - most, 0)
        gone += kept[:surplus]
        gains = tuple(point for point in gone if point.measure is not Measure.GAUGE)
        joined, waiting = _joined(tuple(kept[surplus:]), gains)
        outbox = Outbox(joined, _added(self.waiting, waiting))
        return outbox, len(gone) - len(gains)


def _joined(points: Points, gains: Points) -> tuple[Points, Points]:
    """Add each gain to the first point of its kind; return those points, and the gains left."""
    open = {gain.key: gain for gain in _added((), gains)}
    joined: list[Point] = []
    for point in points:
        if not open:
            break
        gain = open.pop(point.key, None)
        joined.append(point if gain is None else point.plus(gain))
    return (*joined, *points[len(joined) :]), tuple(open.values())


def _added(gains: Points, more: Points) -> Points:
    """Return one gain per kind."""
    sums: dict[tuple[str, str], Point] = {}
    for gain in (*gains, *more):
        before = sums.get(gain.key)
        sums[gain.key] = gain if before is None else before.plus(gain)
    return tuple(sums.values())
