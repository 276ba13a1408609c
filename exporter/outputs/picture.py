"""What people are shown in other words than the metrics': groups of uses, and limits."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.core.headroom import Limit
from exporter.core.owners import Use

# In the order of the bar, left to right; every use is in one group.
GROUPS: Mapping[str, tuple[Use, ...]] = {
    "assigned": (Use.POD_ASSIGNED, Use.POD_BRANCH, Use.FARGATE),
    "warm": (Use.POD_WARM, Use.POD_COOLDOWN),
    "pods, unknown": (Use.POD_UNKNOWN,),
    "nodes": (Use.NODE_PRIMARY, Use.NODE_UNMANAGED),
    "leaked": (Use.LEAKED,),
    "others": (
        Use.EKS_CONTROL_PLANE,
        Use.OTHER_CLUSTER,
        Use.LOAD_BALANCER,
        Use.NAT_GATEWAY,
        Use.VPC_ENDPOINT,
        Use.LAMBDA,
        Use.DATABASE,
        Use.OTHER,
        Use.UNATTRIBUTED,
    ),
    "reserved": (Use.AWS_RESERVED, Use.EXPLICIT_RESERVED),
    "free": (Use.PREFIX_RESERVED_FREE, Use.FREE),
}


# What stops the next pod.
UNTIL: Mapping[str, str] = {
    Limit.MAX_PODS: "every node is at its max-pods",
    Limit.ENI: "the nodes' ENIs are full",
    Limit.SUBNET: "the subnets have no address left",
    Limit.PREFIX: "the subnets have no free /28 left",
}


def grouped(uses: Mapping[str, float]) -> Mapping[str, float]:
    """Return the addresses of each group, in the order of the bar."""
    return {name: sum(uses.get(use.value, 0) for use in group) for name, group in GROUPS.items()}
