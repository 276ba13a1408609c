"""Which subnets a node's pods may get their addresses from, by the CNI's settings and release."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.core.model import Pod, Subnet, Target
from exporter.core.releases import reached

# Reference 5.3.
_ROLE = "kubernetes.io/role/cni"
_EXCLUDED = "0"
_CLUSTER = "cni.networking.k8s.aws/cluster/"


def pod_subnets(
    target: Target, home: str, known: Mapping[str, Subnet], eniconfigs: Mapping[str, str]
) -> tuple[str, ...] | None:
    """Return the ids of the subnets, the node's own first; None where they are not known.

    `home` is the subnet of the node's primary ENI, `known` what EC2 tells of subnets by id, and
    `eniconfigs` has the subnets that ENIConfigs name. None may be used where the node's own is
    excluded and there is no other.
    """
    pod = target.pod
    if pod is None:
        return None
    if pod.custom_networking:
        named = eniconfigs.get(target.eniconfig)
        return None if named is None else (named,)
    own = known.get(home)
    if own is None:
        return None
    usable = () if is_excluded(own, pod) else (home,)
    if not discovers_subnets(pod):
        return usable
    others = (it for it in known.values() if it.zone == own.zone and it.vpc_id == own.vpc_id)
    return usable + tuple(sorted(it.id for it in others if it is not own and _is_open(it, pod)))


def discovers_subnets(pod: Pod) -> bool:
    """Whether new ENIs may be in other subnets than their node (subnet discovery, v1.18)."""
    wanted = not pod.disabled("ENABLE_SUBNET_DISCOVERY")
    return wanted and not pod.custom_networking and reached(pod.cni_version, 1, 18)


def is_excluded(subnet: Subnet, pod: Pod) -> bool:
    """Whether pods get no address in a subnet, even if it is their node's own (v1.22)."""
    return subnet.tags.get(_ROLE) == _EXCLUDED and reached(pod.cni_version, 1, 22)


def _is_open(other: Subnet, pod: Pod) -> bool:
    """Whether pods may be in a subnet that is not their node's own."""
    role = other.tags.get(_ROLE)
    if role is None or not reached(pod.cni_version, 1, 22):
        return role is not None
    return role not in ("", _EXCLUDED) and _is_kept_for(other, pod)


def _is_kept_for(other: Subnet, pod: Pod) -> bool:
    """Whether a subnet is no cluster's in particular, or this one's."""
    cluster = pod.env.get("CLUSTER_NAME", "")
    if not cluster or not reached(pod.cni_version, 1, 22, 1):
        return True
    kept = any(key.startswith(_CLUSTER) for key in other.tags)
    return not kept or _CLUSTER + cluster in other.tags
