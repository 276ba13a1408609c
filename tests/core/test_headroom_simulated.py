"""The headroom against the simulated VPC, which picks addresses at random as EC2 seems to."""

from __future__ import annotations

import random
from copy import deepcopy
from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import count

import pytest

from exporter.core.headroom import FreeSpace, FreshNode, NodeRoom, headrooms, nodes_that_fit
from exporter.core.pool import Eni, Limits, Pool, Rules, Settings, assign, first, settle
from exporter.sim.living.node_ec2 import NodeEc2, Weather
from exporter.sim.vpc import (
    Instance,
    NewEni,
    Refusal,
    Reservation,
    ReservationKind,
    Subnet,
    Vpc,
)

M5_LARGE = Limits(enis=3, ipv4_per_eni=10, max_pods=29)
SECONDARY = (
    Settings(),
    Settings(warm_eni=2),
    Settings(warm_ip=2, minimum_ip=12),
    Settings(warm_ip=5, max_eni=2),
    Settings(minimum_ip=12),
)
PREFIX = (
    Settings(prefix_delegation=True, warm_prefix=1),
    Settings(prefix_delegation=True, warm_ip=4, minimum_ip=20),
    Settings(prefix_delegation=True, minimum_ip=40),
)


@dataclass
class Node:
    """A node in the simulated VPC."""

    ec2: NodeEc2
    rules: Rules
    pool: Pool
    now: float = 0.0

    def settle(self) -> None:
        settled = settle(self.pool, self.rules, now=self.now, ec2=self.ec2)
        self.pool, self.now = settled.pool, settled.now

    def fill(self, most: int) -> int:
        """Add pods until the next one finds no address; return how many found one."""
        for pods in range(most):
            pod = f"pod-{self.pool.assigned}"
            given = assign(self.pool, self.rules, pod=pod, now=self.now, choose=first)
            if given is None:
                return pods
            self.pool = given.pool
            self.settle()
        return most

    def room(self, pods: int) -> NodeRoom:
        stock, rules = self.pool.stock(self.rules.size), self.rules
        return NodeRoom(
            rules=rules,
            pods=pods,
            warm=stock.cidrs * rules.size - stock.assigned,
            cidrs=stock.cidrs,
            unused=stock.unused,
            slots=tuple((self.ec2.home, rules.slots - len(it.cidrs)) for it in self.pool.enis),
            enis=rules.max_enis - len(self.pool.enis),
            subnets=(self.ec2.home,),
        )


@dataclass
class World:
    """Some nodes of one kind in two subnets, and what others hold there."""

    vpc: Vpc
    rng: random.Random
    rules: Rules

    @classmethod
    def of(cls, settings: Settings, seed: int, *, reserved: bool = False) -> World:
        rng = random.Random(seed)
        vpc = Vpc(lambda: 0.0, seed=seed)
        for name, length in (("a", rng.choice((25, 26))), ("b", rng.choice((24, 25)))):
            cidr = IPv4Network((f"10.{name == 'b':d}.0.0", length))
            subnet = vpc.add_subnet(Subnet(name, cidr, "zone", "zone-id"))
            lower, upper = cidr.subnets()
            if reserved:
                # Nothing but prefixes is in the upper half, and no whole block in the lower.
                subnet.reserve(Reservation("scr-1", upper, ReservationKind.PREFIX))
                for block in lower.subnets(new_prefix=28):
                    vpc.create(NewEni(subnet=name, primary=int(block.network_address) + 5))
            for _ in range(rng.choice((0, 3, 20))):
                vpc.create(NewEni(subnet=name))
        return cls(vpc, rng, Rules.of(settings, M5_LARGE))

    def node(self, name: str, home: str) -> Node:
        instance = Instance(name, "m5.large", 3, 10)
        eni = self.vpc.launch(instance, NewEni(subnet=home))
        weather = Weather()
        ec2 = NodeEc2(self.vpc, name, home, "green", self.rng, weather, discovery=False)
        node = Node(ec2, self.rules, Pool((Eni(eni.id, subnet=home, primary=True),)))
        node.settle()
        return node

    def rooms(self) -> dict[str, FreeSpace]:
        return {
            it.id: FreeSpace(it.available, it.held.free_blocks, it.held.free_reserved_blocks)
            for it in self.vpc.subnets.values()
        }

    def peopled(self) -> list[Node]:
        """Start some nodes with some pods; all of them rest."""
        nodes = []
        for n in range(self.rng.choice((2, 5, 9))):
            try:
                nodes.append(self.node(f"i-{n}", self.rng.choice("aab")))
            except Refusal:
                break
            nodes[-1].fill(self.rng.choice((0, 1, 9, 17)))
        for node in (*nodes, *nodes):
            node.settle()
        return nodes


