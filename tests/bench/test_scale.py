from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.scale import Count, Line, costs, line, table

FOUND: dict[str, Any] = {
    "cycles": [
        {"nodes": 1_000, "cpu_seconds": [0.4, 0.3]},
        {"nodes": 10_000, "cpu_seconds": [3.1, 3.0, 3.2]},
    ],
    "surveys": {"enis": 20_000, "cpu_seconds": [2.1, 1.8]},
    "idle": {"nodes": 5_000, "seconds": 30.0, "cpu_seconds": 0.15},
    "peaks": {"1000": 130.0, "10000": 310.0},
}
COUNTS = [
    Count(nodes=200, series=3_200, page_bytes=32 * 1024, list_calls=12, eni_calls=2),
    Count(nodes=1_200, series=19_200, page_bytes=132 * 1024, list_calls=22, eni_calls=6),
]


@given(
    st.integers(0, 1_000),
    st.integers(-1_000, 1_000),
    st.lists(st.integers(1, 10_000), min_size=2, max_size=5, unique=True),
)
def test_points_on_a_line_give_that_line(base: int, each: int, at: list[int]) -> None:
    found = line([(x, base + each * x) for x in at])
    assert (found.base, found.each) == pytest.approx((base, each), abs=1e-6)


def test_a_line_that_would_begin_below_zero_begins_there() -> None:
    found = line([(1_000, 0.2), (10_000, 2.3)])
    assert found.base == 0.0
    assert found.each == pytest.approx(0.0002297, abs=1e-7)


def test_one_point_alone_is_taken_to_grow_from_nothing() -> None:
    assert line([(20_000, 1.8)]) == Line(0.0, 0.00009)


def test_the_table_draws_out_what_was_measured_and_counted() -> None:
    assert (
        table(costs(FOUND, COUNTS), (1_000, 100_000))
        == """\
|  | 1,000 nodes | 100,000 nodes (drawn out) |
| --- | ---: | ---: |
| CPU of one cycle | 0.30 s | 30.00 s |
| a cycle every 30 s | 1.0 % | 100.0 % |
| EC2's ENIs every 180 s | 0.2 % | 20.0 % |
| the watch of the API server | 0.1 % | 10.0 % |
| CPU in all | **1.3 %** | **130.0 %** |
| resident memory, at most | **130 MiB** | **2,110 MiB** |
| calls of the API server at the start | 20 | 1,010 |
| events of its watches | 3.3/s and pods | 333.3/s and pods |
| DescribeNetworkInterfaces at a time | 6 | 402 |
| of a bucket of 100 | 6.0 % | 402.0 % |
| of its 20 calls a second | 0.2 % | 11.2 % |
| DescribeSubnets, of the same | 0.1 % | 0.1 % |
| series in Prometheus | 16,000 | 1,600,000 |
| one scrape, gzipped | 112 KiB | 10,012 KiB |
| CloudWatch, where it is on | $8.23 a month | $8.23 a month |
"""
    )
