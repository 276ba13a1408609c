"""Synthetic histories of a subnet's free addresses, and what the forecast told minute by minute."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from exporter.core.forecast import Forecaster, History, Pace
from exporter.core.subnets import SubnetUsage
from tests.builders import without_enis

MINUTE = 60.0
HOUR = 3600.0
# Nothing here is a time of day; bins begin at any moment of a reading.
BEGIN = 12_345.0

Shape = Callable[[float], float]


@dataclass(frozen=True)
class Told:
    """What was told at a moment after the beginning, in seconds; the addresses were read then."""

    at: float
    free: int
    seconds: float | None


def told(
    shape: Shape,
    *,
    hours: float,
    pace: Pace | None = None,
    every: float = MINUTE,
    unread: Callable[[float], bool] = lambda _: False,
) -> list[Told]:
    """Return what is told of addresses that follow a shape, after each reading of them."""
    pace, history, found = pace or Pace(), History(), []
    for number in range(int(hours * HOUR / every)):
        at = number * every
        if unread(at):
            continue
        free = max(0, round(shape(at)))
        history = history.noted(free, BEGIN + at, pace)
        found.append(Told(at, free, history.exhaustion(BEGIN + at)))
    return found


def said(moments: Iterable[Told]) -> list[Told]:
    """Return the moments at which there was a forecast."""
    return [it for it in moments if it.seconds is not None]


def between(moments: Iterable[Told], start: float, stop: float) -> list[Told]:
    """Return the moments from one time on to before another, in hours."""
    return [it for it in moments if start * HOUR <= it.at < stop * HOUR]


def errors(moments: Iterable[Told], end: float) -> list[float]:
    """Return how far off each forecast was, as a share of the time that there was in truth."""
    return [
        (it.seconds - (end - it.at)) / (end - it.at) for it in moments if it.seconds is not None
    ]


def falling(start: float, an_hour: float) -> Shape:
    """So many at first, and so many fewer an hour."""
    return lambda at: start - an_hour * at / HOUR


def noisy(shape: Shape, deviation: float, seed: int = 1) -> Shape:
    """The shape with white noise upon each reading."""
    rng = random.Random(seed)
    return lambda at: shape(at) + rng.gauss(0, deviation)


def wandering(level: float, deviation: float, minutes: float, seed: int = 1) -> Shape:
    """Around a level, to which it comes back within about so many minutes."""
    rng = random.Random(seed)
    keeps = math.exp(-1 / minutes)
    away = [0.0]

    def shape(_: float) -> float:
        away[0] = keeps * away[0] + rng.gauss(0, deviation * math.sqrt(1 - keeps**2))
        return level + away[0]

    return shape


def wave(mean: float, amplitude: float, highest: float = 0.0) -> Shape:
    """A day: most are free at an hour, fewest twelve hours later."""
    return lambda at: mean + amplitude * math.cos(2 * math.pi * (at / HOUR - highest) / 24)


def ramp(high: float, low: float, *, start: float, minutes: float) -> Shape:
    """High until an hour, then down within some minutes, and low from then on."""

    def shape(at: float) -> float:
        part = (at - start * HOUR) / (minutes * MINUTE) if minutes else float(at >= start * HOUR)
        return high - (high - low) * min(max(part, 0.0), 1.0)

    return shape


def joined(first: Shape, then: Shape, hour: float) -> Shape:
    """One shape until an hour, and another from then on."""
    return lambda at: first(at) if at < hour * HOUR else then(at)


def subnets(*left: int, size: int = 4096) -> tuple[SubnetUsage, ...]:
    """Subnets of which so many addresses are left."""
    return tuple(
        replace(without_enis(f"subnet-{number}"), size=size, utilization=1 - free / (size - 5))
        for number, free in enumerate(left)
    )


def after(forecaster: Forecaster, readings: Sequence[tuple[int, ...]]) -> Forecaster:
    """Return what is remembered after a reading of some subnets each minute."""
    for minute, left in enumerate(readings):
        forecaster, _ = forecaster.after(subnets(*left), minute * MINUTE)
    return forecaster
