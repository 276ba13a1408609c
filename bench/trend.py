"""What figures do in the long run: percentiles, and the slope of a line through them. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

# Pairs of points grow with the square of the points.
_MOST_POINTS = 400

Point = tuple[float, float]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of all values does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * share), 1) - 1]


def slope(points: Sequence[Point]) -> float:
    """Return the slope of a line through the points by Theil and Sen: the median over all pairs.

    It does not follow single points, however far out. Of many points, evenly spread ones count.
    """
    step = max(1, len(points) // _MOST_POINTS)
    pairs = combinations(points[::step], 2)
    slopes = [(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in pairs if x2 != x1]
    return statistics.median(slopes) if slopes else 0.0


@dataclass(frozen=True, slots=True)
class Trend:
    """A line through figures: where it begins and where it ends."""

    begins: float
    ends: float

    @classmethod
    def of(cls, points: Sequence[Point]) -> Trend:
        """Return the line through points that are in the order of their first coordinate."""
        steepness = slope(points)
        middle = statistics.median(y - steepness * x for x, y in points)
        first, last = points[0][0], points[-1][0]
        return cls(middle + steepness * first, middle + steepness * last)

    @property
    def growth(self) -> float:
        """How much more the end is than the beginning."""
        return self.ends - self.begins

    @property
    def share(self) -> float:
        """The growth as a share of the beginning."""
        return self.growth / self.begins if self.begins else math.inf
