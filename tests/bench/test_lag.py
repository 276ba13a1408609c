from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.lag import felt
from bench.trend import percentile


@given(st.lists(st.integers(0, 400), max_size=8), st.integers(1, 20))
def test_everyone_who_comes_while_the_loop_stands_still_waits_for_the_rest_of_it(
    stalls: list[int], period: int
) -> None:
    """The oracle lets them come one by one, in whole milliseconds."""
    waits = []
    for stall in stalls:
        came = 0
        while came <= stall:
            waits.append(stall - came)
            came += period
    assert sorted(felt([float(it) for it in stalls], float(period))) == sorted(waits)


def test_one_long_stall_is_not_lost_among_many_short_waits() -> None:
    lags = [0.0001] * 199 + [1.0]
    assert percentile(lags, 0.99) == 0.0001
    assert percentile(felt(lags, 0.005), 0.99) == pytest.approx(0.98)
