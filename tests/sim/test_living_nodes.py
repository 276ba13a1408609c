"""Nodes of a living cluster: their ENIs in EC2, how they join and leave, and simulated time."""

from ipaddress import IPv4Network
from typing import Any

import pytest

from exporter.core.pool import (
    CreateNetworkInterface,
    DescribeNetworkInterfaces,
    Granted,
    Refused,
)
from exporter.sim import Options, Simulation, events
from exporter.sim.cluster import LATEST
from exporter.sim.facts import series
from exporter.sim.living.workload import Deployment
from exporter.sim.living.world import TICK_SECONDS
from exporter.sim.nodes import Phase
from exporter.sim.vpc import Refusal, Subnet
from tests.sim.client import on_loop, page, read_all
from tests.sim.living import SECONDARY, begun, check, process, some_node, stepped


def test_nodes_that_can_have_a_trunk_get_one_where_pods_may_have_enis() -> None:
    story, cluster = begun(9)
    stepped(story, cluster, 3)
    for node in story.world.nodes.values():
        assert node.host.pool.has_trunk == bool(node.node.machine.pod_eni)
    assert any(node.host.pool.has_trunk for node in story.world.nodes.values())
    without, _ = begun(9, env={"ENABLE_POD_ENI": "false"})
    assert not any(node.host.pool.has_trunk for node in without.world.nodes.values())


def test_a_nodes_enis_carry_what_tells_them_from_others() -> None:
    story, _ = begun()
    node = some_node(story)
    instance = node.node.instance_id
    for eni in (story.vpc.eni(i) for i in story.vpc.instances[instance].attached.values()):
        assert eni.tags["node.k8s.amazonaws.com/instance_id"] == instance
        assert eni.use == "node"
        assert eni.attachment is not None
        assert eni.attachment.delete_on_termination
        made_by_cni = eni.attachment.device > 0 and eni.interface_type == "interface"
        assert ("node.k8s.amazonaws.com/createdAt" in eni.tags) == made_by_cni


def test_a_node_that_left_leaves_no_eni_behind() -> None:
    story, cluster = begun()
    node = some_node(story)
    enis = set(story.vpc.instances[node.node.instance_id].attached.values())
    events.remove_node(cluster, node.node)
    stepped(story, cluster, 1)
    assert not enis & set(story.vpc.enis)
    assert node.node.name not in story.world.nodes


def test_a_joining_node_is_seen_a_step_before_its_process_starts() -> None:
    story, cluster = begun()
    node = story.join(cluster)
    assert node.target is not None
    assert (node.target.phase, node.serving) == (Phase.PENDING, None)
    seen = cluster.clock()
    stepped(story, cluster, 1)
    assert node.serving is not None
    assert node.process is not None
    assert node.process.page().facts.started > seen


def test_simulated_time_passes_in_whole_ticks_and_none_is_lost() -> None:
    story, cluster = begun(3, seconds=7)
    before = story.world.time.now
    stepped(story, cluster, 10)
    assert story.world.time.now - before == 70
    story.seconds = 2.5
    stepped(story, cluster, 4)
    assert story.world.time.now - before == 80
    assert story.world.time.now % TICK_SECONDS == 0


@on_loop
async def test_the_control_steps_a_living_cluster_and_tells_its_story() -> None:
    options = Options(startup=0.0, speed=60.0)
    async with Simulation.living(4, options, scenario="normal") as sim:
        assert sim.vpc is not None
        before = sim.told["simulated"]
        await read_all(sim)
        await sim.step()
        assert sim.told["simulated"] - before == 60
        await sim.step(2, seconds=5)
        assert sim.told["simulated"] - before == 70
        assert "4 nodes" in sim.told["story"]
        text = await page(sim)
        assert "awscni_add_ip_req_count" in text
        await read_all(sim)
        found: dict[str, Any] = sim.truth()["samples"]
        assert found["vpc_cni_cluster_nodes"][0] == ({"state": "read"}, 4)
        (joined,) = await sim.event("join")
        assert sim.cluster.nodes[joined].serving is not None


def test_a_static_fleet_has_no_vpc_and_tells_nothing() -> None:
    sim = Simulation.fleet(1)
    assert sim.vpc is None
    assert sim.told == {"story": "", "simulated": 0.0}


