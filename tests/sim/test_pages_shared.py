"""A lean fleet: many nodes say the same, so that ten thousand of them fit into one process."""

from exporter.sim import Simulation, events
from exporter.sim.cluster import Cluster
from exporter.sim.fleet import GROUPS, Fleet
from exporter.sim.nodes import Node
from exporter.sim.pages import Writer
from tests.sim.client import on_loop, page, read_all

NOW = 1_800_000_000.0
READ = {"state": "read"}


def lean(nodes: int) -> tuple[Fleet, Cluster]:
    cluster = Cluster(lambda: NOW)
    fleet = Fleet(nodes, lean=True)
    fleet.begin(cluster)
    return fleet, cluster


def body(node: Node) -> bytes:
    assert node.process is not None
    return node.process.page().body


def test_nodes_share_pages_within_their_group_and_release() -> None:
    _, cluster = lean(400)
    processes = {node.process for node in cluster.expected}
    assert len(processes) <= 8 * 2 * len(GROUPS)
    assert {node.machine.group for node in cluster.expected} == set(GROUPS)
    for process in processes:
        alike = [node for node in cluster.expected if node.process is process]
        assert len({node.machine.group for node in alike}) == 1
        assert len({node.pods[0].version for node in alike}) == 1
        assert isinstance(process, Writer)
        assert process.ipamd.started >= max(node.created for node in alike)


def test_a_step_moves_each_shared_process_once() -> None:
    fleet, cluster = lean(100)
    before = {node.name: body(node) for node in cluster.expected}
    fleet.step(cluster)
    for node in cluster.expected:
        assert isinstance(node.process, Writer)
        assert node.process.ipamd.revision == 1
        assert body(node) != before[node.name]


def test_a_restart_gives_a_node_a_process_of_its_own() -> None:
    fleet, cluster = lean(100)
    first = cluster.expected[0]
    others = [node for node in cluster.expected[1:] if node.process is first.process]
    assert others
    events.restart(cluster, first)
    assert first.process is not others[0].process
    for _ in range(5):
        fleet.step(cluster)
    assert body(first) != body(others[0])
    for node in (first, others[0]):
        assert isinstance(node.process, Writer)
        gauges = node.process.ipamd.gauges()
        assert gauges.assigned <= gauges.total
        assert gauges.enis <= gauges.eni_max


@on_loop
async def test_the_truth_counts_every_node_whatever_it_shares() -> None:
    async with Simulation.fleet(40, lean=True) as sim:
        await read_all(sim)
        await sim.step()
        await read_all(sim)
        samples = sim.truth()["samples"]
        read = next(value for labels, value in samples["vpc_cni_cluster_nodes"] if labels == READ)
        assert read == 40
        writers = [n.process for n in sim.cluster.expected if isinstance(n.process, Writer)]
        assigned = sum(writer.ipamd.gauges().assigned for writer in writers)
        rows = samples["vpc_cni_cluster_ip_addresses"]
        assert ({"state": "assigned"}, assigned) in rows
        assert "awscni_add_ip_req_count" in await page(sim)
