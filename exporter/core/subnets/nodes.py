"""What ipamd knows of the addresses on ENIs: which instance is which node, and who is assigned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import AddressValueError, IPv4Address

from exporter.core.figures import ADDRESSES_PER_PREFIX, assigned_by_eni, figures
from exporter.core.model import Discovery, Eni, IpMode, Outcome, Read, Target
from exporter.core.node_enis import NodeEni
from exporter.core.owners import ClusterFacts, ClusterNode, Owner, Use, is_primary

Owned = tuple[tuple[Eni, Owner], ...]


def facts_of(
    discovery: Discovery,
    *,
    eniconfig_subnets: Iterable[str] = (),
    cluster_subnets: Iterable[str] = (),
) -> ClusterFacts:
    """Return what tells this cluster's ENIs, but for the nodes that run aws-node."""
    others = discovery.others
    return ClusterFacts(
        cluster=discovery.identity.cluster,
        nodes={
            node.instance_id: ClusterNode(name=node.name)
            for node in others
            if node.instance_id and not node.fargate
        },
        fargate=frozenset(
            address for node in others if node.fargate for address in _ipv4(node.addresses or ())
        ),
        eniconfig_subnets=frozenset(eniconfig_subnets),
        cluster_subnets=frozenset(cluster_subnets),
    )


def nodes_of(outcomes: Iterable[Outcome], enis: Iterable[Eni]) -> Mapping[str, ClusterNode]:
    """Return the expected nodes by instance id.

    Where Kubernetes does not tell the instance, it is the one whose primary ENI has the address
    of the node, or of its aws-node pod, which is on the node's network.
    """
    nodes: dict[str, ClusterNode] = {}
    unplaced: dict[int, ClusterNode] = {}
    for outcome in outcomes:
        instance = outcome.target.node.instance_id
        if instance:
            nodes[instance] = _cluster_node(outcome)
        else:
            unplaced.update(dict.fromkeys(_addresses(outcome.target), _cluster_node(outcome)))
    if unplaced:
        primaries = (eni for eni in enis if eni.instance_id and eni.addresses and is_primary(eni))
        for eni in primaries:
            node = unplaced.get(eni.addresses[0])
            if node is not None:
                nodes[eni.instance_id] = node
    return nodes


def _cluster_node(outcome: Outcome) -> ClusterNode:
    pod = outcome.target.pod
    reading = outcome.reading if isinstance(outcome, Read) else None
    if reading is not None and figures(reading, outcome.target).mode is IpMode.IPV6:
        reading = None  # what it assigns are IPv6 addresses, whatever IPv4 ones the node has
    return ClusterNode(
        name=outcome.target.node.name,
        reading=reading,
        # Reference 5.1: an unset or unreadable value means that they are managed.
        manages_untagged=pod is None or not pod.disabled("MANAGE_UNTAGGED_ENI"),
        multi_nic=None if pod is None else pod.enabled("ENABLE_MULTI_NIC"),
    )


def _addresses(target: Target) -> Iterator[int]:
    texts = target.node.addresses
    if texts is None:
        texts = (target.pod.ip,) if target.pod is not None and target.pod.host_network else ()
    return _ipv4(texts)


def _ipv4(texts: Iterable[str]) -> Iterator[int]:
    for text in texts:
        try:
            yield int(IPv4Address(text))
        except AddressValueError:
            continue


def held_for_pods(owned: Iterable[tuple[Eni, Owner]]) -> Mapping[str, int]:
    """Return by instance the addresses for pods on the attached ENIs that its ipamd manages."""
    held: dict[str, int] = {}
    for eni, owner in owned:
        # ipamd has an ENI in its books once it is attached.
        if owner.use is Use.NODE_PRIMARY and eni.instance_id:
            held[eni.instance_id] = held.get(eni.instance_id, 0) + _pod_addresses(eni)
    return held


def node_enis(owned: Iterable[tuple[Eni, Owner]]) -> Mapping[str, tuple[NodeEni, ...]]:
    """Return by instance the attached ENIs that its ipamd manages; what is alike is one value."""
    values: dict[NodeEni, NodeEni] = {}
    nodes: dict[tuple[NodeEni, ...], tuple[NodeEni, ...]] = {}
    found: dict[str, list[NodeEni]] = {}
    for eni, owner in owned:
        if owner.use is Use.NODE_PRIMARY and eni.instance_id:
            value = NodeEni(
                eni.subnet_id,
                singles=max(len(eni.addresses) - 1, 0),
                prefixes=len(eni.prefixes),
                primary=is_primary(eni),
                trunk=eni.interface_type == "trunk",
            )
            found.setdefault(eni.instance_id, []).append(values.setdefault(value, value))
    told = ((instance, tuple(enis)) for instance, enis in found.items())
    return {instance: nodes.setdefault(enis, enis) for instance, enis in told}


def cooldown_on(nodes: Iterable[ClusterNode]) -> Mapping[str, int]:
    """Return the addresses in cooldown by ENI, of the nodes whose books were read."""
    return {
        eni.id: eni.cooldown
        for node in nodes
        if node.reading is not None and node.reading.introspection is not None
        for eni in node.reading.introspection.enis
    }


def assigned_on(owned: Owned, nodes: Mapping[str, ClusterNode], *, whole: bool) -> dict[str, int]:
    """Return the pods' addresses by ENI; ENIs of which that is not known are left out.

    Since CNI v1.15.1 ipamd counts them by ENI, and its books always did. Where neither tells, the
    node's total will do if all its pods' addresses are in one subnet; `whole` says that no
    subnet's ENIs are missing here.
    """
    by_eni = {
        instance: dict(assigned_by_eni(node.reading))
        for instance, node in nodes.items()
        if node.reading is not None
    }
    known: dict[str, int] = {}
    by_total: dict[str, list[Eni]] = {}
    for eni, owner in owned:
        counted = by_eni.get(owner.instance) if owner.use is Use.NODE_PRIMARY else None
        if counted is None:
            continue
        # An ENI that is not attached, or that ipamd does not know, has given nothing to pods.
        if counted or not eni.instance_id:
            known[eni.id] = counted.get(eni.id, 0)
        else:
            by_total.setdefault(owner.instance, []).append(eni)
    for instance, enis in by_total.items():
        reading = nodes[instance].reading
        if reading is not None and (whole or len(enis) >= reading.enis):
            known.update(_dealt_out(reading.assigned, enis))
    return known


def _dealt_out(assigned: int, enis: Iterable[Eni]) -> Mapping[str, int]:
    """A node's total over its ENIs; nothing unless one subnet has all that pods could have."""
    holding = [(eni, held) for eni in enis if (held := _pod_addresses(eni))]
    if len({eni.subnet_id for eni, _ in holding}) != 1:
        return {}
    dealt: dict[str, int] = {}
    for eni, held in holding:
        dealt[eni.id] = min(assigned, held)
        assigned -= dealt[eni.id]
    return dealt


def _pod_addresses(eni: Eni) -> int:
    return max(len(eni.addresses) - 1, 0) + ADDRESSES_PER_PREFIX * len(eni.prefixes)
