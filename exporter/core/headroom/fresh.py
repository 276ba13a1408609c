"""How many more nodes of one kind fit into a subnet, each with its pool at rest and no pods yet."""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

from exporter.core.headroom.filling import Claim, Filled, fill, merged
from exporter.core.headroom.space import Space, Spaces
from exporter.core.headroom.values import NodeRoom, SubnetRoom
from exporter.core.pool import PREFIX, Rules


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


def nodes_that_fit(node: FreshNode, rooms: Mapping[str, SubnetRoom]) -> int | None:
    """Return how many more such nodes can start, one after the other, and get all they want.

    None where a subnet's room is not known.
    """
    known = {node.home, *node.subnets}
    if not node.subnets or not rooms.keys() >= known:
        return None
    spaces = {subnet: Space.of(rooms[subnet]) for subnet in known}
    count = 0
    while (arrival := _next(node, spaces)) is not None:
        times = _times(arrival, spaces)
        for claim in arrival.claims:
            spaces[claim.subnet].take(times * claim.singles, times * claim.prefixes)
        count += times
    return count


@dataclass(frozen=True, slots=True)
class _Arrival:
    """What one more node claims, and for how many nodes in a row that is the same at the most."""

    claims: tuple[Claim, ...]
    alike: int


def _next(node: FreshNode, spaces: Spaces) -> _Arrival | None:
    """Start one more node in copies of the spaces; None where it does not get what it wants."""
    left = {subnet: space.copy() for subnet, space in spaces.items()}
    own = node.own_addresses()
    for claim in own:
        if not claim.taken_from(left):
            return None
    filled = fill(node.room(), left)
    if filled.starved:
        return None
    claims = merged((*own, *filled.claims))
    return _Arrival(claims, _alike(node, filled, spaces, claims))


def _alike(node: FreshNode, filled: Filled, spaces: Spaces, claims: tuple[Claim, ...]) -> int:
    """Count the nodes, the next one included, that go the same way as long as there is room."""
    if filled.refused:
        return 1
    if not filled.attached or len(node.subnets) == 1:
        return sys.maxsize
    leader, rival = sorted(node.subnets, key=lambda it: -spaces[it].addresses)[:2]
    if set(filled.attached) != {leader}:
        return 1
    lead = spaces[leader].addresses - spaces[rival].addresses
    return lead // sum(it.singles + PREFIX * it.prefixes for it in claims if it.subnet == leader)


def _times(arrival: _Arrival, spaces: Spaces) -> int:
    """How often the arrival's claims can be had, once at least."""

    def fails(times: int) -> bool:
        return not all(
            spaces[it.subnet].holds(times * it.singles, times * it.prefixes)
            for it in arrival.claims
        )

    most = min(arrival.alike, max(spaces[it.subnet].addresses for it in arrival.claims))
    return 1 + bisect_left(range(2, most + 1), True, key=fails)
