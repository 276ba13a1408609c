"""Every mode of the CNI in one cluster: each figure is the truth where every node can be asked."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.modes_world import DRIFTS, NODES, SILENT, check, lived


def test_every_figure_is_the_truth_where_every_node_can_be_asked(tmp_path: Path) -> None:
    seen = lived(tmp_path, "all", seed=1, steps=14)
    check(seen, introspected={NODES - SILENT}, states={"assigned", "warm", "cooldown"})
    assert seen.drifting == set(DRIFTS)
