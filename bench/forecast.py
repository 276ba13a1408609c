"""When subnets run out: a reading of many that all fall, with all the history that is kept."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import replace

from exporter.core.forecast import Forecaster
from exporter.core.subnets import SubnetUsage
from tests.builders import without_enis

SUBNETS = 100
SIZE = 8_192
MINUTES_KEPT = 6 * 60 + 5
MINUTES_MEASURED = 120


def measure() -> dict[str, float]:
    """Return the milliseconds that a minute's reading takes: the median, the mean, the longest."""
    empty = [replace(without_enis(f"subnet-{number}"), size=SIZE) for number in range(SUBNETS)]
    forecaster, took, told = Forecaster(), [], 0
    for minute in range(MINUTES_KEPT + MINUTES_MEASURED):
        usages = [_with_left(usage, 8_000 - 5 * minute - minute % 3) for usage in empty]
        began = time.perf_counter()
        forecaster, found = forecaster.after(usages, minute * 60.0)
        took.append(time.perf_counter() - began)
        told = sum(usage.exhaustion_seconds is not None for usage in found)
    assert told == SUBNETS, "every one of them falls"
    measured = [seconds * 1000 for seconds in took[MINUTES_KEPT:]]
    return {
        "subnets": SUBNETS,
        "median_milliseconds": round(statistics.median(measured), 2),
        "mean_milliseconds": round(statistics.fmean(measured), 2),
        "longest_milliseconds": round(max(measured), 2),
    }


def _with_left(usage: SubnetUsage, left: int) -> SubnetUsage:
    return replace(usage, utilization=1 - left / (SIZE - 5))


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
