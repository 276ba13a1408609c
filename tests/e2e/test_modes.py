"""Every mode of the CNI in one cluster: each figure is the truth, whoever can be asked for more."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

from tests.e2e.modes_world import DRIFTS, NODES, REASONS, SILENT, Seen, modes, settled, wrong


def lived(folder: Path, introspection: str, *, steps: int, seconds: int) -> Seen:
    """Let the cluster live, hold every figure against the truth in every step, tell what was."""
    found, seen = [], Seen()
    with modes(folder, "--introspection", introspection, "--speed", str(seconds)) as (
        sim,
        exporter,
    ):
        for step in range(steps):
            samples = settled(exporter, sim.truth()["advanced_at"])
            truth = sim.truth()
            found += [(step, *it) for it in wrong(truth, samples)]
            seen.add(samples)
            sim.step()
        assert exporter.stop() == 0
    for it in found:
        print("WRONG", it)
    assert found == []
    return seen


def check(seen: Seen, *, introspected: Set[float], states: Set[str]) -> None:
    """Hold what was seen against what there must have been."""
    assert seen.reasons == REASONS - ({"cooldown"} if "cooldown" not in states else set())
    assert seen.modes - {""} == {"secondary", "prefix", "mixed", "ipv6"}
    assert seen.states == states
    assert max(seen.introspected) in introspected


def test_every_figure_is_the_truth_where_every_node_can_be_asked(tmp_path: Path) -> None:
    seen = lived(tmp_path, "all", steps=16, seconds=60)
    check(seen, introspected={NODES - SILENT}, states={"assigned", "warm", "cooldown"})
    assert seen.drifting == set(DRIFTS)


def test_every_figure_is_the_truth_where_half_of_the_nodes_can_be_asked(tmp_path: Path) -> None:
    seen = lived(tmp_path, "half", steps=14, seconds=60)
    check(seen, introspected={19.0, 20.0}, states={"assigned", "warm", "cooldown"})


def test_every_figure_is_the_truth_where_no_node_can_be_asked(tmp_path: Path) -> None:
    seen = lived(tmp_path, "none", steps=14, seconds=60)
    check(seen, introspected={0.0}, states={"assigned", "warm"})
    assert seen.drifting == {DRIFTS[1]}
