"""What the loops need of the doors in; each door has one of these shapes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from exporter.core.model import Discovery, Eni, InstanceType, Outcome, Subnet, Target


class Discoverer(Protocol):
    """The door that knows which nodes are expected."""

    def discover(self) -> Discovery | None:
        """Return what should be read now, or None while that is not known yet."""


class NodeReader(Protocol):
    """The door that reads aws-node pods."""

    async def read(self, targets: tuple[Target, ...]) -> tuple[Outcome, ...]:
        """Return one outcome per target, in the order of the targets."""


class SubnetReader(Protocol):
    """The door that reads EC2; each call raises `Unavailable` alone."""

    async def find_vpcs(self, instance_ids: Sequence[str]) -> tuple[str, ...]:
        """Return the VPCs that these instances are in."""

    async def read_enis(self, *, vpc_ids: Sequence[str]) -> tuple[Eni, ...]:
        """Return all ENIs of these VPCs."""

    async def read_subnets(self, ids: Iterable[str], vpc_ids: Iterable[str]) -> tuple[Subnet, ...]:
        """Return these subnets, and those of the VPCs that are tagged for the CNI."""

    async def read_instance_types(self, names: Iterable[str]) -> Mapping[str, InstanceType]:
        """Return what is known of these types; raises nothing, an unknown type is left out."""
