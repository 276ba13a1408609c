"""Addresses counted per node, and summed by zone, node group and cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

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

ADDRESSES_PER_PREFIX = 16
# One IPv6 prefix is a /80 (reference 1.3); no IPv4 node comes anywhere near it.
_IPV6_PREFIX_ADDRESSES = 2**48
# Label value for a node that has no zone or belongs to no node group.
NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUsage:
    """One expected node; the figures of a node that was not read are None."""

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
        """Addresses attached for pods and not assigned to one."""
        if self.attached is None or self.assigned is None:
            return None
        return self.attached - self.assigned

    @property
    def problem(self) -> bool:
        """Whether someone should look: not read, nothing left to give, or no way to get more."""
        return self.unread is not None or self.warm == 0 or bool(self.blocked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Sums over the nodes of one scope that were read, beside how many those are.

    A sum is None where nodes are expected and none of them told the figure.
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

    @property
    def expected(self) -> int:
        """Nodes that should run aws-node, read or not."""
        return self.read + sum(self.unread.values())


def node_usage(
    outcome: Outcome, failures: float, subnet_id: str = "", limits: InstanceType | None = None
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
    mode = ip_mode(reading, target)
    multi_nic = target.pod is not None and target.pod.enabled("ENABLE_MULTI_NIC")
    counted = mode is not IpMode.IPV6 and not multi_nic
    return NodeUsage(
        target=target,
        ip_mode=mode,
        assigned=assigned(reading, multi_nic=multi_nic),
        attached=reading.attached if counted else None,
        capacity=capacity(reading, target, limits),
        enis=None if multi_nic else reading.enis,
        eni_capacity=eni_capacity(reading, limits),
        prefixes=None if multi_nic else prefixes(reading, mode),
        assignment_failures=failures,
        subnet_id=subnet_id,
    )


def assigned(reading: Reading, *, multi_nic: bool) -> int:
    """Return the addresses held by pods.

    With several managed cards the gauge is the last writer's alone, and the per-ENI series,
    which add up, are the truth (reference 1.3).
    """
    if multi_nic:
        return sum(count for _, count in reading.assigned_by_eni)
    return reading.assigned


def prefixes(reading: Reading, mode: IpMode) -> int:
    """Return the prefixes held: /28s, or in IPv6 mode /80s, which ipamd's own gauge leaves out."""
    if mode is IpMode.IPV6:
        return reading.attached // _IPV6_PREFIX_ADDRESSES
    return reading.prefixes


def ip_mode(reading: Reading, target: Target) -> IpMode:
    """Return how the node's pods get addresses; an empty pool goes by the CNI's settings."""
    if reading.attached >= _IPV6_PREFIX_ADDRESSES or _ipv6(target):
        return IpMode.IPV6
    in_prefixes = reading.prefixes * ADDRESSES_PER_PREFIX
    if reading.attached == 0:
        wanted = target.pod is not None and target.pod.enabled("ENABLE_PREFIX_DELEGATION")
        return IpMode.PREFIX if wanted else IpMode.SECONDARY
    if in_prefixes == 0:
        return IpMode.SECONDARY
    return IpMode.PREFIX if in_prefixes >= reading.attached else IpMode.MIXED


def _ipv6(target: Target) -> bool:
    return target.pod is not None and target.pod.enabled("ENABLE_IPv6")


def eni_capacity(reading: Reading, limits: InstanceType | None = None) -> int | None:
    """Return the ENIs the node could have, None where ipamd took off more than there are.

    Unmanaged ENIs of the other network cards are subtracted from the first card's. For a type
    that ipamd does not know it takes the sum over all cards (reference 1.3, 4); EC2 knows better.
    """
    if reading.eni_max <= 0:
        return None
    if limits is None:
        return reading.eni_max
    return min(reading.eni_max, eni_limit(limits, Networking()))


def capacity(reading: Reading, target: Target, limits: InstanceType | None = None) -> int | None:
    """Return the most addresses the node can attach for pods, None where that has no meaning.

    ipamd's own figure leaves out the trunk's slot and, under custom networking, the primary ENI
    (reference 1.3); it is 0 in IPv6 mode.
    """
    enis = eni_capacity(reading, limits)
    if reading.ip_max <= 0 or enis is None:
        return None
    usable = enis - int(target.has_trunk_slot) - int(_custom_networking(target))
    return reading.ip_max // reading.eni_max * max(usable, 0)


def _custom_networking(target: Target) -> bool:
    return target.pod is not None and target.pod.enabled("AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG")


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
    )


def grouped(nodes: Iterable[NodeUsage], key: Callable[[NodeUsage], str]) -> tuple[Usage, ...]:
    """Return the sums by group, in the order of the groups' names."""
    groups: dict[str, list[NodeUsage]] = {}
    for node in nodes:
        groups.setdefault(key(node), []).append(node)
    return tuple(total(name, groups[name]) for name in sorted(groups))
