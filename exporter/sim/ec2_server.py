"""EC2 of a living cluster: its port, its troubles, and the truth of its subnets.

It is what a simulation holds of EC2; the parts are told in `ec2_api` and `subnet_books`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import IPv4Network

from exporter.sim import books, subnet_books
from exporter.sim.cluster import Cluster
from exporter.sim.ec2_actions import Ec2
from exporter.sim.ec2_api import Ec2Api
from exporter.sim.ec2_surveys import Surveys
from exporter.sim.ec2_told import Ec2Told
from exporter.sim.ec2_types import TYPES
from exporter.sim.ec2_uses import Insight, Page, Use
from exporter.sim.flags import is_on
from exporter.sim.ledger import Ledger
from exporter.sim.listener import Listener, signing
from exporter.sim.living.host import LivingIpamd
from exporter.sim.nodes import Kind
from exporter.sim.troubles import ANY, Plan, Trouble
from exporter.sim.vpc import NewEni, Subnet, Vpc

_DOWN = "down"
_FREE = "vpc_cni_subnet_free_ip_addresses"
_NO_INSTANCE = frozenset({Kind.FARGATE, Kind.HYBRID})


class Ec2Server:
    """EC2 over HTTP, for one cluster in one VPC."""

    def __init__(
        self,
        cluster: Cluster,
        ledger: Ledger,
        vpc: Vpc,
        *,
        port: int = 0,
        count_reserved: bool,
    ) -> None:
        self._cluster = cluster
        self._ledger = ledger
        self._vpc = vpc
        self._surveys = Surveys(vpc)
        self._ec2 = Ec2(vpc, count_reserved=count_reserved)
        self.api = Ec2Api(self._ec2, clock=cluster.clock)
        self.api.heard = self._heard
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
        return {"AWS_ENDPOINT_URL_EC2": self.url, **signing(zone[:-1])}

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

    def crowd(self, subnet: str, enis: int, *, owner: str = "") -> None:
        """Have so many bystanders' ENIs in a subnet, of one address each.

        Those of another account are `owner`'s, and nobody shows them to ours.
        """
        there = self._crowds.setdefault(subnet, [])
        while len(there) > enis:
            self._vpc.delete(there.pop())
        while len(there) < enis:
            use = Use.UNATTRIBUTED if owner else Use.OTHER
            there.append(self._vpc.create(NewEni(subnet=subnet, owner=owner, use=use)).id)

    def state(self) -> dict[str, object]:
        """Return what is wrong, and how reserved addresses are counted."""
        troubles = self.api.troubles.current()
        return {"troubles": troubles, "count_reserved": self.count_reserved}

    def forget(self) -> None:
        """Know of no reader, as before one came."""
        self.api.first_told = None
        self._surveys.forget()

    def truth(self) -> books.Samples:
        """Return all samples of nodes and subnets, as far as a reader was told by now."""
        found = books.Books(self._cluster, self._ledger)
        if self.api.first_told is None:
            return found.samples()
        pages = subnet_books.pages(self._vpc, self.insight(self.api.first_told))
        subnets = subnet_books.samples(pages)
        # What EC2 itself counts, which need not be what is free for all.
        subnets[_FREE] = [
            (labels, self._ec2.available(self._vpc.subnets[labels["subnet_id"]]))
            for labels, _ in subnets.get(_FREE, [])
        ]
        found.told = self._told(pages)
        return {**found.samples(), **subnets}

    def homes(self) -> dict[str, str]:
        """Return the subnet of each instance's primary ENI."""
        return {
            eni.attachment.instance: eni.subnet
            for eni in self._vpc.enis.values()
            if eni.attachment is not None and (eni.attachment.device, eni.attachment.card) == (0, 0)
        }

    def insight(self, since: float) -> Insight:
        """Return what a reader that came then knows of the nodes beside EC2's answers."""
        known = self._known(since)
        nodes = dict(known.nodes)
        for entry in books.entries(self._cluster, self._ledger):
            if entry.facts is not None and isinstance(entry.node.process, LivingIpamd):
                nodes[entry.node.instance_id] = self._uses(entry, entry.node.process)
        return replace(known, nodes=nodes)

    def _known(self, since: float) -> Insight:
        """Return what is known of the nodes but for what their ipamds say."""
        cluster = self._cluster
        every = [node for node in cluster.nodes.values() if node.machine.kind not in _NO_INSTANCE]
        # What a node is set to is told by its pod alone.
        envs = {
            node.instance_id: cluster.env(node)
            for node in cluster.expected
            if node.target is not None
        }
        return Insight(
            cluster.plan.env["CLUSTER_NAME"],
            now=cluster.clock(),
            since=since,
            nodes={node.instance_id: None for node in every},
            eni_config_subnets=frozenset(cluster.eni_configs.values()),
            eks_subnets=self.eks_subnets(),
            strict=frozenset(
                instance
                for instance, env in envs.items()
                if not is_on(env, "MANAGE_UNTAGGED_ENI", default=True)
            ),
            all_cards=frozenset(
                instance for instance, env in envs.items() if is_on(env, "ENABLE_MULTI_NIC")
            ),
            set_up=frozenset(envs),
        )

    def _told(self, pages: list[Page]) -> Ec2Told:
        surveys = self._surveys
        if not surveys.count:
            return Ec2Told(homes=self.homes())
        return Ec2Told(
            homes=self.homes(),
            types={name: TYPES[name] for name in surveys.types if name in TYPES},
            branches=surveys.branches(),
            drift=surveys.drift(),
            rooms=subnet_books.rooms(pages),
        )

    def _heard(self, action: str, asked: Mapping[str, str], body: bytes) -> None:
        if action == "DescribeInstanceTypes":
            # Readers ask for those of all nodes at once.
            kinds = (node.machine.instance_type for node in self._cluster.expected)
            self._surveys.types = frozenset(kinds)
        if self._surveys.heard(action, asked, body):
            entries = books.entries(self._cluster, self._ledger)
            self._surveys.compare(entries, self._known(self._cluster.clock()))

    def _uses(self, entry: books.Entry, ipamd: LivingIpamd) -> Mapping[int, Use] | None:
        """Return the use of each address that ipamd holds, as far as page and body tell."""
        if entry.figures().mode == "ipv6" or not self._told_by_eni(entry):
            return None
        now, cooldown = ipamd.host.time.now, ipamd.rules.cooldown
        enis = (eni for held in ipamd.host.pools.values() for eni in held.enis)
        cidrs = [cidr for eni in enis for cidr in eni.cidrs]
        uses = {cidr.base + place: Use.POD_WARM for cidr in cidrs for place in range(cidr.size)}
        for address in (address for cidr in cidrs for address in cidr.addresses):
            if address.pod is not None:
                uses[address.ip] = Use.POD_ASSIGNED
            elif entry.body is not None and address.cooling(now, cooldown):
                uses[address.ip] = Use.POD_COOLDOWN
        return uses

    def _told_by_eni(self, entry: books.Entry) -> bool:
        """Whether it is known what each ENI gave to pods.

        By introspection, by the page since v1.15.1, or as all are in one subnet.
        """
        assert entry.facts is not None
        if entry.body is not None or entry.facts.assigned_by_eni:
            return True
        enis = (self._vpc.eni(eni) for eni in self._vpc.instances[entry.node.instance_id].enis)
        subnets = {eni.subnet for eni in enis if eni.secondary or eni.prefixes}
        return len(subnets) <= 1