def pods_alone(nodes: list[Node], n: int, most: int) -> int:
    return deepcopy(nodes)[n].fill(most)


def pods_together(nodes: list[Node], most: int) -> int:
    """Fill the best node first, and so on."""
    alone = [pods_alone(nodes, n, most) for n in range(len(nodes))]
    copies = deepcopy(nodes)
    order = sorted(range(len(nodes)), key=lambda n: -alone[n])
    return sum(copies[n].fill(most) for n in order)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    ("settings", "reserved"),
    [
        *(pytest.param(it, False, id=f"secondary {n}") for n, it in enumerate(SECONDARY)),
        *(pytest.param(it, True, id=f"prefixes kept {n}") for n, it in enumerate(PREFIX)),
    ],
)
def test_as_many_pods_find_an_address_as_fit_and_one_more_does_not(
    settings: Settings, reserved: bool, seed: int
) -> None:
    world = World.of(settings, seed, reserved=reserved)
    nodes = world.peopled()
    most = world.rng.choice((400, 27, 9))

    found = headrooms([node.room(most) for node in nodes], world.rooms())

    alone = [it and it.pods for it in found.nodes]
    assert alone == [pods_alone(nodes, n, most) for n in range(len(nodes))]
    assert (found.cluster and found.cluster.pods) == (pods_together(nodes, most) if nodes else None)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("settings", PREFIX)
def test_where_an_address_may_break_a_block_at_least_as_many_pods_find_one(
    settings: Settings, seed: int
) -> None:
    world = World.of(settings, seed)
    nodes = world.peopled()

    found = headrooms([node.room(400) for node in nodes], world.rooms())

    assert all(
        it is not None and it.pods <= pods_alone(nodes, n, 400) for n, it in enumerate(found.nodes)
    )
    assert found.cluster is not None
    assert found.cluster.pods <= pods_together(nodes, 400)


def starts(world: World, n: int) -> bool:
    """Start a node, and tell whether its pool comes to rest with nothing refused any more."""
    try:
        node = world.node(f"i-new-{n}", "a")
    except Refusal:
        return False
    before = node.pool.tally.refusals
    node.settle()
    return node.pool.tally.refusals == before


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    ("settings", "reserved", "exactly"),
    [
        *(pytest.param(it, False, True, id=f"secondary {n}") for n, it in enumerate(SECONDARY)),
        *(pytest.param(it, True, True, id=f"prefixes kept {n}") for n, it in enumerate(PREFIX)),
        *(pytest.param(it, False, False, id=f"prefixes {n}") for n, it in enumerate(PREFIX)),
    ],
)
def test_as_many_nodes_start_as_fit_and_one_more_does_not(
    settings: Settings, reserved: bool, exactly: bool, seed: int
) -> None:
    world = World.of(settings, seed, reserved=reserved)
    world.peopled()

    found = nodes_that_fit(FreshNode(world.rules, "a", ("a",)), world.rooms())

    started = next(n for n in count() if not starts(world, n))
    assert found == started if exactly else found is not None and found <= started
