"""Addresses counted per node, and summed by zone, node group and cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from exporter.core.figures import custom_networking, figures, several_cards
from exporter.core.headroom import Headroom
from exporter.core.limits import Networking, eni_limit
from exporter.core.model import (
    BlockedBy,
    InstanceType,
    IpMode,
    Node,
    Outcome,
    Read,
    Reading,
    Reason,
    Target,
)

# Label value for a node that has no zone or belongs to no node group.
NONE = "none"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """By how many addresses a node's books exceed its page, and ipamd's figures EC2's."""

    page: int | None = None
    ec2: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUsage:
    """One expected node; the figures of a node that was not read are None.

    `cooldown` is known of nodes alone whose introspection was read, as is the ENIConfig that
    ipamd chose there. The drifts are what persists of a `Disagreement`.
    """

    target: Target
    unread: Reason | None = None
    ip_mode: IpMode = IpMode.UNKNOWN
    assigned: int | None = None
    attached: int | None = None
    cooldown: int | None = None
    capacity: int | None = None
    enis: int | None = None
    eni_capacity: int | None = None
    prefixes: int | None = None
    assignment_failures: float = 0.0
    subnet_id: str = ""
    pod_enis: int | None = None
    blocked: tuple[BlockedBy, ...] = ()
    introspected: bool = False
    eniconfig: str = ""
    drift: int | None = None
    ec2_drift: int | None = None
    actions: int | None = None
    headroom: Headroom | None = None

    @property
    def name(self) -> str:
        """The node's name in Kubernetes."""
        return self.target.node.name

    @property
    def zone(self) -> str:
        """The node's zone, `none` where it has no such label, empty where nodes are not known."""
        return self._placed(self.target.node.zone)

    @property
    def nodegroup(self) -> str:
        """The node's group, `none` where it is in none, empty where nodes are not known."""
        return self._placed(self.target.node.nodegroup)

    def _placed(self, place: str) -> str:
        unknown = self.target.node.addresses is None
        return place or ("" if unknown else NONE)

    @property
    def warm(self) -> int | None:
        """Addresses attached for pods, not assigned to one and not known to be in cooldown."""
        if self.attached is None or self.assigned is None:
            return None
        return self.attached - self.assigned - (self.cooldown or 0)

    @property
    def ipv4_prefixes(self) -> int | None:
        """Delegated /28 prefixes; a node in IPv6 mode has none to tell of."""
        return None if self.ip_mode is IpMode.IPV6 else self.prefixes

    @property
    def problem(self) -> bool:
        """Whether someone should look: not read, nothing left to give, or no way to get more."""
        return self.unread is not None or self.warm == 0 or bool(self.blocked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Sums over the nodes of one scope that were read, beside how many those are.

    A sum is None where nodes are expected and none of them told the figure; `cooldown` stands for
    the `introspected` nodes alone, and is None where there is none in IPv4. `headroom` is no sum,
    since nodes share subnets.
    """

    name: str
    read: int
    unread: Mapping[Reason, int]
    assigned: int | None
    attached: int | None
    warm: int | None
    capacity: int | None
    enis: int | None
    eni_capacity: int | None
    prefixes: int | None
    introspected: int = 0
    cooldown: int | None = None
    ipv4_prefixes: int | None = None
    actions: int | None = None
    headroom: Headroom | None = None

    @property
    def expected(self) -> int:
        """Nodes that should run aws-node, read or not."""
        return self.read + sum(self.unread.values())


def node_usage(
    outcome: Outcome,
    failures: float,
    subnet_id: str = "",
    limits: InstanceType | None = None,
    disagreement: Disagreement = Disagreement(),
) -> NodeUsage:
    """Return what one outcome says about its node, with what EC2 told of it and its type."""
    target = outcome.target
    if not isinstance(outcome, Read):
        return NodeUsage(
            target=target,
            unread=outcome.reason,
            assignment_failures=failures,
            subnet_id=subnet_id,
        )
    reading = outcome.reading
    found = figures(reading, target)
    books = reading.introspection if found.introspected else None
    return NodeUsage(
        target=target,
        ip_mode=found.mode,
        assigned=found.assigned,
        attached=found.attached,
        cooldown=found.cooldown,
        capacity=capacity(reading, target, limits, excluded=found.excluded),
        enis=found.enis,
        eni_capacity=eni_capacity(reading, target, limits),
        prefixes=found.prefixes,
        assignment_failures=failures,
        subnet_id=subnet_id,
        introspected=found.introspected,
        eniconfig="" if books is None else books.eniconfig,
        drift=None if books is None else disagreement.page,
        ec2_drift=None if found.attached is None else disagreement.ec2,
        actions=reading.actions,
    )


def eni_capacity(
    reading: Reading, target: Target, limits: InstanceType | None = None
) -> int | None:
    """Return the ENIs the node could have, None where that is not known.

    That is where ipamd took off more than there are, and where it manages all network cards but
    EC2 does not say how many those are.
    """
    enis, cards = _enis_of_a_card(reading, limits), _cards(target, limits)
    return None if enis is None or cards is None else enis * cards


def capacity(
    reading: Reading, target: Target, limits: InstanceType | None = None, *, excluded: int = 0
) -> int | None:
    """Return the most addresses the node can attach for pods, None where that has no meaning.

    ipamd's own figure leaves out the trunk's slot, under custom networking the primary ENI, the
    ENIs `excluded` from giving pods addresses, and all network cards but one (reference 1.3); it
    is 0 in IPv6 mode.
    """
    enis, cards = _enis_of_a_card(reading, limits), _cards(target, limits)
    if reading.ip_max <= 0 or enis is None or cards is None:
        return None
    usable = enis - int(target.has_trunk_slot) - int(custom_networking(target)) - excluded
    return reading.ip_max // reading.eni_max * (max(usable, 0) + (cards - 1) * enis)


def _enis_of_a_card(reading: Reading, limits: InstanceType | None) -> int | None:
    """The ENIs that a network card could have, None where ipamd took off more than there are.

    Unmanaged ENIs of the other network cards are subtracted from the first card's. For a type
    that ipamd does not know it takes the sum over all cards (reference 1.3, 4); EC2 knows better.
    """
    if reading.eni_max <= 0:
        return None
    if limits is None:
        return reading.eni_max
    return min(reading.eni_max, eni_limit(limits, Networking()))


def _cards(target: Target, limits: InstanceType | None) -> int | None:
    """The network cards that ipamd manages, None where that is all and EC2 did not tell."""
    if not several_cards(target):
        return 1
    return None if limits is None else limits.network_cards


def pod_enis(node: Node, counts: Mapping[str, int] | None) -> int | None:
    """Return the branch ENIs of a node's pods by those of all instances, as far as EC2 told.

    None, too, where the node offers none and has none.
    """
    if counts is None or not node.instance_id:
        return None
    count = counts.get(node.instance_id, 0)
    return count if count or node.pod_eni_capacity else None


def total(name: str, nodes: Iterable[NodeUsage]) -> Usage:
    """Return the sums over some nodes."""
    nodes = tuple(nodes)
    unread = dict.fromkeys(Reason, 0)
    for node in nodes:
        if node.unread is not None:
            unread[node.unread] += 1

    def add(values: Iterable[int | None]) -> int | None:
        known = [value for value in values if value is not None]
        return sum(known) if known or not nodes else None

    cooling = [node.cooldown for node in nodes if node.cooldown is not None]

    return Usage(
        name=name,
        read=len(nodes) - sum(unread.values()),
        unread=unread,
        assigned=add(node.assigned for node in nodes),
        attached=add(node.attached for node in nodes),
        warm=add(node.warm for node in nodes),
        capacity=add(node.capacity for node in nodes),
        enis=add(node.enis for node in nodes),
        eni_capacity=add(node.eni_capacity for node in nodes),
        prefixes=add(node.prefixes for node in nodes),
        introspected=sum([node.introspected for node in nodes]),
        cooldown=sum(cooling) if cooling else None,
        ipv4_prefixes=add(node.ipv4_prefixes for node in nodes),
        actions=add(node.actions for node in nodes),
    )


def grouped(nodes: Iterable[NodeUsage], key: Callable[[NodeUsage], str]) -> tuple[Usage, ...]:
    """Return the sums by group, in the order of the groups' names."""
    groups: dict[str, list[NodeUsage]] = {}
    for node in nodes:
        groups.setdefault(key(node), []).append(node)
    return tuple(total(name, groups[name]) for name in sorted(groups))
