import itertools

import pytest

from exporter.sim.cluster import Cluster
from exporter.sim.fleet import GROUPS, ZONES, Fleet
from exporter.sim.nodes import Kind
from exporter.sim.objects import other_pod
from exporter.sim.pages import Writer
from tests.sim.client import on_loop, small

NOW = 1_800_000_000.0


def grown(nodes: int, *, seed: int = 1, steps: int = 0) -> Cluster:
    cluster = Cluster(lambda: NOW, seed=seed)
    fleet = Fleet(nodes, seed)
    fleet.begin(cluster)
    for _ in range(steps):
        fleet.step(cluster)
    return cluster


def told(cluster: Cluster) -> list[tuple[str, bytes]]:
    """Everything about a cluster that a reader could see."""
    objects = [
        (resource, stored.raw)
        for resource in ("nodes", "pods", "daemonsets")
        for stored in cluster.store.everything(resource, lambda _: True)
    ]
    pages = [(n.name, n.process.page().body) for n in cluster.expected if n.process is not None]
    return objects + pages


def test_the_seed_alone_decides_the_fleet_and_how_it_moves() -> None:
    assert told(grown(20, steps=5)) == told(grown(20, steps=5))
    assert told(grown(20, steps=5)) != told(grown(20, seed=2, steps=5))
    assert told(grown(20, steps=5)) != told(grown(20, steps=6))


def test_a_fleet_has_every_group_zone_release_and_mode() -> None:
    nodes = grown(60).expected
    assert {node.machine.group for node in nodes} == set(GROUPS)
    assert {node.machine.zone for node in nodes} == set(ZONES)
    assert {node.pods[0].version for node in nodes} == {"v1.23.1-eksbuild.1", "v1.15.1-eksbuild.1"}
    prefixes = {bool(n.process.page().facts.gauges.prefixes) for n in nodes}  # type: ignore[union-attr]
    assert prefixes == {True, False}
    assert any(node.machine.pod_eni for node in nodes)


def test_nodes_without_aws_node_are_there_and_not_expected() -> None:
    cluster = grown(4)
    others = [node for node in cluster.nodes.values() if node not in cluster.expected]
    assert [node.machine.kind for node in others] == [Kind.FARGATE, Kind.WINDOWS, Kind.AUTO]
    assert all(not node.pods for node in others)
    assert len(cluster.expected) == 4


def test_every_pod_has_a_name_of_its_own() -> None:
    cluster = grown(2_000)
    names = [
        other_pod(app, node, namespace="kube-system")["metadata"]["name"]
        for node in cluster.nodes.values()
        for app in node.other_pods
    ]
    assert len(set(names)) == len(names)


def test_however_it_walks_totals_hold_what_is_assigned_and_limits_hold() -> None:
    cluster = grown(25)
    fleet = Fleet(25)
    for _ in range(60):
        fleet.step(cluster)
        for node in cluster.expected:
            assert isinstance(node.process, Writer)
            gauges = node.process.ipamd.gauges()
            assert 0 <= gauges.assigned <= gauges.total <= gauges.ip_max
            assert 1 <= gauges.enis <= gauges.eni_max


def test_no_counter_of_a_running_process_ever_falls() -> None:
    cluster = grown(10)
    fleet = Fleet(10)
    histories = []
    for _ in range(20):
        fleet.step(cluster)
        pages = [node.process.page() for node in cluster.expected if node.process is not None]
        histories.append([page.facts.counters for page in pages])
    for before, after in itertools.pairwise(histories):
        for old, new in zip(before, after, strict=True):
            assert all(new[name] >= value for name, value in old.items())


@pytest.mark.parametrize("steps", [0, 40])
def test_pages_are_of_realistic_size(steps: int) -> None:
    pages = [n.process.page().body for n in grown(30, steps=steps).expected if n.process]
    lines = sum(page.count(b"\n") for page in pages) / len(pages)
    size = sum(map(len, pages)) / len(pages)
    assert 380 < lines < 600
    assert 18_000 < size < 35_000


@on_loop
async def test_faults_spread_over_a_share_of_the_nodes_are_the_seeds_too() -> None:
    async with small(20) as one, small(20) as two:
        assert await one.spread_faults(0.3) == await two.spread_faults(0.3)
        found = [(node.name, node.fault) for node in one.cluster.expected if node.fault]
        assert len(found) == 6
        assert found == [(node.name, node.fault) for node in two.cluster.expected if node.fault]
