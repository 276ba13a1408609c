"""Static fleets: seeded nodes over three zones and several node groups, moved by a random walk.

A step moves counts and counters of every running ipamd; pods arriving and leaving one by one,
subnets and EC2 belong to a later model that puts its own state under the same servers.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from exporter.sim import events, walk
from exporter.sim.cluster import LATEST, Cluster
from exporter.sim.facts import whole_hundredths
from exporter.sim.ipamd import PREFIX_SIZE, Ipamd
from exporter.sim.nodes import Kind, Machine, Node
from exporter.sim.pages import Writer

OLDER = "v1.15.1-eksbuild.1"
ZONES = ("eu-central-1a", "eu-central-1b", "eu-central-1c")
_HOUR = 3600.0
_SHARED = 8


class Story(Protocol):
    """What puts nodes into the cluster and moves them, one step at a time."""

    def begin(self, cluster: Cluster) -> None:
        """Fill an empty cluster."""

    def step(self, cluster: Cluster) -> None:
        """Move the cluster on by one step."""

    def join(self, cluster: Cluster) -> Node:
        """Add a node that has just been started, with a pending pod."""


@dataclass(frozen=True, slots=True)
class Group:
    """A node group: its instances' limits, and how its ipamd hands out addresses."""

    instance_type: str
    enis: int
    slots: int
    max_pods: int
    share: int
    prefix: bool = True
    pod_eni: int = 0
    label: str = "eks.amazonaws.com/nodegroup"
    apps: tuple[str, ...] = ("kube-proxy",)

    @property
    def per_eni(self) -> int:
        return self.slots * PREFIX_SIZE if self.prefix else self.slots


# m4 is not nitro, so ipamd ignores the prefix setting there and hands out single addresses.
GROUPS: Mapping[str, Group] = {
    "general": Group("m5.xlarge", 4, 14, 110, share=4),
    "legacy": Group("m4.4xlarge", 8, 29, 234, share=4, prefix=False),
    "system": Group(
        "m5.large", 3, 9, 110, share=2, apps=("kube-proxy", "node-exporter", "ebs-csi-node")
    ),
    "secure": Group("m5.2xlarge", 4, 14, 110, share=3, pod_eni=38),
    "burst": Group("m4.2xlarge", 4, 14, 58, share=2, prefix=False, label="karpenter.sh/nodepool"),
    "": Group("m6g.large", 3, 9, 110, share=1),
}

_WITHOUT_AWS_NODE = (
    Machine("", ZONES[0], 1, kind=Kind.FARGATE),
    Machine("m5.large", ZONES[1], 110, group="windows", kind=Kind.WINDOWS),
    Machine("c6g.large", ZONES[2], 27, kind=Kind.AUTO),
)


@dataclass(slots=True)
class Fleet:
    """A cluster of `nodes` regular nodes that the seed alone decides.

    A `lean` one has many nodes share a process, and with it the page: what ten thousand nodes say
    is then written a few dozen times, and a restart gives a node a process of its own.
    """

    nodes: int
    seed: int = 1
    others: int = len(_WITHOUT_AWS_NODE)
    lean: bool = False
    _shared: dict[tuple[str, str, int], Writer] = field(init=False, default_factory=dict)

    def begin(self, cluster: Cluster) -> None:
        """Put all nodes in, some with the older release and each with a history."""
        rng = random.Random(f"{self.seed}/begin")
        names = list(GROUPS)
        shares = [group.share for group in GROUPS.values()]
        for number in range(self.nodes):
            name = rng.choices(names, shares)[0]
            age = rng.uniform(2 * _HOUR, 900 * _HOUR)
            node = _node(cluster, name, zone=ZONES[number % len(ZONES)], age=age)
            version = OLDER if rng.random() < 0.2 else LATEST
            if self.lean:
                process = self._shared_process(cluster, name, rng=rng, version=version)
            else:
                started = cluster.clock() - rng.uniform(_HOUR, age)
                process = _process(GROUPS[name], rng, started=started, version=version)
            cluster.add(node, process, version=version)
        for machine in _WITHOUT_AWS_NODE[: self.others]:
            cluster.add(cluster.new_node(machine, age=_HOUR), None)
        cluster.settle()

    def step(self, cluster: Cluster) -> None:
        """Let every ipamd that runs live for about half a minute."""
        running = (node.process for node in cluster.nodes.values() if node.serving is not None)
        for process in dict.fromkeys(running):
            if isinstance(process, Writer):
                walk.live(process.ipamd, cluster.rng)

    def join(self, cluster: Cluster) -> Node:
        """Add a young node to the group `general`; its pod is yet to come up."""
        node = _node(cluster, "general", zone=ZONES[len(cluster.nodes) % len(ZONES)], age=0.0)
        process = _process(GROUPS["general"], cluster.rng, started=cluster.clock(), version=LATEST)
        cluster.add(node, None)
        node.process = process
        events.appear(cluster, node)
        return node

    def _shared_process(
        self, cluster: Cluster, name: str, *, rng: random.Random, version: str
    ) -> Writer:
        """One of a few processes of this group and release, older than no node."""
        key = (name, version, rng.randrange(_SHARED))
        if key not in self._shared:
            started = cluster.clock() - rng.uniform(_HOUR, 2 * _HOUR)
            self._shared[key] = _process(GROUPS[name], rng, started=started, version=version)
        return self._shared[key]


def _node(cluster: Cluster, name: str, *, zone: str, age: float) -> Node:
    group = GROUPS[name]
    machine = Machine(
        group.instance_type,
        zone,
        group.max_pods,
        group=name,
        group_label=group.label,
        pod_eni=group.pod_eni,
    )
    node = cluster.new_node(machine, age=age)
    node.other_pods = group.apps
    return node


def _process(group: Group, rng: random.Random, *, started: float, version: str) -> Writer:
    ipamd = Ipamd(
        whole_hundredths(started), group.enis, group.enis * group.per_eni, [], group.prefix
    )
    walk.settle(ipamd, rng, trunk=bool(group.pod_eni))
    walk.remember(ipamd, rng)
    return Writer(ipamd, version)
