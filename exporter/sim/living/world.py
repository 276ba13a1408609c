"""The living cluster: nodes in the VPC, pods on nodes, and simulated time that passes in ticks.

What the Kubernetes API shows changes between steps only, as readers must be able to see one change
before the next; pods, pools and EC2 move with every tick.
"""

import random
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Address
from types import MappingProxyType

from exporter.core.pool import IPV6_PREFIX, Cidr, Eni, Pool, Settings
from exporter.sim import events
from exporter.sim.cluster import Cluster
from exporter.sim.fleet import ZONES
from exporter.sim.introspection_settings import Surroundings, chosen_eni_config
from exporter.sim.ipamd import Release
from exporter.sim.living.controller import Controller
from exporter.sim.living.foreign import OTHER_ACCOUNT, Foreign
from exporter.sim.living.host import Host, LivingIpamd, Time
from exporter.sim.living.kubelets import Kubelets, LivingNode
from exporter.sim.living.node_ec2 import NodeEc2, Weather
from exporter.sim.living.types import Group
from exporter.sim.living.workload import Workload
from exporter.sim.nodes import Node
from exporter.sim.objects import node_labels
from exporter.sim.vpc import Eni as VpcEni
from exporter.sim.vpc import (
    Instance,
    NewEni,
    Refusal,
    Reservation,
    ReservationKind,
    Subnet,
    Vpc,
)

TICK_SECONDS = 5
_ZONE_IDS = ("euc1-az2", "euc1-az3", "euc1-az1")
_MINUTE_TICKS = 12
_FOREIGN_TICKS = 60
_IPV6 = int(IPv6Address("2001:db8::"))
NO_MANAGE = "node.k8s.amazonaws.com/no_manage"
_SINCE_CNI_NODES = (1, 15)


