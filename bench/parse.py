"""Parsing one page: ours against prometheus_client's parser over the same bytes."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from exporter.inputs.ipamd_page import parse_page

# A busy node in secondary-IP mode; 450 lines.
PAGE = Path(__file__).parents[1] / "tests" / "data" / "pages" / "v1.20.prom"
ROUNDS = 5


def measure() -> dict[str, float]:
    """Return pages per second of both, medians of rounds taken in turn, and their ratio."""
    body = PAGE.read_bytes()
    text = body.decode()
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(_rate(lambda: parse_page(body, 0.0), 2_000))
        theirs.append(_rate(lambda: list(text_string_to_metric_families(text)), 40))
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    return {
        "lines": body.count(b"\n"),
        "bytes": len(body),
        "pages_per_second": round(statistics.median(ours)),
        "prometheus_client_pages_per_second": round(statistics.median(theirs)),
        "times_as_fast": round(statistics.median(ratios), 1),
    }


def _rate(work: Callable[[], object], times: int) -> float:
    work()
    began = time.perf_counter()
    for _ in range(times):
        work()
    return times / (time.perf_counter() - began)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
