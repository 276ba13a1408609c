"""How many more pods and nodes fit, through the whole program, against a cluster that tries it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.modes_world import modes, settled
from tests.e2e.test_subnets import survey_after, world
from tests.e2e.world import Samples, Simulation

SECONDARY = ("--env", "ENABLE_PREFIX_DELEGATION=false")
ONE_BY_ONE = ("--env", "WARM_IP_TARGET=3", "--env", "MINIMUM_IP_TARGET=10")
EXHAUSTION = ("--scenario", "exhaustion")


def by(label: str, name: str, samples: Samples) -> dict[str, float]:
    return {dict(labels)[label]: value for (it, labels), value in samples.items() if it == name}


def said(samples: Samples) -> Mapping[str, object]:
    """The headrooms of a scrape, in the words of the simulation's trial."""
    nodes: dict[str, dict[str, float]] = {}
    for (name, labels), value in samples.items():
        if name == "vpc_cni_subnet_node_headroom":
            told = dict(labels)
            nodes.setdefault(told["subnet_id"], {})[told["instance_type"]] = value
    return {
        "nodes": by("node", "vpc_cni_node_pod_headroom", samples),
        "cluster": samples["vpc_cni_cluster_pod_headroom", frozenset()],
        "zones": by("zone", "vpc_cni_zone_pod_headroom", samples),
        "nodegroups": by("nodegroup", "vpc_cni_nodegroup_pod_headroom", samples),
        "subnets": nodes,
    }


def flat(told: Any, *path: str) -> dict[tuple[str, ...], float]:
    """Every figure by the names that lead to it."""
    if not isinstance(told, Mapping):
        return {path: told}
    return {at: value for name, it in told.items() for at, value in flat(it, *path, name).items()}


def rested(sim: Simulation) -> float:
    """Let the cluster's pools come to rest; return when they were."""
    sim.control("/rest", {})
    at: float = sim.truth()["advanced_at"]
    return at


@pytest.mark.parametrize(
    ("arguments", "steps"),
    [
        pytest.param(SECONDARY, 10, id="addresses"),
        pytest.param((*SECONDARY, *ONE_BY_ONE), 10, id="one by one"),
        pytest.param((*EXHAUSTION, *SECONDARY), 60, id="addresses that run out"),
        pytest.param(("--scenario", "discovery", *SECONDARY), 10, id="subnet discovery"),
    ],
)
def test_pods_and_nodes_find_as_many_addresses_as_is_said_and_no_more(
    arguments: tuple[str, ...], steps: int, tmp_path: Path
) -> None:
    with world(tmp_path, "--nodes", "15", "--seed", "7", *arguments, steps=steps) as running:
        sim, exporter = running
        samples = survey_after(exporter, rested(sim))
        assert said(samples) == sim.control("/room")
        limits = by("node", "vpc_cni_node_pod_headroom_limit", samples)
        assert limits.keys() == by("node", "vpc_cni_node_pod_headroom", samples).keys()
        assert exporter.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "steps"),
    [pytest.param((), 10, id="plenty"), pytest.param(EXHAUSTION, 60, id="that run out")],
)
def test_with_prefixes_at_least_as_many_do(
    arguments: tuple[str, ...], steps: int, tmp_path: Path
) -> None:
    """Nobody knows which blocks single addresses will break, nor what hidden ENIs have broken."""
    with world(tmp_path, "--nodes", "15", "--seed", "7", *arguments, steps=steps) as running:
        sim, exporter = running
        samples = survey_after(exporter, rested(sim))
        tried = sim.control("/room")
    found = flat(said(samples))
    assert found.keys() == flat(tried).keys()
    assert all(count <= flat(tried)[path] for path, count in found.items())
    # Where there is enough for all, it does not matter which.
    assert found["cluster",] >= 0.95 * tried["cluster"]


# Nobody tells which of their addresses pods have: leftovers of the other mode, and without
# introspection those on ENIs that are kept from pods.
AT_LEAST = {"all": {"to-prefix", "to-secondary"}, "none": {"to-prefix", "to-secondary", "picky"}}


@pytest.mark.parametrize("introspection", ["all", "none"])
def test_in_every_mode_of_the_cni_as_many_pods_find_an_address_as_is_said(
    introspection: str, tmp_path: Path
) -> None:
    with modes(tmp_path, "--introspection", introspection, "--speed", "60") as (sim, exporter):
        sim.control("/step", {"count": 4})
        samples = settled(exporter, rested(sim))
        tried = sim.control("/room")
    read = {node for node, value in by("node", "vpc_cni_node_read", samples).items() if value}
    groups = {
        dict(labels)["node"]: dict(labels)["nodegroup"]
        for name, labels in samples
        if name == "vpc_cni_node_info"
    }
    found = by("node", "vpc_cni_node_pod_headroom", samples)
    assert found.keys() == tried["nodes"].keys() & read
    unsure = {node for node in found if groups[node] in AT_LEAST[introspection]}
    assert {node: found[node] for node in found.keys() - unsure} == {
        node: tried["nodes"][node] for node in found.keys() - unsure
    }
    assert all(found[node] <= tried["nodes"][node] for node in unsure)
    assert set(by("node", "vpc_cni_node_pod_headroom_limit", samples)) == set(found)
    limits = {dict(labels)["limit"] for name, labels in samples if name.endswith("headroom_limit")}
    assert limits >= {"max_pods", "eni", "subnet"}
