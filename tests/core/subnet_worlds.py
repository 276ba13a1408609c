"""Subnets and ENIs as EC2 shows them, and worlds in which every ENI was made as something."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network

from hypothesis import strategies as st

from exporter.core.model import Eni, Outcome, Reservation, Subnet
from exporter.core.owners import ClusterFacts, ClusterNode, Use
from exporter.core.subnets import Memory, SubnetUsage, Survey, accounts
from tests.builders import NOW, node, read, reading, target, unread

CLUSTER = "green"
INSTANCE_TAG = "node.k8s.amazonaws.com/instance_id"


def address(text: str) -> int:
    return int(IPv4Address(text))


def subnet(
    cidr: str = "10.0.0.0/24",
    *,
    id: str = "subnet-a",
    available: int = 251,
    tags: Mapping[str, str] | None = None,
    reservations: tuple[Reservation, ...] | None = (),
) -> Subnet:
    return Subnet(
        id=id,
        vpc_id="vpc-1",
        zone="eu-west-1a",
        zone_id="euw1-az1",
        cidr=cidr,
        available=available,
        tags=tags or {},
        reservations=reservations,
    )


def eni(
    id: str = "eni-1",
    *,
    subnet_id: str = "subnet-a",
    status: str = "in-use",
    interface_type: str = "interface",
    description: str = "",
    requester_id: str = "",
    instance_id: str = "",
    device_index: int | None = None,
    network_card: int = 0,
    addresses: tuple[int, ...] = (address("10.0.0.10"),),
    prefixes: tuple[int, ...] = (),
    tags: Mapping[str, str] | None = None,
    created: float | None = None,
) -> Eni:
    return Eni(
        id=id,
        subnet_id=subnet_id,
        status=status,
        interface_type=interface_type,
        description=description,
        requester_id=requester_id,
        instance_id=instance_id,
        attached=bool(instance_id),
        device_index=device_index,
        network_card=network_card,
        addresses=addresses,
        prefixes=prefixes,
        tags=tags or {},
        created=created,
    )


FACTS = ClusterFacts(cluster=CLUSTER, nodes={"i-1": ClusterNode(name="node-1")})
NOTHING = Memory()


def survey(where: Subnet, enis: tuple[Eni, ...] | None = (), facts: ClusterFacts = FACTS) -> Survey:
    listed = {} if enis is None else {where.id: enis}
    return Survey(subnets=(where,), enis=listed, facts=facts)


def account(
    where: Subnet,
    enis: tuple[Eni, ...] | None = (),
    *,
    facts: ClusterFacts = FACTS,
    memory: Memory = NOTHING,
) -> SubnetUsage:
    return accounts(memory, survey(where, enis, facts), NOW)[1][0]


def used(usage: SubnetUsage) -> dict[Use, int]:
    """The uses that are not 0."""
    assert usage.uses is not None
    return {use: count for use, count in usage.uses.items() if count}


def run_of(first: str, count: int) -> tuple[int, ...]:
    return tuple(range(address(first), address(first) + count))


# What an ENI that is no node's is, and how EC2 shows it.
FOREIGN: Mapping[str, tuple[str, Eni]] = {
    "leaked": (
        "leaked",
        eni(
            status="available",
            description="aws-K8S-i-gone",
            tags={"cluster.k8s.amazonaws.com/name": CLUSTER, INSTANCE_TAG: "i-gone"},
            created=NOW - 3600,
        ),
    ),
    "stray": ("leaked", eni(status="available", description="aws-K8S-i-lost")),
    "theirs": (
        "other_cluster",
        eni(instance_id="i-theirs", device_index=0, tags={"kubernetes.io/cluster/blue": "owned"}),
    ),
    "balancer": ("load_balancer", eni(description="ELB app/web/1", requester_id="amazon-elb")),
    "nat": ("nat_gateway", eni(interface_type="nat_gateway")),
    "endpoint": ("vpc_endpoint", eni(interface_type="vpc_endpoint")),
    "lambda": ("lambda", eni(interface_type="lambda")),
    "database": ("database", eni(description="RDSNetworkInterface")),
    "control": ("eks_control_plane", eni(description=f"Amazon EKS {CLUSTER}")),
    "fargate": ("fargate", eni(requester_id="AROA1:AmazonEKSForFargate")),
    "other": ("other", eni(instance_id="i-shop", device_index=0)),
}
ON_NODES = ("primary", "secondary", "unmanaged", "flying", "branch")


@dataclass(frozen=True)
class Made:
    """An ENI, what it was made as, and on which node."""

    eni: Eni
    kind: str
    node: int = -1


@dataclass
class World:
    """Subnets with ENIs in them, those of others included that nobody shows us."""

    subnets: list[Subnet] = field(default_factory=list)
    enis: dict[str, list[Made]] = field(default_factory=dict)
    hidden: dict[str, set[int]] = field(default_factory=dict)
    # By node: how ipamd there is read (by_eni, by_total, unread, unlisted), and its pods.
    nodes: list[str] = field(default_factory=list)
    pods: dict[str, int] = field(default_factory=dict)

    def survey(self) -> Survey:
        return Survey(
            subnets=tuple(self.subnets),
            enis={id: tuple(made.eni for made in enis) for id, enis in self.enis.items()},
            facts=ClusterFacts(cluster=CLUSTER),
            outcomes=tuple(
                self._outcome(n) for n, how in enumerate(self.nodes) if how != "unlisted"
            ),
        )

    def memory(self) -> Memory:
        """The strays, without a time of creation, were seen long enough ago."""
        return Memory(
            sights={
                id: {made.eni.id: NOW - 601 for made in enis if made.kind == "stray"}
                for id, enis in self.enis.items()
            }
        )

    def _outcome(self, n: int) -> Outcome:
        where = target(node(f"node-{n}", instance_id=f"i-{n}"))
        mine = self.on_node(n)
        assigned = sum(self.pods[made.eni.id] for made in mine)
        if self.nodes[n] == "unread":
            return unread(where)
        said = tuple((made.eni.id, self.pods[made.eni.id]) for made in mine)
        by_eni = said if self.nodes[n] == "by_eni" else ()
        return read(where, reading(assigned=assigned, enis=len(mine), assigned_by_eni=by_eni))

    def on_node(self, n: int) -> list[Made]:
        """The ENIs that ipamd on a node knows."""
        return [
            made
            for enis in self.enis.values()
            for made in enis
            if made.node == n and made.kind in ("primary", "secondary")
        ]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """One or two subnets with whatever may be in them, and EC2's count told in several ways."""
    world = World(nodes=draw(st.lists(st.sampled_from(HOW), min_size=1, max_size=4)))
    rng = random.Random(draw(st.integers(0, 2**32)))
    for n in range(draw(st.integers(1, 2))):
        length = draw(st.sampled_from((28, 27, 26, 25, 24)))
        _settle(draw, world, f"10.{n}.0.0/{length}", rng)
    for made in (it for enis in world.enis.values() for it in enis):
        world.pods[made.eni.id] = draw(st.integers(0, 3)) * rng.randrange(8)
    return world


