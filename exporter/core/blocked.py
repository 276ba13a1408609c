"""What keeps a node from giving one more pod an address, told by facts of the moment.

A fact that is not known blocks nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType

from exporter.core.counters import AwsError
from exporter.core.model import BlockedBy, IpMode, Pod, Snapshot, SubnetRoom
from exporter.core.pod_subnets import discovers_subnets, pod_subnets
from exporter.core.releases import reached
from exporter.core.usage import NodeUsage

_BY_ERROR: Mapping[str, BlockedBy] = MappingProxyType(
    {
        "InsufficientFreeAddressesInSubnet": BlockedBy.SUBNET_EXHAUSTED,
        "InsufficientCidrBlocks": BlockedBy.NO_FREE_PREFIX,
        "NetworkInterfaceLimitExceeded": BlockedBy.ENI_LIMIT,
        "PrivateIpAddressLimitExceeded": BlockedBy.IP_LIMIT,
        "AttachmentLimitExceeded": BlockedBy.ATTACHMENT_LIMIT,
        "RequestLimitExceeded": BlockedBy.THROTTLED,
    }
)
# After these ipamd leaves EC2 alone for a while (reference 3.2).
_SUBNET_FULL = ("InsufficientFreeAddressesInSubnet", "InsufficientCidrBlocks")


def blocked(
    usage: NodeUsage, snapshot: Snapshot, errors: Collection[AwsError] = ()
) -> tuple[BlockedBy, ...]:
    """Return every reason that holds for an IPv4 node that was read, in the order of the list.

    `errors` are those of AWS that ipamd met there lately.
    """
    if usage.unread is not None or usage.ip_mode is IpMode.IPV6:
        return ()
    found = set(_by_errors(errors, usage.target.pod)) if errors else set()
    if _has_all_its_pods(usage):
        found.add(BlockedBy.MAX_PODS)
    if usage.warm == 0:
        found.update(_with_nothing_warm(usage, snapshot))
    return tuple(reason for reason in BlockedBy if reason in found) if found else ()


def _by_errors(errors: Iterable[AwsError], pod: Pod | None) -> Iterator[BlockedBy]:
    for api, code in errors:
        if code in _BY_ERROR:
            yield _BY_ERROR[code]
        if code in _SUBNET_FULL and pod is not None and _backs_off(api, pod):
            yield BlockedBy.BACK_OFF


def _backs_off(api: str, pod: Pod) -> bool:
    """Whether ipamd waits after a full subnet's answer (reference 3.2).

    With subnet discovery it tries elsewhere first, and only the last resort, a new ENI, counts.
    """
    if not reached(pod.cni_version, 1, 9, 1):
        return False
    if api == "AssignPrivateIpAddresses":
        return not discovers_subnets(pod)
    return api == "CreateNetworkInterface"


def _has_all_its_pods(usage: NodeUsage) -> bool:
    """Whether kubelet accepts no more pods.

    With several managed cards a pod may hold an address on each, so that addresses are not pods.
    """
    target = usage.target
    if target.node.max_pods is None or usage.assigned is None:
        return False
    if target.pod is not None and target.pod.enabled("ENABLE_MULTI_NIC"):
        return False
    pods = usage.assigned + (target.host_network_pods or 0) + (usage.pod_enis or 0)
    return pods >= target.node.max_pods


def _with_nothing_warm(usage: NodeUsage, snapshot: Snapshot) -> Iterator[BlockedBy]:
    if usage.cooldown:
        yield BlockedBy.COOLDOWN
    if usage.capacity and usage.attached is not None and usage.attached >= usage.capacity:
        yield BlockedBy.ENI_LIMIT
    rooms = _rooms(usage, snapshot)
    if rooms is None:
        return
    prefixes = _asks_for_prefixes(usage, snapshot)
    if not any(room.free + room.prefix_reserved * prefixes > 0 for room in rooms):
        yield BlockedBy.SUBNET_EXHAUSTED
    elif prefixes and all(room.blocks == 0 for room in rooms):
        yield BlockedBy.NO_FREE_PREFIX


def _rooms(usage: NodeUsage, snapshot: Snapshot) -> tuple[SubnetRoom, ...] | None:
    """The subnets that the node's pods may get addresses from, None unless EC2 told of all."""
    known = {id: room.subnet for id, room in snapshot.ec2.rooms.items()}
    ids = pod_subnets(usage.target, usage.subnet_id, known, snapshot.discovery.eniconfigs)
    if ids is None or not known.keys() >= set(ids):
        return None
    return tuple(snapshot.ec2.rooms[id] for id in ids)


def _asks_for_prefixes(usage: NodeUsage, snapshot: Snapshot) -> bool:
    """Whether ipamd asks for prefixes: by its setting where that is told, else by what it has."""
    node, pod = usage.target.node, usage.target.pod
    limits = snapshot.ec2.types.get(node.instance_type)
    if limits is not None and not limits.prefixes:
        return False
    if pod is None or "ENABLE_PREFIX_DELEGATION" not in pod.env:
        return usage.ip_mode is IpMode.PREFIX
    return pod.enabled("ENABLE_PREFIX_DELEGATION")
