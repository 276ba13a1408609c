"""What a reader was told by EC2, as the books of the nodes need it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.sim.ec2_types import InstanceType


@dataclass(frozen=True, slots=True)
class Room:
    """What is left of a subnet: addresses free for all and for prefixes alone, and whole /28."""

    zone: str
    tags: Mapping[str, str]
    free: int
    for_prefixes: int
    blocks: int


@dataclass(frozen=True, slots=True)
class Ec2Told:
    """Nothing before a reader was told of anything.

    `homes` are the subnets of the instances' primary ENIs, `branches` the branch ENIs by instance,
    None before the first survey of the ENIs, `drift` what persists of the difference to ipamd, by
    pod, and `rooms` what is left, by subnet.
    """

    homes: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, InstanceType] = field(default_factory=dict)
    branches: Mapping[str, int] | None = None
    drift: Mapping[str, int] = field(default_factory=dict)
    rooms: Mapping[str, Room] = field(default_factory=dict)


NOTHING = Ec2Told()
