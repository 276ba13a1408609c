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
    subnet, uses, blocks = usage.subnet, usage.uses, usage.blocks
    if uses is None or blocks is None:
        return SubnetRoom(subnet, usage.free)
    kept = blocks[BlockState.FREE_RESERVED]
    return SubnetRoom(
        subnet,
        free=min(usage.free, uses[Use.FREE]) if subnet.reservations else usage.free,
        prefix_reserved=uses[Use.PREFIX_RESERVED_FREE] if subnet.reservations else 0,
        blocks=blocks[BlockState.FREE] + kept,
        reserved_blocks=kept,
        hidden=uses[Use.UNATTRIBUTED],
    )
