from __future__ import annotations

import json
import math

import pytest

from bench.figures import Baseline, HeldTo, Row, Unit, Verdict, over, table

BASE = Baseline("the library", 100.0)


def row(
    figure: float,
    *,
    budget: float | None = None,
    baseline: Baseline | None = None,
    times: float | None = None,
) -> Row:
    return Row(
        what="parse a page",
        at="450 lines",
        figure=figure,
        unit=Unit.MILLISECONDS,
        budget=budget,
        baseline=baseline,
        times=times,
    )


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        pytest.param(row(10, budget=10), "ok", id="at its budget"),
        pytest.param(row(10.01, budget=10), "OVER", id="over its budget"),
        pytest.param(row(math.nan, budget=10), "OVER", id="no number"),
        pytest.param(row(5, baseline=BASE, times=20), "ok", id="just as many times as good"),
        pytest.param(row(5.1, baseline=BASE, times=20), "OVER", id="not as many times as good"),
        pytest.param(row(5, times=20), "OVER", id="held to a baseline that was not measured"),
        pytest.param(row(1, budget=0.5, baseline=BASE, times=20), "OVER", id="one of two met"),
        pytest.param(row(1, budget=2, baseline=BASE, times=20), "ok", id="both met"),
        pytest.param(row(1e9, baseline=BASE), "told", id="held to nothing"),
    ],
)
def test_a_row_is_within_all_that_it_is_held_to_or_over_it(measured: Row, verdict: str) -> None:
    assert measured.verdict() == verdict


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        pytest.param(row(11, budget=10), Verdict.TOLD, id="over its budget"),
        pytest.param(row(5.1, budget=10, baseline=BASE, times=20), Verdict.OVER, id="short"),
        pytest.param(row(5, budget=1, baseline=BASE, times=20), Verdict.OK, id="as good as asked"),
    ],
)
def test_where_only_ratios_count_no_budget_does(measured: Row, verdict: Verdict) -> None:
    assert measured.verdict(HeldTo.RATIOS) is verdict


def test_a_run_is_over_where_one_row_is() -> None:
    good, bad = row(1, budget=2), row(3, budget=2)
    assert not over([good, good], HeldTo.ALL)
    assert over([good, bad, good], HeldTo.ALL)
    assert not over([good, bad, good], HeldTo.RATIOS)


def test_the_ratio_says_how_many_times_as_good_as_the_baseline_a_figure_is() -> None:
    assert row(8, baseline=BASE).ratio == 12.5
    assert row(0, baseline=BASE).ratio == math.inf
    assert row(8).ratio is None


def test_the_table_shows_figure_budget_ratio_and_verdict_of_each_row() -> None:
    rows = [
        row(12.345, budget=2.5, baseline=BASE, times=20),
        row(1234.5, budget=25_000),
        Row(what="memory", at="1,000 nodes", figure=0.00321, unit=Unit.MIB, baseline=BASE),
    ]
    assert table(rows, HeldTo.ALL).splitlines() == [
        "what          at                figure    budget       ratio  to           verdict",
        "parse a page  450 lines        12.3 ms    2.5 ms  8.1 (≥ 20)  the library  OVER",
        "parse a page  450 lines        1234 ms  25000 ms                           ok",
        "memory        1,000 nodes  0.00321 MiB                 31153  the library  told",
    ]


def test_what_goes_into_the_json_is_json_whatever_was_measured() -> None:
    told = [
        row(12.3456, budget=2.5, baseline=BASE, times=20).told(HeldTo.ALL),
        row(math.inf).told(HeldTo.ALL),
    ]
    assert json.loads(json.dumps(told, allow_nan=False)) == [
        {
            "what": "parse a page",
            "at": "450 lines",
            "figure": 12.35,
            "unit": "ms",
            "budget": 2.5,
            "baseline": {"what": "the library", "figure": 100.0},
            "ratio": 8.1,
            "least_ratio": 20,
            "verdict": "OVER",
        },
        {
            "what": "parse a page",
            "at": "450 lines",
            "figure": None,
            "unit": "ms",
            "budget": None,
            "baseline": None,
            "ratio": None,
            "least_ratio": None,
            "verdict": "told",
        },
    ]
