"""Whether EKS finds the addresses for an upgrade of the control plane.

EKS replaces its ENIs with new ones in the subnets that it was given, up to five in a zone, and
needs two zones (EKS best practices guide, "Cluster Upgrades").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from exporter.core.owners import Use
from exporter.core.subnets import SubnetUsage

_ADDRESSES = 5
_ZONES = 2


def addresses_ready(subnets: Iterable[SubnetUsage]) -> bool | None:
    """Return whether two zones have five free addresses; None where EKS's subnets are not known."""
    free: Counter[str] = Counter()
    for subnet in subnets:
        if subnet.of_eks:
            free[subnet.subnet.zone] += _free_for_enis(subnet)
    if not free:
        return None
    return sum(addresses >= _ADDRESSES for addresses in free.values()) >= _ZONES


def _free_for_enis(usage: SubnetUsage) -> int:
    """Addresses that an ENI of EKS's can have: what is kept for prefixes is not for it."""
    if usage.uses is None:
        return usage.free
    return max(usage.left - usage.uses[Use.PREFIX_RESERVED_FREE], 0)
