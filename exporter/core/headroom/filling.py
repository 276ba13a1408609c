"""One node given pods until the next finds no address: the pool model in strides, over counts.

As the pool does it step by step, but with no CIDR, no ENI and no pod of its own to look at; the
tests hold the two against each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from exporter.core.headroom.space import Space, Spaces, split
from exporter.core.headroom.values import Headroom, Limit, NodeRoom
from exporter.core.pool import SINGLE, Stock
from exporter.core.pool.sizing import wanted


@dataclass(frozen=True, slots=True)
class Claim:
    """What a node takes from one subnet: addresses one by one, its ENIs' own included, and /28s."""

    subnet: str
    singles: int
    prefixes: int

    def taken_from(self, spaces: Spaces) -> bool:
        """Take it, if its subnet has all of it; tell whether it had."""
        space = spaces[self.subnet]
        if not space.holds(self.singles, self.prefixes):
            return False
        space.take(self.singles, self.prefixes)
        return True


def merged(claims: Iterable[Claim]) -> tuple[Claim, ...]:
    """Return one claim for each subnet."""
    singles: dict[str, int] = {}
    prefixes: dict[str, int] = {}
    for claim in claims:
        singles[claim.subnet] = singles.get(claim.subnet, 0) + claim.singles
        prefixes[claim.subnet] = prefixes.get(claim.subnet, 0) + claim.prefixes
    return tuple(Claim(subnet, count, prefixes[subnet]) for subnet, count in singles.items())


@dataclass(frozen=True, slots=True)
class Filled:
    """How a node ended that took pods to its limit.

    `attached` has the subnet of each new ENI. `starved` says that its pool wants more and no subnet
    has it, `piecemeal` that EC2 once had some of the CIDRs asked for but not all.
    """

    headroom: Headroom
    claims: tuple[Claim, ...]
    attached: tuple[str, ...]
    starved: bool = False
    piecemeal: bool = False


def fill(node: NodeRoom, spaces: Spaces) -> Filled:
    """Fill a node with pods, and take what it claims for them from the spaces.

    The pool grows after the last pod too, and so takes what no pod will use.
    """
    filling = _Filling(node, spaces)
    low = False
    while not low and (until := filling.until_low()) is not None:
        pods = min(until, filling.left)
        filling.place(pods)
        if pods < until:
            break
        low = not filling.grow()
    filling.place(min(filling.warm, filling.left))
    stop = filling.stopped_by()
    return Filled(
        headroom=Headroom(node.pods - filling.left, stop if filling.left else Limit.MAX_PODS),
        claims=merged(filling.claims),
        attached=tuple(filling.attached),
        starved=low and stop is not Limit.ENI,
        piecemeal=filling.piecemeal,
    )


class _Filling:
    """A node between two strides."""

    def __init__(self, node: NodeRoom, spaces: Spaces) -> None:
        self.rules, self.subnets, self.spaces = node.rules, node.subnets, spaces
        self.left, self.enis = node.pods, node.enis
        self.warm, self.cidrs, self.unused = node.warm, node.cidrs, node.unused
        # The subnet and the free slots of each ENI that has some.
        self.open = [(subnet, slots) for subnet, slots in node.slots if slots]
        self.claims: list[Claim] = []
        self.attached: list[str] = []
        self.piecemeal = False

    @property
    def total(self) -> int:
        return self.cidrs * self.rules.size

    def place(self, pods: int) -> None:
        self.left -= pods
        self.warm -= pods
        # At the worst every pod goes where none is yet.
        self.unused = max(self.unused - pods, 0)

    def until_low(self) -> int | None:
        """Pods until ipamd wants more (`pool.sizing.is_low`), None where it never does."""
        rules = self.rules
        if not rules.provisions or self.total >= rules.max_pods:
            return None
        if not rules.by_address:
            return max(self.warm - max(rules.low_below, 1) + 1, 0)
        if self.total < rules.minimum_ip:
            return 0
        return max(self.warm - rules.warm_ip + 1, 0) if rules.warm_ip else None

    def grow(self) -> bool:
        """Get CIDRs on an ENI that has slots for them, else with a new one (reference 3.5)."""
        return self._extend() or self._attach()

    def stopped_by(self) -> Limit:
        """What stands in the way of one CIDR more, or of a new ENI."""
        if self.until_low() is None:
            return Limit.ENI
        size = self.rules.size
        asked = [(subnet, split(1, size)) for subnet, _ in self.open]
        if self._may_attach():
            singles, prefixes = split(self._first(), size)
            asked += [(subnet, (1 + singles, prefixes)) for subnet in self.subnets]
        elif not asked:
            return Limit.ENI
        scattered = (self.spaces[subnet].has_them_scattered(*what) for subnet, what in asked)
        return Limit.PREFIX if size != SINGLE and any(scattered) else Limit.SUBNET

    def _wanted(self) -> int:
        return wanted(Stock(self.cidrs, self.total - self.warm, self.unused), self.rules)

    def _first(self) -> int:
        """CIDRs that a new ENI is created with."""
        return min(self._wanted(), self.rules.slots)

    def _may_attach(self) -> bool:
        return self.enis > 0 and (self.rules.subnet_discovery or not self.open)

    def _asked_for(self) -> int:
        """CIDRs that are asked for now, or with targets in addresses one by one up to the end."""
        rules, count = self.rules, self._wanted()
        if not rules.by_address:
            return count
        warm = self.total - self.warm + self.left + rules.warm_ip if rules.warm_ip else 0
        short = min(max(warm, rules.minimum_ip), rules.max_pods) - self.total
        return max(count, -(-short // rules.size))

    def _extend(self) -> bool:
        """Get CIDRs for the first ENI that EC2 gives any to."""
        count = self._asked_for()
        for place, (subnet, slots) in enumerate(self.open):
            asked = min(count, slots)
            got = self._granted(asked, slots, self.spaces[subnet])
            self.piecemeal |= 0 < got < asked
            if got:
                self._take(subnet, got)
                left = [(subnet, slots - got)] if slots > got else []
                self.open[place : place + 1] = left
                return True
        return False

    def _granted(self, count: int, slots: int, space: Space) -> int:
        """Of these CIDRs all, else one, and with targets in addresses one after the other."""
        rules, there = self.rules, space.cidrs(self.rules.size)
        if there >= count:
            return count
        if not rules.by_address:
            return min(there, 1)
        if there >= min(self._wanted(), slots):
            return there
        # What is wanted at once and comes one by one ends as soon as max-pods are reached.
        return min(there, -(-(rules.max_pods - self.total) // rules.size))

    def _attach(self) -> bool:
        """Create an ENI where most addresses are free; it gets all of its CIDRs, or is not made."""
        if not self._may_attach():
            return False
        count = self._first()
        singles, prefixes = split(count, self.rules.size)
        for subnet in sorted(self.subnets, key=lambda it: -self.spaces[it].addresses):
            if self.spaces[subnet].holds(1 + singles, prefixes):
                self._take(subnet, count, own=1)
                self.enis -= 1
                self.attached.append(subnet)
                if self.rules.slots > count:
                    self.open.append((subnet, self.rules.slots - count))
                return True
        return False

    def _take(self, subnet: str, count: int, *, own: int = 0) -> None:
        singles, prefixes = split(count, self.rules.size)
        self.spaces[subnet].take(own + singles, prefixes)
        self.claims.append(Claim(subnet, own + singles, prefixes))
        self.cidrs += count
        self.unused += count
        self.warm += count * self.rules.size
