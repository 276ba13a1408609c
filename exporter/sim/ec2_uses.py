"""What every single address of a subnet is used for, found by looking at it.

It is as an ideal reader of EC2's answers would see it. Such a reader is not shown the ENIs of other
accounts in a shared subnet, so to it their addresses are no place in particular.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from exporter.sim import ec2_leaks
from exporter.sim.ec2_leaks import LEAKED_SECONDS, Abandoned
from exporter.sim.vpc import Attachment, Eni, ReservationKind, Subnet, Vpc

_BLOCK = 16
_NO_MANAGE = "node.k8s.amazonaws.com/no_manage"
_INSTANCE = "node.k8s.amazonaws.com/instance_id"
_DISCOVERY, _FOR_CLUSTER = "kubernetes.io/role/cni", "cni.networking.k8s.aws/cluster/"


class Use(StrEnum):
    """What an address of a subnet is used for."""

    FREE = "free"
    PREFIX_RESERVED_FREE = "prefix_reserved_free"
    EXPLICIT_RESERVED = "explicit_reserved"
    AWS_RESERVED = "aws_reserved"
    NODE_PRIMARY = "node_primary"
    POD_ASSIGNED = "pod_assigned"
    POD_WARM = "pod_warm"
    POD_COOLDOWN = "pod_cooldown"
    POD_UNKNOWN = "pod_unknown"
    POD_BRANCH = "pod_branch"
    NODE_UNMANAGED = "node_unmanaged"
    FARGATE = "fargate"
    LEAKED = "leaked"
    EKS_CONTROL_PLANE = "eks_control_plane"
    OTHER_CLUSTER = "other_cluster"
    LOAD_BALANCER = "load_balancer"
    NAT_GATEWAY = "nat_gateway"
    VPC_ENDPOINT = "vpc_endpoint"
    LAMBDA = "lambda"
    DATABASE = "database"
    OTHER = "other"
    UNATTRIBUTED = "unattributed"


class Block(StrEnum):
    """What a /28 of a subnet is good for."""

    FREE = "free"
    FREE_RESERVED = "free_reserved"
    DELEGATED = "delegated"
    FRAGMENTED = "fragmented"
    FULL = "full"
    RESERVED = "reserved"


_USES = frozenset(use.value for use in Use)
PODS = frozenset(use for use in Use if use.startswith("pod_"))
_RESERVED = {
    ReservationKind.PREFIX: Use.PREFIX_RESERVED_FREE,
    ReservationKind.EXPLICIT: Use.EXPLICIT_RESERVED,
}


@dataclass(frozen=True, slots=True)
class Insight:
    """What a reader knows beside EC2's answers.

    `nodes` are the cluster's instances, each with what its pods' addresses are used for, or none
    where the node was not read; `since` is when the reader first saw any ENI.
    """

    cluster: str
    now: float
    since: float
    nodes: Mapping[str, Mapping[int, Use] | None]
    eni_config_subnets: frozenset[str] = frozenset()
    manages_untagged: bool = True
    manages_all_cards: bool = False


@dataclass(slots=True)
class Page:
    """One subnet's page of the books: every address with its use, and what follows from that."""

    vpc: Vpc
    subnet: Subnet
    insight: Insight
    enis: list[Eni] = field(init=False)
    uses: dict[int, Use] = field(init=False)
    counts: Counter[Use] = field(init=False)

    def __post_init__(self) -> None:
        self.enis = [eni for eni in self.vpc.visible_enis() if eni.subnet == self.subnet.id]
        held = {address: use for eni in self.enis for address, use in self._held(eni)}
        base = int(self.subnet.cidr.network_address)
        self.uses = {
            address: held.get(address) or self._unheld(address)
            for address in range(base, base + self.subnet.cidr.num_addresses)
        }
        self.counts = Counter(self.uses.values())

    def owner(self, eni: Eni) -> Use:
        """Return whose an ENI is, in the words for its own first address."""
        if (attached := self._on_node(eni)) is not None:
            managed = self._manages(eni, attached)
            return Use.NODE_PRIMARY if managed else Use.NODE_UNMANAGED
        if (abandoned := self.abandoned(eni)) is not None:
            if ec2_leaks.age(eni, now=self.insight.now, since=self.insight.since) > LEAKED_SECONDS:
                return Use.LEAKED
            # On its way to its node, or away from it.
            return Use.NODE_PRIMARY if abandoned is Abandoned.THIS_CLUSTER else Use.OTHER
        if eni.interface_type == "branch" and not eni.use:
            return Use.POD_BRANCH
        return Use(eni.use) if eni.use in _USES else Use.OTHER

    def abandoned(self, eni: Eni) -> Abandoned | None:
        """Return whose an ENI is that nothing is attached to, if the CNI has made it."""
        return ec2_leaks.abandoned(eni, cluster=self.insight.cluster, instances=self._nodes)

    def roles(self) -> Iterator[str]:
        """Return what the cluster has to do with the subnet; without a role it has nothing."""
        attached = map(self._on_node, self.enis)
        first = any(attachment is not None and _is_first(attachment) for attachment in attached)
        tag = self.subnet.tags.get(_DISCOVERY)
        clusters = {
            key.removeprefix(_FOR_CLUSTER)
            for key in self.subnet.tags
            if key.startswith(_FOR_CLUSTER)
        }
        if first:
            yield "node"
        if self.subnet.id in self.insight.eni_config_subnets or PODS & self.counts.keys():
            yield "pod"
        if self.counts[Use.EKS_CONTROL_PLANE]:
            yield "control_plane"
        if tag == "0":
            yield "excluded"
        elif tag and (not clusters or self.insight.cluster in clusters):
            yield "cni_discovery"

    def blocks(self) -> dict[int, Block]:
        """Judge every /28 of the subnet."""
        delegated = {first for eni in self.enis for first in eni.prefixes}
        return {
            first: Block.DELEGATED if first in delegated else self._block(first)
            for first in list(self.uses)[::_BLOCK]
        }

    def free(self, first: int) -> int:
        """Count the addresses that look free in the /28 that begins at an address."""
        free = (Use.FREE, Use.PREFIX_RESERVED_FREE)
        return sum(self._seen(place) in free for place in range(first, first + _BLOCK))

    def _block(self, first: int) -> Block:
        places = range(first, first + _BLOCK)
        if all(self._reserved(place) is Use.EXPLICIT_RESERVED for place in places):
            return Block.RESERVED
        seen = {self._seen(place) for place in places}
        if seen == {Use.FREE}:
            return Block.FREE
        if seen == {Use.PREFIX_RESERVED_FREE}:
            return Block.FREE_RESERVED
        return Block.FRAGMENTED if seen & {Use.FREE, Use.PREFIX_RESERVED_FREE} else Block.FULL

    @property
    def _nodes(self) -> Mapping[str, Mapping[int, Use] | None]:
        return self.insight.nodes

    def _on_node(self, eni: Eni) -> Attachment | None:
        """Return how an ENI is attached to a node, one that Kubernetes does not know among them."""
        attached = eni.attachment
        if attached is None or not attached.instance:
            return None
        ours = ec2_leaks.cluster_of(eni) == self.insight.cluster
        return attached if ours or attached.instance in self._nodes else None

    def _manages(self, eni: Eni, attached: Attachment) -> bool:
        """Whether ipamd manages an ENI of its node (reference 1.3 and 5.1)."""
        insight, mark = self.insight, eni.tags.get(_NO_MANAGE)
        if _is_first(attached):
            return True
        if eni.interface_type == "efa-only" or (attached.card and not insight.manages_all_cards):
            return False
        if mark is not None:
            return mark != "true"
        return insight.manages_untagged or eni.tags.get(_INSTANCE) == attached.instance

    def _held(self, eni: Eni) -> Iterator[tuple[int, Use]]:
        owner = self.owner(eni)
        yield eni.primary, owner
        prefixed = (first + place for first in eni.prefixes for place in range(_BLOCK))
        told = self._told(eni) if owner is Use.NODE_PRIMARY else lambda _: owner
        for address in (*eni.secondary, *prefixed):
            yield address, told(address)

    def _told(self, eni: Eni) -> Callable[[int], Use]:
        """What the node's ipamd tells of addresses; of an ENI not attached it has given none."""
        attached = eni.attachment
        instance = attached.instance if attached is not None else eni.tags.get(_INSTANCE, "")
        known = self._nodes.get(instance)
        if known is None:
            return lambda _: Use.POD_UNKNOWN
        otherwise = Use.POD_WARM if attached is None else Use.POD_UNKNOWN
        return lambda address: known.get(address, otherwise)

    def _unheld(self, address: int) -> Use:
        """Tell the use of an address that no visible ENI holds."""
        place = address - int(self.subnet.cidr.network_address)
        if place < 4 or place == self.subnet.cidr.num_addresses - 1:
            return Use.AWS_RESERVED
        hidden = address in self.subnet.held
        return self._reserved(address) or (Use.UNATTRIBUTED if hidden else Use.FREE)

    def _seen(self, address: int) -> Use:
        """Tell the use as a reader sees it, to whom a hidden ENI's address looks free."""
        use = self.uses[address]
        return Use.FREE if use is Use.UNATTRIBUTED else use

    def _reserved(self, address: int) -> Use | None:
        for reservation in self.subnet.reservations:
            first = int(reservation.cidr.network_address)
            if first <= address < first + reservation.cidr.num_addresses:
                return _RESERVED[reservation.kind]
        return None


def _is_first(attached: Attachment) -> bool:
    return attached.device == 0 and attached.card == 0
