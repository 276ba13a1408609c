"""How many addresses and pods an instance type has room for, by mode (reference 1.3 and 4).

IPv4 on the default network card alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from exporter.core.prefixes import BLOCK

# aws-node and kube-proxy, which need no address of their own.
_HOST_NETWORK_PODS = 2
# What AWS's max-pods calculator recommends at most, and up to how many vCPUs the lower one holds.
_FEW_VCPUS = 30
_MOST_PODS_ON_FEW_VCPUS = 110
_MOST_PODS = 250


class TypeLimits(Protocol):
    """What an instance type allows; `core.model.InstanceType` is one."""

    @property
    def enis(self) -> int:
        """ENIs of the default network card."""

    @property
    def ipv4_per_eni(self) -> int:
        """IPv4 addresses of an ENI, its primary one included."""

    @property
    def vcpus(self) -> int:
        """Virtual CPUs."""

    @property
    def prefixes(self) -> bool:
        """Whether its ENIs can have delegated prefixes."""

    @property
    def attachment_limit(self) -> int | None:
        """ENIs and volumes together, where the type has such a limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Networking:
    """The CNI's settings that bear on a node's room, and what else takes its ENI slots.

    `unusable` are ENIs that the CNI does not manage or gives pods nothing from; `volumes` share
    the attachment limit of types that have one.
    """

    prefix_delegation: bool = False
    custom_networking: bool = False
    trunk: bool = False
    max_eni: int | None = None
    unusable: int = 0
    volumes: int = 0


def eni_limit(limits: TypeLimits, networking: Networking) -> int:
    """Return the ENIs that a node can have: the type's, lowered by MAX_ENI and by its volumes."""
    enis = _enis(limits, networking)
    if limits.attachment_limit is None:
        return enis
    return max(min(enis, limits.attachment_limit - networking.volumes), 1)


def per_eni(limits: TypeLimits, networking: Networking) -> int:
    """Return the pod addresses of one ENI; types without prefixes stay with single addresses."""
    slots = limits.ipv4_per_eni - 1
    return slots * BLOCK if networking.prefix_delegation and limits.prefixes else slots


def capacity(limits: TypeLimits, networking: Networking) -> int:
    """Return the most addresses that a node can attach for pods."""
    taken = networking.custom_networking + networking.trunk + networking.unusable
    return max(eni_limit(limits, networking) - taken, 0) * per_eni(limits, networking)


def max_pods(limits: TypeLimits, networking: Networking, *, capped: bool = True) -> int:
    """Return the max-pods figure of AWS's calculator, which knows neither trunks nor volumes.

    Not `capped` it is what nodeadm and the table eni-max-pods give for the same settings.
    """
    enis = _enis(limits, networking) - networking.custom_networking
    pods = enis * per_eni(limits, networking) + _HOST_NETWORK_PODS
    if not capped:
        return pods
    return min(pods, _MOST_PODS_ON_FEW_VCPUS if limits.vcpus <= _FEW_VCPUS else _MOST_PODS)


def _enis(limits: TypeLimits, networking: Networking) -> int:
    """ENIs of the type; ipamd ignores a MAX_ENI that is not below them (reference 1.3)."""
    wanted = networking.max_eni
    return limits.enis if wanted is None or wanted < 1 else min(wanted, limits.enis)
