"""A living cluster without sockets, and what must hold in it at every moment."""

from collections import Counter
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from exporter.core.pool import IPV6_PREFIX, PREFIX
from exporter.sim.cluster import Cluster
from exporter.sim.living.host import LivingIpamd
from exporter.sim.living.kubelets import LivingNode
from exporter.sim.living.story import Living
from exporter.sim.living.world import World

START = 1_800_000_000.0
SECONDARY = {"ENABLE_PREFIX_DELEGATION": "false"}


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def begun(
    nodes: int = 6,
    *,
    scenario: str = "normal",
    seed: int = 1,
    seconds: float = 30,
    env: Mapping[str, str] | None = None,
) -> tuple[Living, Cluster]:
    cluster = Cluster(Clock(), seed=seed, env=env or {})
    story = Living(nodes, seed=seed, scenario=scenario, seconds=seconds)
    story.begin(cluster)
    return story, cluster


def stepped(story: Living, cluster: Cluster, times: int) -> None:
    for _ in range(times):
        assert isinstance(cluster.clock, Clock)
        cluster.clock.now += 3
        story.step(cluster)


def held_by_pools(node: LivingNode) -> dict[str, set[tuple[int, int]]]:
    """The CIDRs of each attached ENI as ipamd knows them, and those it gave up in vain."""
    return {
        eni.id: {(c.base, c.size) for c in (*eni.cidrs, *(stray.cidr for stray in eni.strays))}
        for pool in node.host.pools.values()
        for eni in (*pool.enis, *pool.unadopted)
        if eni.id not in node.host.gone
    }


def held_in_ec2(world: World, node: LivingNode) -> dict[str, set[tuple[int, int]]]:
    """The CIDRs of each attached ENI as EC2 knows them, without those that are none of ipamd's."""
    enis = (world.vpc.eni(eni) for eni in world.vpc.instances[node.node.instance_id].enis)
    return {
        eni.id: {(a, 1) for a in eni.secondary}
        | {(p, PREFIX) for p in eni.prefixes}
        | {(p, IPV6_PREFIX) for p in eni.ipv6}
        for eni in enis
        if eni.use != "node_unmanaged"
    }


def check(world: World) -> None:
    """Hold pools, pods and the VPC against one another."""
    for node in world.nodes.values():
        assert held_by_pools(node) == held_in_ec2(world, node)
        seated = {p.name for p in node.pods.values() if p.has_address and not p.branch}
        taken = {
            address.pod
            for pool in node.host.pools.values()
            for eni in pool.enis
            for cidr in eni.cidrs
            for address in cidr.addresses
            if address.pod is not None
        }
        # Pods live on without an address where their ENI was detached.
        assert seated <= taken or node.node.machine.group == "forced"
        assert node.used_cpu == sum(pod.cpu for pod in node.pods.values()) <= node.cpu
        pods = len(node.pods) + node.node.host_network_pods
        assert pods <= node.node.machine.max_pods + 1  # a rollout's second aws-node pod
    held: Counter[int] = Counter()
    for eni in world.vpc.enis.values():
        held.update([eni.primary, *eni.secondary])
        for base in eni.prefixes:
            held.update(range(base, base + PREFIX))
    assert set(held.values()) == {1}
    assert sum(subnet.held.count() for subnet in world.vpc.subnets.values()) == len(held)


def some_node(story: Living) -> LivingNode:
    return next(iter(story.world.nodes.values()))


def process(node: LivingNode) -> LivingIpamd:
    assert node.ipamd is not None
    return node.ipamd


def samples(body: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name.removesuffix("_total"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