class World:
    """Everything that lives, on one clock."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        seed: int,
        sizes: Mapping[str, int],
        pod_subnets: bool = False,
        prefixes: bool = False,
    ) -> None:
        self.cluster = cluster
        self.time = Time()
        self.rng = random.Random(f"{seed}/living")
        self.vpc = Vpc(cluster.clock, seed=seed, id=cluster.plan.env["VPC_ID"])
        self.weather = Weather()
        self.settings = Settings.from_env(cluster.plan.env)
        self.workload = Workload(self.time, self.rng)
        self.controller = Controller(self.vpc, self.time)
        self.kubelets = Kubelets(self.workload, self.controller, time=self.time, rng=self.rng)
        self.nodes: dict[str, LivingNode] = {}
        self.foreign = Foreign(self.vpc, self.rng)
        self.step = 0
        self.roll_out_to = ""
        self.roll_out_in = frozenset[str]()
        self._seed = seed
        self._ticks = 0
        self._prefixes = prefixes or self.settings.prefix_delegation
        for number, zone in enumerate(ZONES):
            self.foreign.settle(self._subnet(number, zone, sizes[zone]))
        for number, zone in enumerate(ZONES if pod_subnets else ()):
            self._pod_subnet(number, zone, sizes[zone])

    def subnet(self, zone: str) -> Subnet:
        """The nodes' subnet of a zone."""
        return next(subnet for subnet in self.vpc.subnets.values() if subnet.zone == zone)

    def named(self, name: str) -> Subnet:
        """The subnet of this name."""
        return next(subnet for subnet in self.vpc.subnets.values() if subnet.name == name)

    def group(self, name: str) -> list[LivingNode]:
        """The nodes of a group."""
        return [node for node in self.nodes.values() if node.node.machine.group == name]

    def lay(
        self, name: str, zone: str, cidr: str, *, tags: Mapping[str, str] = MappingProxyType({})
    ) -> Subnet:
        """Put one more subnet of ours into a zone."""
        subnet = Subnet(
            id=self.vpc.new_id("subnet"),
            cidr=IPv4Network(cidr),
            zone=zone,
            zone_id=_ZONE_IDS[ZONES.index(zone)],
            name=name,
            tags={**tags, "Name": name},
        )
        return self.vpc.add_subnet(subnet)

    def zones(self) -> dict[str, list[LivingNode]]:
        """The nodes of each zone."""
        found: dict[str, list[LivingNode]] = {zone: [] for zone in ZONES}
        for node in self.nodes.values():
            found[node.zone].append(node)
        return found

    def tick(self) -> None:
        """Let five simulated seconds pass."""
        self.time.now += TICK_SECONDS
        self._ticks += 1
        self.workload.tick()
        self.kubelets.tick(self.nodes)
        for node in self.nodes.values():
            node.live()
        self.controller.tick()
        if self._ticks % _MINUTE_TICKS == 0:
            self.controller.attach_trunks(node.host for node in self.nodes.values() if node.ipamd)
        if self._ticks % _FOREIGN_TICKS == 0:
            self.foreign.tick()

    def settle(self, group: Group, zone: str, *, age: float, version: str) -> LivingNode:
        """Put in a node that has been there for long; it begins with what `before` set."""
        living = self._new(group, zone, age)
        living.host.env = {**living.host.env, **group.before}
        started = self.cluster.clock() - self.rng.uniform(age / 2, age)
        process = LivingIpamd.begun(living.host, started, version)
        self.cluster.add(living.node, process, version=version)
        living.ready = True
        return living

    def join(self, group: Group, zone: str) -> LivingNode | None:
        """Start a node, whose aws-node is yet to come up; a full subnet has no address for it."""
        try:
            living = self._new(group, zone, 0.0)
        except Refusal:
            return None
        self.cluster.add(living.node, None)
        # No process of this one ever answers: coming up starts the first that does.
        tag = self.cluster.plan.image_tag
        living.node.process = LivingIpamd(living.host, tag, 0.0, living.host.rules(tag))
        events.appear(self.cluster, living.node)
        return living

    def come_up(self) -> None:
        """Let aws-node start on the nodes that joined in an earlier step."""
        for living in self.nodes.values():
            if not living.ready and living.step < self.step and living.node.serving is None:
                events.come_up(self.cluster, living.node)

    def change_settings(self) -> None:
        """Let aws-node start anew, with what it is set to by now, where it was set to else."""
        for living in self.nodes.values():
            env = self.cluster.env(living.node)
            if living.host.env != env:
                living.host.env = env
                events.restart(self.cluster, living.node)

    def show_features(self) -> None:
        """Have CNINodes say what ipamd asks for on the nodes where it says anything."""
        for living in self.nodes.values():
            features = wanted_features(living)
            if features or living.node.name in self.cluster.cni_nodes:
                self.cluster.feature(living.node, features)

    def bury(self) -> None:
        """Terminate the instances whose node has left the cluster, with all that was on them."""
        for name in [name for name in self.nodes if name not in self.cluster.nodes]:
            living = self.nodes.pop(name)
            self.kubelets.lost(living)
            self.vpc.terminate(living.node.instance_id)

    def _new(self, group: Group, zone: str, age: float) -> LivingNode:
        env = {**self.cluster.plan.env, **group.env}
        settings = Settings.from_env(env)
        node = self.cluster.new_node(group.machine(zone, settings), age=age)
        node.env = group.env
        subnet, kind = self.named(f"{group.home}-{zone[-1]}"), group.type
        instance = Instance(node.instance_id, kind.name, kind.enis, kind.ipv4_per_eni)
        primary = self.vpc.launch(instance, NewEni(subnet=subnet.id, use="node"))
        rng = random.Random(f"{self._seed}/{node.instance_id}")
        cluster = self.cluster.plan.env["CLUSTER_NAME"]
        ec2 = NodeEc2(self.vpc, instance.id, subnet.id, cluster, rng, self.weather)
        ec2.pods_in = self._pods_in(node) if settings.custom_networking else ""
        if not group.trunks:
            self.controller.idle.add(instance.id)
        host = Host(
            ec2=ec2,
            env=env,
            limits=kind.limits(settings),
            time=self.time,
            rng=rng,
            pool=Pool((_primary(primary, ipv6=settings.ipv6),), unmanaged=self._attach(group, ec2)),
            cards=kind.cards,
        )
        living = LivingNode(node, host, kind.cpu, step=self.step)
        self.nodes[node.name] = living
        return living

    def _pods_in(self, node: Node) -> str:
        """The subnet of the ENIConfig that a node's labels choose."""
        around = Surroundings(self.cluster.env(node), node_labels(node), self.cluster.eni_configs)
        return around.eni_configs[
            chosen_eni_config(around, Release.of(self.cluster.plan.image_tag))
        ]

    def _attach(self, group: Group, ec2: NodeEc2) -> int:
        """Attach the ENIs that others made, and count those that ipamd takes off its limits."""
        counted = 0
        for stranger in group.strangers:
            new = NewEni(
                subnet=ec2.home,
                secondary=2,
                tags=stranger.tags,
                interface_type=stranger.interface_type,
                use="node_unmanaged",
            )
            self.vpc.attach(self.vpc.create(new).id, ec2.instance, card=stranger.card)
            # Those of other cards count by their tag alone (reference 1.3).
            counted += not stranger.card or stranger.tags.get(NO_MANAGE) == "true"
        return counted

    def _subnet(self, number: int, zone: str, size: int) -> Subnet:
        """A subnet for nodes; the last zone's belongs to another account, which shares it."""
        cidr = IPv4Network((f"10.{number}.0.0", 32 - (size - 1).bit_length()))
        subnet = Subnet(
            id=self.vpc.new_id("subnet"),
            cidr=cidr,
            zone=zone,
            zone_id=_ZONE_IDS[number],
            name=f"nodes-{zone[-1]}",
            tags={"kubernetes.io/role/internal-elb": "1", "kubernetes.io/cluster/sim": "shared"},
            owner=OTHER_ACCOUNT if number == len(ZONES) - 1 else "",
        )
        subnet.tags["Name"] = subnet.name
        self.vpc.add_subnet(subnet)
        if self._prefixes:
            # The upper half, or scattered single addresses would leave no whole /28.
            self._reserve(subnet, list(cidr.subnets())[1], ReservationKind.PREFIX)
        if number == 0:
            self._reserve(subnet, list(cidr.subnets(new_prefix=28))[3], ReservationKind.EXPLICIT)
        return subnet

    def _pod_subnet(self, number: int, zone: str, size: int) -> None:
        """A subnet that subnet discovery finds, from a secondary CIDR of the VPC."""
        length = max(18, 32 - (size - 1).bit_length())
        cidr = f"100.64.{number * 64}.0/{length}"
        self.lay(f"pods-{zone[-1]}", zone, cidr, tags={"kubernetes.io/role/cni": "1"})

    def _reserve(self, subnet: Subnet, cidr: IPv4Network, kind: ReservationKind) -> None:
        subnet.reserve(Reservation(self.vpc.new_id("scr"), cidr, kind, f"for {kind} use"))


def wanted_features(living: LivingNode) -> Mapping[str, str]:
    """Return what ipamd has a node's CNINode ask for, by the release that runs there."""
    host, pod = living.host, living.node.serving
    if pod is None or Release.of(pod.version) < _SINCE_CNI_NODES:
        return {}
    found = {"SecurityGroupsForPods": ""} if host.wants_trunk else {}
    if host.ec2.pods_in:
        found["CustomNetworking"] = "default"
    return found


def _primary(eni: VpcEni, *, ipv6: bool) -> Eni:
    """Show ipamd an instance's first ENI, with its /80 where pods have IPv6 addresses."""
    if not ipv6:
        return Eni(eni.id, subnet=eni.subnet, primary=True)
    eni.ipv6 = [_IPV6 + (eni.primary << 48)]
    cidrs = (Cidr(eni.ipv6[0], IPV6_PREFIX),)
    return Eni(eni.id, subnet=eni.subnet, primary=True, cidrs=cidrs)
