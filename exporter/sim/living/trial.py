"""How many more pods and nodes there is room for: tried out, on a copy of the world."""

import pickle
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from exporter.core import pool
from exporter.core.pool import Eni, Pool, Rules
from exporter.sim.living.host import Host
from exporter.sim.living.kubelets import LivingNode
from exporter.sim.living.story import Living
from exporter.sim.living.world import World
from exporter.sim.vpc import Instance, NewEni, Refusal, Vpc

# Later than any of ipamd's timers.
_PAUSE_SECONDS = 150.0
# ipamd chooses ENIs at random, and may choose one in vain first.
_CALM_ROUNDS = 5
_NO_GROUP = "none"

Thing = TypeVar("Thing")


def world_of(story: object) -> World:
    """Return the world of a living cluster; raise ValueError where there is none."""
    if not isinstance(story, Living):
        raise ValueError("only a living cluster has pools")
    return story.world


def rest(world: World) -> None:
    """Let ipamd live on every node, and no pod come or go, until no pool moves any more."""
    world.weather.throttled = 0.0
    world.weather.refused.clear()
    calm = 0
    while calm < _CALM_ROUNDS:
        before = [node.host.pool.enis for node in world.nodes.values()]
        world.time.now += _PAUSE_SECONDS
        for node in world.nodes.values():
            node.live()
        moved = before != [node.host.pool.enis for node in world.nodes.values()]
        calm = 0 if moved else calm + 1


@dataclass(frozen=True, slots=True)
class Trial:
    """The nodes of a world at rest that have an ipamd, by name, and how many pods each may have.

    Nodes whose ipamd manages several network cards are left out: what a pod takes of them differs.
    """

    world: World
    nodes: tuple[LivingNode, ...]
    places: tuple[int, ...]

    @classmethod
    def of(cls, world: World) -> "Trial":
        running = (
            node
            for node in world.nodes.values()
            if node.ipamd is not None and len(node.host.pools) == 1
        )
        nodes = tuple(sorted(running, key=lambda node: node.node.name))
        branches = _branches(world.vpc)
        return cls(world, nodes, tuple(_places(node, branches) for node in nodes))

    def told(self) -> Mapping[str, Any]:
        """What was found by node, zone, node group and subnet, and of the cluster."""
        alone = [self.pods([n])[0] for n in range(len(self.nodes))]
        zones = self._groups(node.zone for node in self.nodes)
        nodegroups = self._groups(node.node.machine.group or _NO_GROUP for node in self.nodes)
        everyone = list(range(len(self.nodes)))
        return {
            "nodes": {node.node.name: count for node, count in zip(self.nodes, alone, strict=True)},
            "cluster": self.together(everyone, alone),
            "zones": {name: self.together(it, alone) for name, it in zones.items()},
            "nodegroups": {name: self.together(it, alone) for name, it in nodegroups.items()},
            "subnets": {home: dict(self.fresh(home)) for home in sorted(self.homes)},
        }

    @property
    def homes(self) -> set[str]:
        """The subnets that nodes are in."""
        return {node.host.ec2.home for node in self.nodes}

    def pods(self, members: Iterable[int]) -> list[int]:
        """How many pods find an address on these nodes, one filled after the other."""
        hosts = _copied([node.host for node in self.nodes])
        return [_filled(hosts[n], _rules(self.nodes[n]), self.places[n]) for n in members]

    def together(self, members: Iterable[int], alone: list[int]) -> int:
        """How many pods these nodes take, the one that takes most alone first."""
        return sum(self.pods(sorted(members, key=lambda n: -alone[n])))

    def fresh(self, home: str) -> Iterator[tuple[str, int]]:
        """How many more nodes of each type in use start in a subnet, each like one of its type."""
        likes = {node.node.machine.instance_type: node for node in self.nodes}
        for name, like in sorted(likes.items()):
            vpc, count = _copied(self.world.vpc), 0
            while _starts(like, home, vpc):
                count += 1
            yield name, count

    def _groups(self, names: Iterable[str]) -> Mapping[str, list[int]]:
        groups: dict[str, list[int]] = {}
        for n, name in enumerate(names):
            groups.setdefault(name, []).append(n)
        return groups


def _copied(thing: Thing) -> Thing:
    """Return a copy that shares nothing with the original; several times as fast as `deepcopy`."""
    copy: Thing = pickle.loads(pickle.dumps(thing))  # noqa: S301 (nobody else made these bytes)
    return copy


def _starts(like: LivingNode, home: str, vpc: Vpc) -> bool:
    """Start a node like this one, and say whether it gets all it wants."""
    limits, rules = like.host.limits, _rules(like)
    kind = like.node.machine.instance_type
    instance = Instance(vpc.new_id("i"), kind, limits.enis, limits.ipv4_per_eni)
    try:
        enis = [Eni(vpc.launch(instance, NewEni(subnet=home)).id, subnet=home, primary=True)]
        if rules.wants_trunk:
            trunk = vpc.create(NewEni(subnet=home, interface_type="trunk"))
            vpc.attach(trunk.id, instance.id)
            enis.append(Eni(trunk.id, subnet=home, trunk=True))
    except Refusal:
        return False
    ec2 = replace(like.host.ec2, vpc=vpc, instance=instance.id, home=home)
    begun = pool.start(
        Pool(tuple(map(ec2.marked, enis))), rules, now=0.0, ec2=ec2, choose=pool.first
    )
    settled = pool.settle(begun, rules, now=0.0, ec2=ec2)
    again = pool.settle(settled.pool, rules, now=settled.now, ec2=ec2)
    return again.pool.tally.refusals == settled.pool.tally.refusals


def _rules(node: LivingNode) -> Rules:
    assert node.ipamd is not None
    return node.ipamd.rules


def _branches(vpc: Vpc) -> Counter[str]:
    """The branch ENIs of each instance's pods."""
    branches = (eni for eni in vpc.enis.values() if eni.interface_type == "branch")
    return Counter(eni.tags["node.k8s.amazonaws.com/instance_id"] for eni in branches)


def _places(node: LivingNode, branches: Mapping[str, int]) -> int:
    """How many more pods kubelet accepts, those that wait for an address left out."""
    others = node.node.host_network_pods + branches.get(node.node.instance_id, 0)
    return max(node.node.machine.max_pods - node.host.pool.assigned - others, 0)


def _filled(host: Host, rules: Rules, most: int) -> int:
    """Add pods until the next one finds no address; return how many found one."""
    now = host.time.now
    for count in range(most):
        given = pool.assign(host.pool, rules, pod=f"more-{count}", now=now, choose=pool.first)
        if given is None:
            return count
        settled = pool.settle(given.pool, rules, now=now, ec2=host.ec2)
        host.pool, now = settled.pool, settled.now
    return most