def test_a_pod_with_its_own_security_groups_has_a_branch_eni_unknown_to_ipamd() -> None:
    story, cluster = begun(6)
    world = story.world
    stepped(story, cluster, 2)

    def branches() -> list[str]:
        return [eni.id for eni in world.vpc.enis.values() if eni.use == "pod_branch"]

    pods = world.workload.deployments["vault"].pods
    assert pods
    assert len(branches()) == len(pods)
    for pod in pods:
        node = world.nodes[pod.node]
        assert node.host.pool.has_trunk
        assert pod.has_address
        assert process(node).host.pool.assigned < len(node.pods)
    assert {world.vpc.eni(eni).status for eni in branches()} == {"in-use"}
    world.workload.deployments["vault"].base = 0
    for _ in range(10):
        world.tick()
    assert len(branches()) == len(set(branches())) > 0
    stepped(story, cluster, 2)
    assert branches() == []


def test_without_an_address_for_its_eni_such_a_pod_waits_and_ipamd_counts_no_failure() -> None:
    story, cluster = begun(3)
    world = story.world
    stepped(story, cluster, 2)
    node = next(node for node in world.nodes.values() if node.host.pool.has_trunk)
    subnet = world.subnet(node.zone)
    world.foreign.crowd(subnet, subnet.available)
    before = process(node).page().facts.counters
    world.workload.deploy(Deployment("signing", 10, base=0, extra=3, zone=node.zone, branch=True))
    stepped(story, cluster, 2)
    waiting = [pod for pod in world.kubelets.waiting if pod.branch]
    assert len(waiting) == 3
    after = process(node).page().facts.counters
    add, out = series("awscni_add_ip_req_count"), series("awscni_no_available_ip_addresses")
    assert after[add] - before[add] > 3
    assert after[out] == before[out]
    world.foreign.disperse(subnet.size)
    stepped(story, cluster, 2)
    assert not [pod for pod in world.kubelets.waiting if pod.branch]


def test_ipamd_looks_for_subnets_with_the_cni_tag_where_its_own_is_full() -> None:
    story, cluster = begun(3, env={**SECONDARY, "WARM_IP_TARGET": "1"})
    world, node = story.world, some_node(story)
    home = world.subnet(node.zone)
    for number, (name, tag) in enumerate({"more": "1", "none": "0", "untagged": ""}.items()):
        cidr = IPv4Network(f"10.20{number}.0.0/24")
        added = Subnet(f"subnet-{name}", cidr, node.zone, home.zone_id)
        added.tags["kubernetes.io/role/cni"] = tag
        world.vpc.add_subnet(added)
    world.foreign.crowd(home, home.available)
    world.workload.deploy(Deployment("many", 10, base=45, zone=node.zone))
    stepped(story, cluster, 6)
    used = {eni.subnet for n in world.zones()[node.zone] for eni in n.host.pool.enis}
    assert used == {home.id, "subnet-more"}
    check(world)
    process(node).restarted(cluster.clock(), LATEST)
    node.host.ec2.discovery = False
    refused = node.host.ec2(CreateNetworkInterface(1, 1))
    assert refused == Refused("InsufficientFreeAddressesInSubnet")


def test_an_eni_that_holds_more_than_ipamd_knows_is_read_again() -> None:
    story, _ = begun(3, env=SECONDARY)
    node = some_node(story)
    eni = node.host.pool.enis[0]
    answer = node.host.ec2(DescribeNetworkInterfaces(eni.id, 1))
    assert isinstance(answer, Granted)
    assert set(answer.cidrs) == set(story.vpc.eni(eni.id).secondary)


def test_a_node_cannot_join_a_zone_without_addresses() -> None:
    story, cluster = begun(3)
    for subnet in story.vpc.subnets.values():
        story.world.foreign.crowd(subnet, subnet.available)
    instances = dict(story.vpc.instances)
    with pytest.raises(Refusal):
        story.join(cluster)
    assert (len(cluster.expected), story.vpc.instances) == (3, instances)


def test_a_cordoned_node_gets_no_more_enis() -> None:
    story, cluster = begun(3, env=SECONDARY)
    node = some_node(story)
    events.cordon(cluster, node.node)
    stepped(story, cluster, 1)
    enis = len(node.host.pool.enis)
    while process(node).add(f"pod-{process(node).counts[series('awscni_add_ip_req_count')]}"):
        pass
    stepped(story, cluster, 4)
    assert len(node.host.pool.enis) == enis
