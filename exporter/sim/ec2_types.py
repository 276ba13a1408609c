"""The instance types that the simulated EC2 offers, with the limits that it tells of them.

Written from AWS's published figures; a type that is not here does not exist in the simulation.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InstanceType:
    """One type: ENIs of each network card, the first one being the default; IPv4 of each ENI.

    ENIs and EBS volumes may share one limit of attachments; 0 where EC2 tells of none.
    """

    name: str
    cards: tuple[int, ...]
    ipv4: int
    vcpus: int
    hypervisor: str = "nitro"
    architecture: str = "x86_64"
    attachments: int = 28
    shared: bool = True

    @property
    def bare_metal(self) -> bool:
        """Whether there is no hypervisor."""
        return not self.hypervisor

    @property
    def interfaces(self) -> int:
        """The sum over all cards, which is what EC2 calls the maximum of the instance."""
        return sum(self.cards)


_XEN, _ARM, _METAL = "xen", "arm64", ""

_ALL = (
    InstanceType("t3.nano", (2,), 2, 2),
    InstanceType("t3.small", (3,), 4, 2),
    InstanceType("t3.medium", (3,), 6, 2),
    InstanceType("m4.2xlarge", (4,), 15, 8, _XEN, attachments=0),
    InstanceType("m4.4xlarge", (8,), 30, 16, _XEN, attachments=0),
    InstanceType("m5.large", (3,), 10, 2),
    InstanceType("m5.xlarge", (4,), 15, 4),
    InstanceType("m5.2xlarge", (4,), 15, 8),
    InstanceType("m5.4xlarge", (8,), 30, 16),
    InstanceType("m5.24xlarge", (15,), 50, 96),
    InstanceType("m5.metal", (15,), 50, 96, _METAL),
    InstanceType("m6g.large", (3,), 10, 2, architecture=_ARM),
    InstanceType("m7i.large", (3,), 10, 2, attachments=32, shared=False),
    InstanceType("c5.large", (3,), 10, 2),
    InstanceType("c5.xlarge", (4,), 15, 4),
    InstanceType("c5.4xlarge", (8,), 30, 16),
    InstanceType("c6g.large", (3,), 10, 2, architecture=_ARM),
    InstanceType("c6in.32xlarge", (8, 8), 50, 128),
    InstanceType("p3dn.24xlarge", (15,), 50, 96),
    InstanceType("p4d.24xlarge", (15, 15, 15, 15), 50, 96),
    InstanceType("p5.48xlarge", (2,) * 32, 50, 192),
)

TYPES: Mapping[str, InstanceType] = {kind.name: kind for kind in _ALL}
