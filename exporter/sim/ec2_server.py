"""EC2 of a living cluster: its port, its troubles, and the truth of its subnets.

It is what a simulation holds of EC2; the parts are told in `ec2_api` and `subnet_books`.
"""

from collections.abc import Callable, Mapping
from ipaddress import IPv4Network

from exporter.sim import books, subnet_books
from exporter.sim.cluster import Cluster
from exporter.sim.ec2_actions import Ec2
from exporter.sim.ec2_api import Ec2Api
from exporter.sim.ec2_uses import Insight, Use
from exporter.sim.listener import Listener
from exporter.sim.living.host import LivingIpamd
from exporter.sim.troubles import ANY, Plan, Trouble
from exporter.sim.vpc import NewEni, Subnet, Vpc

# A client needs some to sign with; nobody checks them.
_KEY, _SECRET = "AKIASIMULATED0000000", "simulated"
_DOWN = "down"


_FREE = "vpc_cni_subnet_free_ip_addresses"


class Ec2Server:
    """EC2 over HTTP, for one cluster in one VPC."""

    def __init__(self, cluster: Cluster, vpc: Vpc, *, port: int = 0, count_reserved: bool) -> None:
        self._cluster = cluster
        self._vpc = vpc
        self._ec2 = Ec2(vpc, count_reserved=count_reserved)
        self.api = Ec2Api(self._ec2, clock=cluster.clock)
        self._crowds: dict[str, list[str]] = {}
        self.eks_subnets: Callable[[], frozenset[str]] = frozenset
        self._listener = Listener(self.api.application(), port=port)

    @property
    def url(self) -> str:
        return self._listener.url

    @property
    def count_reserved(self) -> bool:
        """Whether reserved addresses that nobody holds are counted as available."""
        return self._ec2.count_reserved

    @count_reserved.setter
    def count_reserved(self, counted: bool) -> None:
        self._ec2.count_reserved = counted

    def environment(self) -> dict[str, str]:
        """Return the variables by which botocore finds this EC2 and signs for it."""
        zone = next(iter(self._vpc.subnets.values())).zone
        return {
            "AWS_ENDPOINT_URL_EC2": self.url,
            "AWS_REGION": zone[:-1],
            "AWS_DEFAULT_REGION": zone[:-1],
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    async def start(self) -> None:
        """Open the port."""
        await self._listener.start()

    async def stop(self) -> None:
        """Close the port for good."""
        await self._listener.stop()

    async def set_trouble(
        self,
        trouble: str | None,
        *,
        action: str = ANY,
        times: int | None = None,
        after: int = 0,
        seconds: float = 1.0,
    ) -> None:
        """Give an action a trouble, take the whole of EC2 `down`, or heal what is wrong."""
        known = self._ec2.actions
        if action != ANY and action not in known:
            raise ValueError(f"no action {action!r}; there are {', '.join(known)}")
        if trouble == _DOWN:
            await self._listener.close()
            return
        plan = None
        if trouble is not None:
            plan = Plan(Trouble(trouble), times=times, after=after, seconds=seconds)
        self.api.troubles.set(action, plan)
        await self._listener.open()

    def add_subnet(self, cidr: str) -> str:
        """Put an empty subnet into the zone of the first one, and return its id."""
        network, subnets = IPv4Network(cidr), self._vpc.subnets.values()
        if any(network.overlaps(subnet.cidr) for subnet in subnets):
            raise ValueError(f"{cidr} overlaps another subnet")
        first = next(iter(subnets))
        new = Subnet(self._vpc.new_id("subnet"), network, first.zone, first.zone_id)
        return self._vpc.add_subnet(new).id

    def crowd(self, subnet: str, enis: int) -> None:
        """Have so many bystanders' ENIs in a subnet, of one address each."""
        there = self._crowds.setdefault(subnet, [])
        while len(there) > enis:
            self._vpc.delete(there.pop())
        while len(there) < enis:
            there.append(self._vpc.create(NewEni(subnet=subnet, use="other")).id)

    def state(self) -> dict[str, object]:
        """Return what is wrong, and how reserved addresses are counted."""
        troubles = self.api.troubles.current()
        return {"troubles": troubles, "count_reserved": self.count_reserved}

    def forget(self) -> None:
        """Know of no reader, as before one came."""
        self.api.first_told = None

    def truth(self) -> books.Samples:
        """Return the samples of subnets, once a reader was told of any: before, it knows none."""
        if self.api.first_told is None:
            return {}
        found = subnet_books.samples(self._vpc, self.insight(self.api.first_told))
        free = found.get(_FREE, [])
        # What EC2 itself counts, which need not be what is free for all.
        found[_FREE] = [
            (labels, self._ec2.available(self._vpc.subnets[labels["subnet_id"]]))
            for labels, _ in free
        ]
        return found

    def homes(self) -> dict[str, str]:
        """Return the subnet of each instance's primary ENI, once a reader was told of any."""
        if self.api.first_told is None:
            return {}
        return {
            eni.attachment.instance: eni.subnet
            for eni in self._vpc.enis.values()
            if eni.attachment is not None and (eni.attachment.device, eni.attachment.card) == (0, 0)
        }

    def insight(self, since: float) -> Insight:
        """Return what a reader that came then knows of the nodes beside EC2's answers."""
        cluster = self._cluster
        nodes: dict[str, Mapping[int, Use] | None] = {
            node.instance_id: None for node in cluster.nodes.values()
        }
        for entry in books.entries(cluster):
            if entry.gauges is not None and isinstance(entry.node.process, LivingIpamd):
                nodes[entry.node.instance_id] = _uses(entry.node.process)
        env = cluster.plan.env
        return Insight(
            env["CLUSTER_NAME"],
            now=cluster.clock(),
            since=since,
            nodes=nodes,
            eni_config_subnets=frozenset(cluster.eni_configs.values()),
            eks_subnets=self.eks_subnets(),
            manages_untagged=env.get("MANAGE_UNTAGGED_ENI") != "false",
            manages_all_cards=env.get("ENABLE_MULTI_NIC") == "true",
        )


def _uses(ipamd: LivingIpamd) -> Mapping[int, Use]:
    """Return the use of each address that ipamd holds; its page does not tell what cools down."""
    cidrs = [cidr for eni in ipamd.host.pool.enis for cidr in eni.cidrs]
    uses = {cidr.base + place: Use.POD_WARM for cidr in cidrs for place in range(cidr.size)}
    held = (address for cidr in cidrs for address in cidr.addresses)
    return uses | {address.ip: Use.POD_ASSIGNED for address in held if address.pod is not None}
