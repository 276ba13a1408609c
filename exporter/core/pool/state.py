"""A node's warm pool as frozen values: addresses, CIDRs, ENIs and the timers that hold ipamd back.

Times are seconds on any one clock, addresses integers. What a step wants to know every five
seconds on every node is counted once, when a value is made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address

from exporter.core.pool.ec2 import Tally

NEVER = -math.inf

# Addresses per CIDR: a secondary IP, a /28 and an IPv6 /80.
SINGLE = 1
PREFIX = 16
IPV6_PREFIX = 2**48


@dataclass(frozen=True, slots=True)
class Address:
    """An address that a pod has or had; `pod` is None once it is free."""

    ip: int
    pod: str | None
    assigned_at: float
    unassigned_at: float = NEVER

    def cooling(self, now: float, cooldown: float) -> bool:
        """Tell whether it was released `cooldown` seconds ago or less: no pod gets it yet."""
        return now - self.unassigned_at <= cooldown


@dataclass(frozen=True, slots=True)
class Cidr:
    """A secondary IP or a prefix; of its addresses only those that were ever handed out."""

    base: int
    size: int
    addresses: tuple[Address, ...] = ()
    assigned: int = field(init=False, repr=False, compare=False)
    freed_at: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        pods = sum(address.pod is not None for address in self.addresses)
        freed_at = max((address.unassigned_at for address in self.addresses), default=NEVER)
        object.__setattr__(self, "assigned", pods)
        object.__setattr__(self, "freed_at", freed_at)

    def __str__(self) -> str:
        """The CIDR as ipamd writes it, `10.0.2.16/28`."""
        ip = IPv6Address(self.base) if self.size == IPV6_PREFIX else IPv4Address(self.base)
        return f"{ip}/{ip.max_prefixlen + 1 - self.size.bit_length()}"

    def cooling(self, now: float, cooldown: float) -> int:
        """Count its addresses that are in cooldown."""
        if now - self.freed_at > cooldown:
            return 0
        return sum(address.cooling(now, cooldown) for address in self.addresses)

    def open(self, now: float, cooldown: float) -> bool:
        """Tell whether an address can be handed out now."""
        return self.size > self.assigned + self.cooling(now, cooldown)


@dataclass(frozen=True, slots=True)
class Stock:
    """CIDRs of one size, the addresses of them that pods have, and the CIDRs that no pod uses."""

    cidrs: int = 0
    assigned: int = 0
    unused: int = 0


_NOTHING = Stock()


@dataclass(frozen=True, slots=True)
class Stray:
    """A CIDR that ipamd gave up at `since` and EC2 refused to take back."""

    cidr: Cidr
    since: float


@dataclass(frozen=True, slots=True)
class Eni:
    """An ENI as ipamd knows it since `created_at`; an `excluded` one gives pods nothing new."""

    id: str
    subnet: str = ""
    device: int = 0
    primary: bool = False
    trunk: bool = False
    efa: bool = False
    excluded: bool = False
    created_at: float = NEVER
    cidrs: tuple[Cidr, ...] = ()
    strays: tuple[Stray, ...] = ()
    attached: int = field(init=False, repr=False, compare=False)
    assigned: int = field(init=False, repr=False, compare=False)
    freed_at: float = field(init=False, repr=False, compare=False)
    stocks: Mapping[int, Stock] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        stocks = {size: _stock(self.cidrs, size) for size in {cidr.size for cidr in self.cidrs}}
        attached = sum(size * stock.cidrs for size, stock in stocks.items())
        freed_at = max((cidr.freed_at for cidr in self.cidrs), default=NEVER)
        object.__setattr__(self, "attached", attached)
        object.__setattr__(self, "assigned", sum(stock.assigned for stock in stocks.values()))
        object.__setattr__(self, "freed_at", freed_at)
        object.__setattr__(self, "stocks", stocks)

    @property
    def subnet_addresses(self) -> int:
        """Addresses it takes from its subnet: its own, what ipamd knows of, and strays."""
        return 1 + self.attached + sum(stray.cidr.size for stray in self.strays)

    def stock(self, size: int) -> Stock:
        """What it holds in CIDRs of that size."""
        return self.stocks.get(size, _NOTHING)

    def with_cidrs(self, cidrs: Iterable[Cidr]) -> Eni:
        """The ENI with these CIDRs too, each held once."""
        added = {cidr.base: cidr for cidr in cidrs}
        held = {cidr.base for cidr in self.cidrs}
        new = (cidr for base, cidr in added.items() if base not in held)
        strays = tuple(stray for stray in self.strays if stray.cidr.base not in added)
        return replace(self, cidrs=(*self.cidrs, *new), strays=strays)


@dataclass(frozen=True, slots=True)
class Addresses:
    """The attached addresses of a pool at one moment."""

    assigned: int
    warm: int
    cooldown: int

    @property
    def attached(self) -> int:
        """All of them."""
        return self.assigned + self.warm + self.cooldown


@dataclass(frozen=True, slots=True)
class Pool:
    """What ipamd knows of one network card, and what EC2 holds for the node beside that.

    `unadopted` ENIs are attached unknown to ipamd: a new trunk, or one whose detach EC2 refused.
    `leaked` ones are detached, but not deleted. ipamd has one back-off and one shrinking timer for
    all cards, so hand `backed_off_at` and `shrunk_at` on from pool to pool.
    """

    enis: tuple[Eni, ...]
    unmanaged: int = 0
    terminating: bool = False
    unschedulable: bool = False
    backed_off_at: float = NEVER
    shrunk_at: float = NEVER
    acted_at: float = NEVER
    unadopted: tuple[Eni, ...] = ()
    leaked: tuple[Eni, ...] = ()
    tally: Tally = field(default_factory=Tally)
    stocks: Mapping[int, Stock] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        sizes = {size for eni in self.enis for size in eni.stocks}
        object.__setattr__(self, "stocks", {size: _total(self.enis, size) for size in sizes})

    def stock(self, size: int) -> Stock:
        """What ipamd decides by: excluded ENIs are left out, but their unused CIDRs are not."""
        return self.stocks.get(size, _NOTHING)

    @property
    def attached(self) -> int:
        """Addresses ipamd holds for pods, in pods' hands or not."""
        return sum(eni.attached for eni in self.enis)

    @property
    def assigned(self) -> int:
        """Addresses pods have now."""
        return sum(eni.assigned for eni in self.enis)

    @property
    def has_trunk(self) -> bool:
        """Whether ipamd knows a trunk ENI."""
        return any(eni.trunk for eni in self.enis)

    @property
    def subnet_addresses(self) -> int:
        """Addresses that the ENIs attached to the node take from subnets, but for branch ENIs."""
        return self.unmanaged + sum(eni.subnet_addresses for eni in (*self.enis, *self.unadopted))

    def addresses(self, now: float, cooldown: float) -> Addresses:
        """Count the attached addresses by state."""
        cooling = sum(cidr.cooling(now, cooldown) for eni in self.enis for cidr in eni.cidrs)
        warm = self.attached - self.assigned - cooling
        return Addresses(assigned=self.assigned, warm=warm, cooldown=cooling)

    def with_eni(self, eni: Eni) -> Pool:
        """The pool with this ENI in place of the one of the same id."""
        enis = tuple(eni if other.id == eni.id else other for other in self.enis)
        return replace(self, enis=enis)


def _stock(cidrs: Iterable[Cidr], size: int) -> Stock:
    taken = [cidr.assigned for cidr in cidrs if cidr.size == size]
    return Stock(cidrs=len(taken), assigned=sum(taken), unused=taken.count(0))


def _total(enis: Iterable[Eni], size: int) -> Stock:
    stocks = [(eni.stock(size), eni.excluded) for eni in enis]
    return Stock(
        cidrs=sum(stock.cidrs for stock, excluded in stocks if not excluded),
        assigned=sum(stock.assigned for stock, excluded in stocks if not excluded),
        unused=sum(stock.unused for stock, _ in stocks),
    )
