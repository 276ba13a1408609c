"""Some minutes of two seconds on CloudWatch; `make minutes` lives through five real ones."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.minutes import live
from tests.e2e.published import GAUGES, INCUMBENTS


def test_every_minute_is_the_truth_through_troubles_and_a_restart(tmp_path: Path) -> None:
    lived = live(tmp_path, 6, frozenset({4}))
    assert (lived.wrong, lived.unexplained) == ([], 0)
    # A machine that is very busy is late now and then.
    assert lived.alone >= 3
    assert lived.names >= INCUMBENTS | GAUGES
    assert lived.resolutions == {1}
