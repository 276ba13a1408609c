from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.trend import Trend, percentile, slope

FIGURES = st.floats(-1e6, 1e6)


@given(st.lists(FIGURES, min_size=1), st.floats(0.01, 1.0))
def test_a_percentile_is_the_least_value_that_enough_values_do_not_exceed(
    values: list[float], share: float
) -> None:
    found = percentile(values, share)
    within = [sum(other <= value for other in values) / len(values) for value in values]
    enough = [value for value, held in zip(values, within, strict=True) if held >= share]
    assert found == min(enough)


@given(FIGURES, st.floats(-1e3, 1e3), st.integers(2, 60))
def test_the_slope_of_a_line_is_its_own(start: float, rise: float, count: int) -> None:
    line = [(float(x), start + rise * x) for x in range(count)]
    assert slope(line) == pytest.approx(rise, abs=1e-3)


@given(st.integers(0, 2**32), st.floats(0.5, 3.0))
def test_the_slope_follows_no_outliers_as_long_as_they_are_few(seed: int, rise: float) -> None:
    rng = random.Random(seed)
    line = [(float(x), rise * x + rng.uniform(-0.1, 0.1)) for x in range(100)]
    for place in rng.sample(range(100), 20):
        line[place] = (line[place][0], rng.uniform(-1e6, 1e6))
    assert slope(line) == pytest.approx(rise, abs=0.5)


def test_of_thousands_of_points_enough_count_to_find_the_slope() -> None:
    assert slope([(float(x), 3.0 * x) for x in range(20_000)]) == pytest.approx(3.0)


def test_one_point_has_no_slope() -> None:
    assert slope([(1.0, 5.0)]) == 0.0


def test_a_trend_tells_where_a_line_begins_and_ends_and_what_it_grows_by() -> None:
    trend = Trend.of([(float(cycle), 100.0 + 0.1 * cycle) for cycle in range(100, 201)])
    assert [trend.begins, trend.ends] == pytest.approx([110.0, 120.0])
    assert trend.growth == pytest.approx(10.0)
    assert trend.share == pytest.approx(10.0 / 110.0)


def test_what_only_goes_up_and_down_does_not_grow() -> None:
    tooth = [(float(cycle), 50.0 + cycle % 7) for cycle in range(700)]
    assert Trend.of(tooth).growth == pytest.approx(0.0, abs=0.1)


def test_what_begins_at_nothing_has_grown_beyond_any_share() -> None:
    assert Trend(0.0, 1.0).share == math.inf
