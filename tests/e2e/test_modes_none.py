"""Every mode of the CNI in one cluster: each figure is the truth where no node can be asked."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.modes_world import DRIFTS, check, lived


def test_every_figure_is_the_truth_where_no_node_can_be_asked(tmp_path: Path) -> None:
    seen = lived(tmp_path, "none", seed=3, steps=14)
    check(seen, introspected={0.0}, states={"assigned", "warm"})
    # Bodies there are none to hold pages against.
    assert seen.drifting == {DRIFTS[1]}