# Addresses, the primary one first, and the first addresses of prefixes.
Held = tuple[tuple[int, ...], tuple[int, ...]]
HOW = ("by_eni", "by_eni", "by_total", "unread", "unlisted")
RESERVED = st.sampled_from(((), (), ("prefix",), ("explicit",), ("prefix", "explicit")))


def _settle(draw: st.DrawFn, world: World, cidr: str, rng: random.Random) -> None:
    """Add a subnet, its ENIs, and EC2's count of its free addresses."""
    network = IPv4Network(cidr)
    id = f"subnet-{len(world.subnets)}"
    usable = [int(ip) for ip in network][4:-1]
    reservations = tuple(
        Reservation(str(rng.choice(list(network.subnets(new_prefix=length)))), kind)
        for kind in draw(RESERVED)
        for length in (rng.randint(network.prefixlen, 30),)
    )
    world.enis[id] = []
    free = _people(draw, world, id, usable, rng)
    hidden = set(rng.sample(sorted(free), min(len(free), draw(st.sampled_from((0, 0, 1, 20))))))
    free -= hidden
    world.hidden[id] = hidden
    apart = draw(st.booleans())
    kept = {
        ip for ip in free if any(IPv4Address(ip) in IPv4Network(it.cidr) for it in reservations)
    }
    counted = len(free - kept if apart else free)
    moved = draw(st.sampled_from((0, 0, 0, -3, 2)))
    world.subnets.append(
        subnet(cidr, id=id, available=max(counted + moved, 0), reservations=reservations)
    )


def _people(
    draw: st.DrawFn, world: World, id: str, usable: list[int], rng: random.Random
) -> set[int]:
    """Make ENIs, and return the addresses that nobody has."""
    free = set(usable)
    kinds = st.sampled_from((*ON_NODES, "primary", "secondary", "secondary", *FOREIGN))
    services: list[int] = []
    for kind in draw(st.lists(kinds, max_size=12)):
        if not free:
            break
        prefixes = (
            _prefixes(free, rng, draw(st.sampled_from((0, 0, 1, 3)))) if kind in ON_NODES else ()
        )
        if not free:
            break
        wanted = 1 if kind == "branch" else draw(st.integers(1, 9))
        mine = rng.sample(sorted(free), min(len(free), wanted))
        free -= set(mine)
        if services and draw(st.sampled_from((False, False, True))):
            # moved from a service's ENI between two pages of the listing
            mine.append(services.pop())
        if kind in FOREIGN:
            services += mine
        name = f"eni-{sum(map(len, world.enis.values()))}"
        world.enis[id].append(
            _of_others(kind, name, id, tuple(mine))
            if kind in FOREIGN
            else _of_node(kind, rng.randrange(len(world.nodes)), name, id, (tuple(mine), prefixes))
        )
    return free


def _prefixes(free: set[int], rng: random.Random, count: int) -> tuple[int, ...]:
    """Take blocks of 16 that nobody has."""
    blocks = [ip for ip in sorted(free) if ip % 16 == 0 and all(ip + k in free for k in range(16))]
    taken = rng.sample(blocks, min(count, len(blocks)))
    free -= {base + k for base in taken for k in range(16)}
    return tuple(taken)


def _of_others(kind: str, id: str, subnet_id: str, addresses: tuple[int, ...]) -> Made:
    like = FOREIGN[kind][1]
    return Made(replace(like, id=id, subnet_id=subnet_id, addresses=addresses), kind)


def _of_node(kind: str, n: int, id: str, subnet_id: str, held: Held) -> Made:
    tags = {f"kubernetes.io/cluster/{CLUSTER}": "owned", INSTANCE_TAG: f"i-{n}"}
    if kind == "unmanaged":
        tags["node.k8s.amazonaws.com/no_manage"] = "true"
    attached = kind not in ("flying", "branch")
    made = eni(
        id,
        subnet_id=subnet_id,
        status="available" if kind == "flying" else "in-use",
        interface_type="branch" if kind == "branch" else "interface",
        description="" if kind == "primary" else f"aws-K8S-i-{n}",
        instance_id=f"i-{n}" if attached else "",
        device_index=(0 if kind == "primary" else 1) if attached else None,
        addresses=held[0],
        prefixes=held[1],
        tags=tags,
        created=NOW - 60,
    )
    return Made(made, kind, n)
