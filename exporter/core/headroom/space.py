"""The free addresses of a subnet while nodes are given them, as EC2 would at the worst.

EC2 says nothing of which address it picks for an ENI or a secondary IP. Here every pick breaks a
whole free block as long as there is one, so what is found to fit does fit, however EC2 picks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from exporter.core.headroom.values import FreeSpace
from exporter.core.pool import PREFIX, SINGLE


@dataclass(slots=True)
class Space:
    """What is left of one subnet."""

    addresses: int
    blocks: int
    reserved: int

    @classmethod
    def of(cls, room: FreeSpace) -> Self:
        """Return the space of a subnet that nothing was taken from yet."""
        # What EC2 counts as taken may lie in blocks that look free.
        blocks = min(room.blocks, room.addresses // PREFIX)
        return cls(room.addresses, blocks, room.reserved_blocks)

    def copy(self) -> Space:
        """Return the same space, to be used up apart."""
        return Space(self.addresses, self.blocks, self.reserved)

    def figures(self) -> tuple[int, int, int]:
        """Return all that is known of it."""
        return self.addresses, self.blocks, self.reserved

    def cidrs(self, size: int) -> int:
        """Count the CIDRs that can be had, one at a time."""
        return self.addresses if size == SINGLE else self.blocks + self.reserved

    def holds(self, singles: int, prefixes: int) -> bool:
        """Tell whether so many single addresses and prefixes can be had, in whatever order."""
        broken = max(prefixes - self.reserved, 0)
        return (
            prefixes <= max(self.blocks - singles, 0) + self.reserved
            and singles + PREFIX * broken <= self.addresses
        )

    def has_them_scattered(self, singles: int, prefixes: int) -> bool:
        """Tell whether the addresses are there, if only they lay in whole blocks."""
        in_all = self.addresses + PREFIX * self.reserved
        return singles <= self.addresses and singles + PREFIX * prefixes <= in_all

    def take(self, singles: int, prefixes: int) -> None:
        """Hold these; prefixes come from what is reserved for them first (reference 5.3)."""
        self.addresses -= singles
        self.blocks -= min(singles, self.blocks)
        reserved = min(prefixes, self.reserved)
        self.reserved -= reserved
        self.blocks -= prefixes - reserved
        self.addresses -= PREFIX * (prefixes - reserved)


Spaces = Mapping[str, Space]


def split(count: int, size: int) -> tuple[int, int]:
    """Return the single addresses and the prefixes that so many CIDRs are."""
    return (count, 0) if size == SINGLE else (0, count)
