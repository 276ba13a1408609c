"""How many more nodes of one kind fit into a subnet, each with its pool at rest and no pods yet."""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace

from exporter.core.headroom.filling import Claim, Filled, fill, merged
from exporter.core.headroom.space import Space, Spaces, split
from exporter.core.headroom.values import FreeSpace, NodeRoom
from exporter.core.pool import Rules

# Nodes in a row after which those that follow do as they did, where they ever do.
_LONGEST_ROUND = 16


@dataclass(frozen=True, slots=True)
class FreshNode:
    """A node that would start in the subnet `home`, its pods' ENIs in `subnets`.

    Where `home` is not one of these, its primary ENI gives pods nothing. A `trunk` takes one
    address: where the node is, or with custom networking where its pods are.
    """

    rules: Rules
    home: str
    subnets: tuple[str, ...]
    trunk: bool = False

    def room(self) -> NodeRoom:
        """Return the node as it is before its pool has anything."""
        rules = self.rules
        usable = self.home in self.subnets and not rules.custom_networking
        return NodeRoom(
            rules=rules,
            pods=0,
            warm=0,
            cidrs=0,
            slots=((self.home, rules.slots),) if usable else (),
            enis=max(rules.max_enis - 1 - rules.wants_trunk, 0),
            subnets=self.subnets,
        )

    def own_addresses(self) -> tuple[Claim, ...]:
        """Return what its primary ENI and its trunk take before the pool does."""
        primary = Claim(self.home, 1, 0)
        if not self.trunk:
            return (primary,)
        return primary, Claim(self.subnets[0] if self.rules.custom_networking else self.home, 1, 0)


def nodes_that_fit(node: FreshNode, rooms: Mapping[str, FreeSpace]) -> int | None:
    """Return how many more such nodes can start, one after the other, and get all they want.

    None where a subnet's room is not known.
    """
    known = {node.home, *node.subnets}
    if not node.subnets or not rooms.keys() >= known:
        return None
    arrivals = _Arrivals(node, {subnet: Space.of(rooms[subnet]) for subnet in known})
    while arrivals.go_on():
        pass
    return arrivals.count


class _Arrivals:
    """Nodes that start one after the other: some at a time, and those that do as they did."""

    def __init__(self, node: FreshNode, spaces: Mapping[str, Space]) -> None:
        self._node, self._spaces = node, spaces
        self.count = 0

    def go_on(self) -> bool:
        """Start more nodes; False once one does not get what it wants."""
        before = {subnet: space.addresses for subnet, space in self._spaces.items()}
        claims: list[Claim] = []
        leaders: set[str] = set()
        for nodes in range(1, _LONGEST_ROUND + 1):
            filled = self._start()
            if filled is None:
                return False
            claims += filled.claims
            leaders.update(filled.attached)
            if filled.piecemeal:
                break
            round_ = _Round(merged(claims), frozenset(leaders), before)
            if again := round_.repeats(self._node, self._spaces):
                for claim in round_.claims:
                    self._spaces[claim.subnet].take(again * claim.singles, again * claim.prefixes)
                self.count += again * nodes
                break
        return True

    def _start(self) -> Filled | None:
        """Start one more node; None where it does not get what it wants."""
        own = self._node.own_addresses()
        if not all(claim.taken_from(self._spaces) for claim in own):
            return None
        filled = fill(self._node.room(), self._spaces)
        if filled.starved:
            return None
        self.count += 1
        return replace(filled, claims=(*own, *filled.claims))


@dataclass(frozen=True, slots=True)
class _Round:
    """What some nodes in a row claimed, where their new ENIs are, and what was free `before`."""

    claims: tuple[Claim, ...]
    leaders: frozenset[str]
    before: Mapping[str, int]

    def repeats(self, node: FreshNode, spaces: Spaces) -> int:
        """How often the next nodes surely claim the same from the same subnets."""
        most = min(self._orders(node, spaces), self._reserves(spaces))

        def fails(times: int) -> bool:
            return not all(
                spaces[it.subnet].holds(times * it.singles, times * it.prefixes)
                for it in self.claims
            )

        return bisect_left(range(1, most + 1), True, key=fails)

    def _orders(self, node: FreshNode, spaces: Spaces) -> int:
        """How often the same subnets have most addresses, as long as these suffice."""
        everything = max(spaces[it.subnet].addresses for it in self.claims)
        if len(node.subnets) == 1 or not self.leaders:
            return everything
        drops = {self.before[it] - spaces[it].addresses for it in self.leaders}
        if len(drops) > 1:
            return 0
        (drop,), lowest = drops, min(spaces[it].addresses for it in self.leaders)
        smallest = split(1, node.rules.size)
        most = everything
        for subnet in set(node.subnets) - self.leaders:
            space = spaces[subnet]
            closes = drop - (self.before[subnet] - space.addresses)
            # Who has no room for an ENI now never has again.
            if closes > 0 and space.holds(1 + smallest[0], smallest[1]):
                most = min(most, max(lowest - drop - space.addresses, 0) // closes)
        return most

    def _reserves(self, spaces: Spaces) -> int:
        """How often prefixes come from what is reserved for them, where they came from there."""
        left = [
            spaces[it.subnet].reserved // it.prefixes
            for it in self.claims
            if it.prefixes and spaces[it.subnet].reserved
        ]
        return min(left, default=sys.maxsize)
