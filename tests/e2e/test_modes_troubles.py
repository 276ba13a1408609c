"""Every mode of the CNI, and what goes wrong: with bodies, nodes, EC2, or the way to them."""

from __future__ import annotations

import time
from pathlib import Path

from tests.e2e.modes_world import DRIFTS, NODES, SILENT, at, modes, settled, values, wrong
from tests.e2e.world import PUBLISHED, Simulation, families, key

# Of several modes and eras, each with its own body.
GROUPS = ("plain", "prefix", "custom", "cards", "ipv6", "secure")


def members(sim: Simulation, group: str) -> list[str]:
    """Return the first two nodes of a group."""
    nodes = sim.control("/state")["nodes"]
    return [node["name"] for node in nodes if node["nodegroup"] == group][:2]


def test_whatever_is_wrong_with_a_body_its_node_is_given_by_the_page_alone(tmp_path: Path) -> None:
    states = (
        *("closed", "hang", "half", "other_shape", "huge", "status_500", "commands"),
        *("twice", "outside"),
    )
    with modes(tmp_path, "--introspection", "all") as (sim, exporter):
        settled(exporter, sim.truth()["advanced_at"])
        nodes = [name for group in GROUPS for name in members(sim, group)][: len(states)]
        for node, state in zip(nodes, states, strict=True):
            sim.control("/introspection", {"nodes": [node], "state": state})
        sim.step()
        samples = settled(exporter, sim.truth()["advanced_at"])
        assert wrong(sim.truth(), samples) == []
        introspected = NODES - SILENT - len(states)
        assert values(samples, "vpc_cni_cluster_introspected_nodes") == [introspected]
        assert values(samples, "vpc_cni_cluster_nodes", state="read") == [NODES]
        for node in nodes:
            cooling = key("vpc_cni_node_ip_addresses", node=node, state="cooldown")
            assert cooling not in samples
        sim.control("/introspection", {"nodes": "all", "state": "closed"})
        samples = settled(exporter, time.time())
        assert wrong(sim.truth(), samples) == []
        assert values(samples, "vpc_cni_cluster_introspected_nodes") == [0]


def test_bodies_come_through_the_api_server_as_pages_do(tmp_path: Path) -> None:
    arguments = ("--introspection", "half", "--profile", "full_proxy")
    with modes(tmp_path, *arguments, EXPORTER_SCRAPE_VIA="apiserver") as (sim, exporter):
        for _ in range(2):
            samples = settled(exporter, sim.truth()["advanced_at"])
            assert wrong(sim.truth(), samples) == []
            sim.control("/step", {"count": 4})
        assert max(values(samples, "vpc_cni_cluster_introspected_nodes")) >= 20


def test_without_ec2_the_figures_that_need_it_are_absent(tmp_path: Path) -> None:
    with (
        modes(tmp_path, "--introspection", "half", EXPORTER_SOURCES="ipamd") as (sim, exporter),
    ):
        sim.control("/step", {"count": 12})
        cycle = exporter.cycle_after(sim.truth()["advanced_at"])
        done = cycle[at("last_success_timestamp_seconds", "ipamd")]
        samples = exporter.cycle_after(done)
        truth = sim.truth()
        assert wrong(truth, samples) == []
        assert not {name for name, _ in samples} & {DRIFTS[1], "vpc_cni_node_pod_enis"}


def test_nodes_with_troubles_of_every_kind_come_back(tmp_path: Path) -> None:
    with modes(tmp_path, "--introspection", "all") as (sim, exporter):
        settled(exporter, sim.truth()["advanced_at"])
        happens = (
            *(("restart", "plain"), ("replace_pod", "prefix"), ("delete_pod", "cards")),
            *(("restart", "ipv6"), ("replace_pod", "secure"), ("remove_node", "custom")),
        )
        for event, group in happens:
            sim.control("/events", {"event": event, "nodes": members(sim, group)[:1]})
        sim.control("/faults", {"nodes": members(sim, "capped")[:1], "fault": "status_500"})
        for _ in range(3):
            sim.step()
            samples = settled(exporter, sim.truth()["advanced_at"])
            assert wrong(sim.truth(), samples) == []
        assert values(samples, "vpc_cni_cluster_nodes", state="read") == [NODES - 3]
        sim.control("/faults", {"nodes": "all", "fault": None})
        sim.control("/events", {"event": "run", "nodes": members(sim, "cards")[:1]})
        sim.step()
        samples = settled(exporter, sim.truth()["advanced_at"])
        assert wrong(sim.truth(), samples) == []
        assert values(samples, "vpc_cni_cluster_nodes", state="read") == [NODES - 1]


def test_the_exporter_has_every_metric_that_the_truth_knows(tmp_path: Path) -> None:
    with modes(tmp_path, "--introspection", "all") as (sim, exporter):
        settled(exporter, sim.truth()["advanced_at"])
        assert families(sim.truth()) <= PUBLISHED
