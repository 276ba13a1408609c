"""The addresses that ENIs are seen to hold, held against EC2's count of free ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from exporter.core.owners import Use
from exporter.core.subnets.ground import AWS_ADDRESSES
from exporter.core.subnets.values import Reserved


@dataclass(frozen=True, slots=True)
class Balance:
    """Uses that add up to the size, the residue, and what was learnt of the reservations."""

    uses: Mapping[Use, int]
    residue: int
    reserved: Reserved


def balance(seen: Mapping[Use, int], available: int, before: Reserved) -> Balance:
    """Return the uses as seen, with what EC2 says is taken besides told from what is free.

    A negative residue leaves `free` at what is seen to be free.
    """
    free, prefix = seen[Use.FREE], seen[Use.PREFIX_RESERVED_FREE]
    reserved = prefix + seen[Use.EXPLICIT_RESERVED]
    counted = reserved if _are_counted(reserved, available - free, available, before) else 0
    residue = free - (available - counted)
    hidden = max(residue, 0)
    return Balance(
        uses={**seen, Use.FREE: free - hidden, Use.UNATTRIBUTED: hidden},
        residue=residue,
        reserved=Reserved(prefix - counted, apart=not counted if reserved else before.apart),
    )


def _are_counted(reserved: int, surplus: int, available: int, before: Reserved) -> bool:
    """Whether unused reserved addresses are in EC2's count (reference 5.3).

    They are where it exceeds what is seen free without them, and could hold them all. Where they
    were found to be apart, a few addresses that moved between two listings say nothing else.
    """
    if surplus <= 0 or reserved > available:
        return False
    return not before.apart or 2 * surplus > reserved


def utilization(size: int, available: int, credit: int) -> float:
    """Return the share of a subnet's usable addresses that nothing new can have."""
    usable = size - AWS_ADDRESSES
    return 1 - min(max(available + credit, 0), usable) / usable
