"""Every mode of the CNI in one cluster: each figure is the truth where half can be asked."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.modes_world import check, lived


def test_every_figure_is_the_truth_where_half_of_the_nodes_can_be_asked(tmp_path: Path) -> None:
    seen = lived(tmp_path, "half", seed=2, steps=14)
    check(seen, introspected={20.0, 21.0}, states={"assigned", "warm", "cooldown"})
