"""ipamd's settings as its environment gives them, a node's limits, and the rules of both.

Rules are plain numbers, worked out once per node, because a step reads them every five seconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from exporter.core.pool.state import IPV6_PREFIX, PREFIX, SINGLE

# Go's strconv.Atoi and ParseBool: no spaces, no underscores, 64 bits.
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What of aws-node's environment shapes the pool; defaults are the binary's, no manifest's."""

    warm_eni: int = 1
    warm_ip: int = 0
    minimum_ip: int = 0
    warm_prefix: int = 0
    max_eni: int = -1
    prefix_delegation: bool = False
    custom_networking: bool = False
    pod_eni: bool = False
    subnet_discovery: bool = True
    manage_unschedulable: bool = False
    provisioning: bool = True
    ipv6: bool = False
    cooldown: int = 30

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read aws-node's environment as ipamd does: a negative or bad value means the default."""
        default = cls()
        imds_only = _flag(env, "ENABLE_IMDS_ONLY_MODE", default=False)
        return cls(
            warm_eni=_count(env, "WARM_ENI_TARGET", default=default.warm_eni),
            warm_ip=_count(env, "WARM_IP_TARGET", default=default.warm_ip),
            minimum_ip=_count(env, "MINIMUM_IP_TARGET", default=default.minimum_ip),
            warm_prefix=_count(env, "WARM_PREFIX_TARGET", default=default.warm_prefix),
            max_eni=_count(env, "MAX_ENI", default=default.max_eni),
            prefix_delegation=_flag(env, "ENABLE_PREFIX_DELEGATION", default=False),
            custom_networking=_flag(env, "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG", default=False),
            pod_eni=_flag(env, "ENABLE_POD_ENI", default=False),
            subnet_discovery=_flag(env, "ENABLE_SUBNET_DISCOVERY", default=True),
            manage_unschedulable=_flag(env, "AWS_MANAGE_ENIS_NON_SCHEDULABLE", default=False),
            provisioning=not (
                imds_only or _flag(env, "DISABLE_NETWORK_RESOURCE_PROVISIONING", default=False)
            ),
            ipv6=_flag(env, "ENABLE_IPv6", default=False),
            cooldown=_count(env, "IP_COOLDOWN_PERIOD", default=default.cooldown),
        )

    @property
    def by_address(self) -> bool:
        """Whether targets in addresses are set, which override those in ENIs and prefixes."""
        return self.warm_ip != 0 or self.minimum_ip != 0

    @property
    def starts(self) -> bool:
        """Whether the container starts: with prefixes it wants a target in them or in addresses."""
        return not self.prefix_delegation or self.by_address or self.warm_prefix > 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What instance type and kubelet allow; `ipv4_per_eni` counts the ENI's own address too.

    ipamd takes a type that it does not know to be able to trunk.
    """

    enis: int
    ipv4_per_eni: int
    max_pods: int
    trunk_capable: bool = True
    prefix_capable: bool = True


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers one pool goes by.

    A CIDR has `size` addresses, an ENI `slots` CIDRs; `low_below` and `spare_from` are addresses
    available.
    """

    provisions: bool
    reconciles: bool
    size: int
    slots: int
    max_enis: int
    max_pods: int
    warm_ip: int
    minimum_ip: int
    warm_prefixes: int
    by_address: bool
    excess_in_addresses: bool
    low_below: int
    spare_from: int
    wants_trunk: bool
    custom_networking: bool
    subnet_discovery: bool
    manages_unschedulable: bool
    cooldown: int

    @classmethod
    def of(cls, settings: Settings, limits: Limits, *, card: int = 0) -> Self:
        """Work out a network card's rules; any but the first has targets of one address."""
        size = _size(settings, limits)
        slots = limits.ipv4_per_eni - 1
        unit, target = (
            (PREFIX, settings.warm_prefix) if size == PREFIX else (slots, settings.warm_eni)
        )
        return cls(
            provisions=settings.provisioning and not settings.ipv6,
            reconciles=not settings.ipv6,
            size=size,
            slots=slots,
            max_enis=settings.max_eni if 1 <= settings.max_eni < limits.enis else limits.enis,
            max_pods=limits.max_pods,
            warm_ip=1 if card else settings.warm_ip,
            minimum_ip=1 if card else settings.minimum_ip,
            warm_prefixes=settings.warm_prefix if size == PREFIX else 0,
            by_address=settings.by_address or card > 0,
            excess_in_addresses=card > 0,
            low_below=unit * target,
            spare_from=(target + 1) * slots * size,
            wants_trunk=settings.pod_eni and limits.trunk_capable and card == 0,
            custom_networking=settings.custom_networking,
            subnet_discovery=settings.subnet_discovery,
            manages_unschedulable=settings.manage_unschedulable,
            cooldown=settings.cooldown,
        )


def _size(settings: Settings, limits: Limits) -> int:
    if settings.ipv6:
        return IPV6_PREFIX
    return PREFIX if settings.prefix_delegation and limits.prefix_capable else SINGLE


def _count(env: Mapping[str, str], name: str, *, default: int) -> int:
    text = env.get(name, "")
    value = int(text) if _INTEGER.fullmatch(text) else default
    return value if value >= 0 else default


def _flag(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    return _BOOLEANS.get(env.get(name, ""), default)
