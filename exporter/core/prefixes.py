"""The aligned /28 blocks of a subnet: which can still be delegated as prefixes, and which cannot.

Addresses are counted from the subnet's first; which of them are taken, the caller says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

BLOCK = 16


class BlockState(StrEnum):
    """What stands in the way of delegating a block, if anything."""

    FREE = "free"
    FREE_RESERVED = "free_reserved"
    DELEGATED = "delegated"
    FRAGMENTED = "fragmented"
    FULL = "full"
    RESERVED = "reserved"


@dataclass(frozen=True, slots=True)
class Drain:
    """How many blocks a node alone keeps from being delegated by scattered addresses."""

    node: str
    blocks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The addresses of a subnet: a byte for each, 0 where nobody has it (AWS's own are taken).

    `delegated` are first addresses of prefixes; `explicit` and `prefix` are CIDR reservations.
    """

    taken: bytes | bytearray
    delegated: Iterable[int] = ()
    explicit: tuple[range, ...] = ()
    prefix: tuple[range, ...] = ()


def block_states(layout: Layout) -> tuple[BlockState, ...]:
    """Return the state of each block, from the subnet's first.

    A delegated block is delegated wherever it lies, and a block that touches an `explicit`
    reservation cannot be had, whoever uses it.
    """
    size = len(layout.taken)
    states: list[BlockState | None] = [None] * (size // BLOCK)
    for reservation in layout.explicit:
        for block in _touched(reservation):
            states[block] = BlockState.RESERVED
    for first in layout.delegated:
        states[first // BLOCK] = BlockState.DELEGATED
    held = {block for reservation in layout.prefix for block in _touched(reservation)}
    return tuple(
        state or _by_use(layout.taken.count(0, block * BLOCK, (block + 1) * BLOCK), block in held)
        for block, state in enumerate(states)
    )


def _touched(reservation: range) -> range:
    return range(reservation.start // BLOCK, (reservation.stop - 1) // BLOCK + 1)


def _by_use(free: int, held: bool) -> BlockState:
    if free == BLOCK:
        return BlockState.FREE_RESERVED if held else BlockState.FREE
    return BlockState.FRAGMENTED if free else BlockState.FULL


def counts(states: Iterable[BlockState]) -> Mapping[BlockState, int]:
    """Return the number of blocks in every state."""
    counted = Counter(states)
    return {state: counted[state] for state in BlockState}


def fragmentation(layout: Layout, states: Sequence[BlockState]) -> float | None:
    """Return the share of the free addresses that no free block contains, None where none is free.

    The first and the last block, which hold AWS's own addresses, are left out. What an `explicit`
    reservation holds is not free; what a `prefix` reservation holds is, since prefixes can have it.
    """
    open_to_all = bytearray(layout.taken)
    for reservation in layout.explicit:
        open_to_all[reservation.start : reservation.stop] = b"\x01" * len(reservation)
    free = open_to_all.count(0, BLOCK, -BLOCK)
    if not free:
        return None
    whole = sum(state in (BlockState.FREE, BlockState.FREE_RESERVED) for state in states[1:-1])
    return (free - whole * BLOCK) / free


def drains(states: Sequence[BlockState], holders: Sequence[str | None]) -> tuple[Drain, ...]:
    """Return which nodes' going would free how many blocks, the most first.

    `holders` has for each block the one node that has addresses in it, empty where others have
    some too. Delegated blocks are left out: the node's pods want them again where they go next.
    """
    broken = (BlockState.FRAGMENTED, BlockState.FULL)
    freed = Counter(
        holder
        for state, holder in zip(states[1:-1], holders[1:-1], strict=True)
        if holder and state in broken
    )
    ranked = sorted(freed.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Drain(node, blocks) for node, blocks in ranked)
