"""One node given pods while no subnet refuses it anything: what `filling` finds, in closed form.

Most nodes are such nodes, and thousands of them are looked at in every cycle.
"""

from __future__ import annotations

from dataclasses import dataclass

from exporter.core.headroom.filling import Claim, Filled, merged
from exporter.core.headroom.space import Spaces, split
from exporter.core.headroom.values import Headroom, Limit, NodeRoom
from exporter.core.pool import PREFIX


@dataclass(frozen=True, slots=True)
class Ample:
    """How a node ends, the CIDRs that its ENIs get, and those of each ENI that it attaches."""

    headroom: Headroom
    extended: int
    attached: tuple[int, ...]

    def filled(self, node: NodeRoom, spaces: Spaces) -> Filled | None:
        """Take it from the spaces, and return how it ended; None where one refuses something.

        In that case the spaces are left in between.
        """
        left, claims, attached = self.extended, [], []
        for subnet, slots in node.slots:
            if cidrs := min(left, slots):
                claims.append(Claim(subnet, *split(cidrs, node.rules.size)))
                left -= cidrs
        for claim in claims:
            if not claim.taken_from(spaces):
                return None
        for cidrs in self.attached:
            singles, prefixes = split(cidrs, node.rules.size)
            subnet = max(node.subnets, key=lambda it: spaces[it].addresses)
            claim = Claim(subnet, 1 + singles, prefixes)
            if not claim.taken_from(spaces):
                return None
            claims.append(claim)
            attached.append(subnet)
        return Filled(self.headroom, merged(claims), tuple(attached))


def ample(node: NodeRoom) -> Ample | None:
    """Return how a node ends, None where its pool grows by uneven strides or has no subnet."""
    rules, unit = node.rules, _unit(node)
    if unit is None or (node.enis and not node.subnets):
        return None
    slots = sum(slots for _, slots in node.slots)
    wanted = -(-_short(node) // (unit * rules.size)) * unit
    cidrs = min(wanted, slots + node.enis * rules.slots)
    full, rest = divmod(max(cidrs - slots, 0), rules.slots)
    pods = min(node.pods, node.warm + cidrs * rules.size)
    return Ample(
        headroom=Headroom(pods, Limit.MAX_PODS if pods == node.pods else Limit.ENI),
        extended=min(cidrs, slots),
        attached=(rules.slots,) * full + (rest,) * (rest > 0),
    )


def _unit(node: NodeRoom) -> int | None:
    """The CIDRs by which the pool always grows, None where that changes."""
    rules = node.rules
    if rules.by_address:
        total = node.cidrs * rules.size
        short = max(rules.warm_ip - node.warm, rules.minimum_ip - total)
        return 1 if short <= rules.size else None
    if rules.size == PREFIX:
        return 1 if rules.warm_prefixes <= 1 else None
    return None if any(slots for _, slots in node.slots) else rules.slots


def _short(node: NodeRoom) -> int:
    """The addresses that keep the pool from being low once all pods are there."""
    rules = node.rules
    if not rules.provisions:
        return 0
    total = node.cidrs * rules.size
    if rules.by_address:
        wanted = total - node.warm + node.pods + rules.warm_ip if rules.warm_ip else 0
        short = max(wanted, rules.minimum_ip) - total
    else:
        short = max(rules.low_below, 1) + node.pods - node.warm
    return max(min(short, rules.max_pods - total), 0)
