"""Some minutes of two seconds on CloudWatch; `make minutes` lives through five real ones."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.minutes import live


def test_every_minute_is_the_truth_through_troubles_and_a_restart(tmp_path: Path) -> None:
    live(tmp_path, 6, frozenset({4}))
