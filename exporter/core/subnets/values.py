"""What goes into the accounts of the subnets, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from exporter.core.model import Eni, Outcome, Subnet
from exporter.core.owners import ClusterFacts, LeakOwner, Use
from exporter.core.prefixes import BlockState, Drain
from exporter.core.subnets.ground import AWS_ADDRESSES


class Role(StrEnum):
    """What a subnet is for in this cluster."""

    NODE = "node"
    POD = "pod"
    CONTROL_PLANE = "control_plane"
    CNI_DISCOVERY = "cni_discovery"
    EXCLUDED = "excluded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What was read of the subnets at about one moment.

    `enis` are by subnet id, without the subnets whose ENIs could not all be read; `outcomes` say
    what ipamd assigned; `cooldown` is by ENI, where introspection tells it.
    """

    subnets: tuple[Subnet, ...]
    enis: Mapping[str, tuple[Eni, ...]]
    facts: ClusterFacts
    outcomes: tuple[Outcome, ...] = ()
    cooldown: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reserved:
    """What the latest account of a subnet said of its CIDR reservations.

    `credit` is what to add to EC2's count of free addresses to have those outside `explicit`
    reservations; `apart` that unused reserved addresses were not in that count.
    """

    credit: int = 0
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Memory:
    """What one survey leaves for the next, by subnet.

    `sights` says when ENIs were first seen with the marks of a leak.
    """

    sights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    reserved: Mapping[str, Reserved] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubnetUsage:
    """One subnet; what only its ENIs can tell is None where they could not all be read.

    `free` is EC2's own count. `residue` is the size less everything known: positive where ENIs
    are not visible, negative where more is seen to be used than EC2 counts. `fragmentation` is
    None, too, where nothing is free. `of_eks` says that EKS was given it for the control plane, and
    `exhaustion_seconds` when nothing will be left, where that can be told; `node_headroom` how many
    more nodes of which type fit.
    """

    subnet: Subnet
    size: int
    free: int
    utilization: float
    roles: tuple[Role, ...]
    uses: Mapping[Use, int] | None = None
    residue: int | None = None
    blocks: Mapping[BlockState, int] | None = None
    fragmentation: float | None = None
    enis: Mapping[Use, int] | None = None
    leaked: Mapping[LeakOwner, int] | None = None
    drains: tuple[Drain, ...] | None = None
    of_eks: bool = False
    exhaustion_seconds: float | None = None
    node_headroom: Mapping[str, int] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """Addresses that something new can have, as `utilization` counts them."""
        return round((1 - self.utilization) * (self.size - AWS_ADDRESSES))
