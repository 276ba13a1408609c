"""The living cluster: nodes in the VPC, pods on nodes, and simulated time that passes in ticks.

What the Kubernetes API shows changes between steps only, as readers must be able to see one change
before the next; pods, pools and EC2 move with every tick.
"""

import random
from collections.abc import Mapping
from ipaddress import IPv4Network

from exporter.core.pool import Eni, Pool, Settings
from exporter.sim import events
from exporter.sim.cluster import Cluster
from exporter.sim.fleet import ZONES
from exporter.sim.living.controller import Controller
from exporter.sim.living.foreign import OTHER_ACCOUNT, Foreign
from exporter.sim.living.host import Host, LivingIpamd, Time
from exporter.sim.living.kubelets import Kubelets, LivingNode
from exporter.sim.living.node_ec2 import NodeEc2, Weather
from exporter.sim.living.types import Group
from exporter.sim.living.workload import Workload
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


class World:
    """Everything that lives, on one clock."""

    def __init__(
        self, cluster: Cluster, *, seed: int, sizes: Mapping[str, int], pod_subnets: bool = False
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
        self._seed = seed
        self._ticks = 0
        for number, zone in enumerate(ZONES):
            self.foreign.settle(self._subnet(number, zone, sizes[zone]))
        for number, zone in enumerate(ZONES if pod_subnets else ()):
            self._pod_subnet(number, zone, sizes[zone])

    def subnet(self, zone: str) -> Subnet:
        """The nodes' subnet of a zone."""
        return next(subnet for subnet in self.vpc.subnets.values() if subnet.zone == zone)

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
        """Put in a node that has been there for long."""
        living = self._new(group, zone, age)
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

    def bury(self) -> None:
        """Terminate the instances whose node has left the cluster, with all that was on them."""
        for name in [name for name in self.nodes if name not in self.cluster.nodes]:
            living = self.nodes.pop(name)
            self.kubelets.lost(living)
            self.vpc.terminate(living.node.instance_id)

    def _new(self, group: Group, zone: str, age: float) -> LivingNode:
        machine = group.machine(zone, self.settings)
        node = self.cluster.new_node(machine, age=age)
        subnet = self.subnet(zone)
        kind = group.type
        instance = Instance(node.instance_id, kind.name, kind.enis, kind.ipv4_per_eni)
        primary = self.vpc.launch(instance, NewEni(subnet=subnet.id, use="node"))
        rng = random.Random(f"{self._seed}/{node.instance_id}")
        cluster = self.cluster.plan.env["CLUSTER_NAME"]
        host = Host(
            ec2=NodeEc2(self.vpc, instance.id, subnet.id, cluster, rng, self.weather),
            env=self.cluster.plan.env,
            limits=kind.limits(self.settings),
            time=self.time,
            rng=rng,
            pool=Pool((Eni(primary.id, subnet=subnet.id, primary=True),)),
        )
        living = LivingNode(node, host, kind.cpu, step=self.step)
        self.nodes[node.name] = living
        return living

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
        if self.settings.prefix_delegation:
            # The upper half, or scattered single addresses would leave no whole /28.
            self._reserve(subnet, list(cidr.subnets())[1], ReservationKind.PREFIX)
        if number == 0:
            self._reserve(subnet, list(cidr.subnets(new_prefix=28))[3], ReservationKind.EXPLICIT)
        return subnet

    def _pod_subnet(self, number: int, zone: str, size: int) -> None:
        """A subnet that subnet discovery finds, from a secondary CIDR of the VPC."""
        name = f"pods-{zone[-1]}"
        subnet = Subnet(
            id=self.vpc.new_id("subnet"),
            cidr=IPv4Network((f"100.64.{number * 64}.0", max(18, 32 - (size - 1).bit_length()))),
            zone=zone,
            zone_id=_ZONE_IDS[number],
            name=name,
            tags={"kubernetes.io/role/cni": "1", "Name": name},
        )
        self.vpc.add_subnet(subnet)

    def _reserve(self, subnet: Subnet, cidr: IPv4Network, kind: ReservationKind) -> None:
        subnet.reserve(Reservation(self.vpc.new_id("scr"), cidr, kind, f"for {kind} use"))
