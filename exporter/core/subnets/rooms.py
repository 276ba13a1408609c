"""What pods can still get in a subnet, by its account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from exporter.core.model import SubnetRoom
from exporter.core.owners import Use
from exporter.core.prefixes import BlockState
from exporter.core.subnets.values import SubnetUsage


def rooms(usages: Iterable[SubnetUsage]) -> Mapping[str, SubnetRoom]:
    """Return the room in each subnet, by id."""
    return {usage.subnet.id: _room(usage) for usage in usages}


def _room(usage: SubnetUsage) -> SubnetRoom:
    """EC2's count of free addresses is the latest word, but it may hold reserved ones."""
    uses, blocks = usage.uses, usage.blocks
    whole = None if blocks is None else blocks[BlockState.FREE] + blocks[BlockState.FREE_RESERVED]
    if uses is None or not usage.subnet.reservations:
        return SubnetRoom(usage.subnet, usage.free, blocks=whole)
    free = min(usage.free, uses[Use.FREE])
    return SubnetRoom(usage.subnet, free, uses[Use.PREFIX_RESERVED_FREE], whole)
