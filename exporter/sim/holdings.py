"""What one ipamd holds, ENI by ENI and address by address: what introspection shows as JSON.

Writing a body is done in `introspection_bodies`. Ages are seconds before the moment of serving, on
the readers' clock: simulated time passes faster, so they are moved there, well to one side of the
cooldown's end, where no reader's delay can take them across.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from exporter.core.pool import IPV6_PREFIX, PREFIX

# The shortest age that is told: a clock read a moment apart must not make it negative.
_MOMENT = 0.25


@dataclass(frozen=True, slots=True)
class HeldAddress:
    """An address that a pod has or had; `pod` is empty once it is free.

    `assigned` and `freed` are ages; `freed` is None where it was never given back since ipamd's
    start. `interfaces` is how many addresses its pod has, one on each network card.
    """

    ip: str
    pod: str
    assigned: float
    freed: float | None = None
    cooling: bool = False
    interfaces: int = 1


@dataclass(frozen=True, slots=True)
class HeldCidr:
    """A secondary address, a /28 or a /80, with those of its addresses ever handed out."""

    cidr: str
    size: int
    addresses: tuple[HeldAddress, ...] = ()

    @property
    def base(self) -> str:
        """Its first address."""
        return self.cidr.partition("/")[0]

    @property
    def ipv6(self) -> bool:
        return self.size == IPV6_PREFIX


@dataclass(frozen=True, slots=True)
class HeldEni:
    """An ENI that ipamd manages; `excluded` ones give pods nothing new."""

    id: str
    subnet: str = ""
    device: int = 0
    primary: bool = False
    trunk: bool = False
    efa: bool = False
    excluded: bool = False
    cidrs: tuple[HeldCidr, ...] = ()


@dataclass(frozen=True, slots=True)
class HeldCard:
    """A managed network card; `total` is what ipamd believes that its ENIs hold."""

    number: int
    total: int
    enis: tuple[HeldEni, ...]


@dataclass(frozen=True, slots=True)
class EniFacts:
    """What a careful reader counts of one ENI; `prefixes` are /28 or, in IPv6, /80."""

    id: str
    card: int
    attached: int
    assigned: int
    cooling: int
    prefixes: int
    primary: bool
    trunk: bool
    excluded: bool


@dataclass(frozen=True)
class Holding:
    """All cards of one node, and what a careful reader counts of them."""

    cards: tuple[HeldCard, ...]

    @cached_property
    def enis(self) -> tuple[EniFacts, ...]:
        """The ENIs of all cards."""
        return tuple(_facts(eni, card.number) for card in self.cards for eni in card.enis)

    @property
    def attached(self) -> int:
        return sum(eni.attached for eni in self.enis)

    @property
    def assigned(self) -> int:
        return sum(eni.assigned for eni in self.enis)

    @property
    def cooling(self) -> int:
        return sum(eni.cooling for eni in self.enis)

    @property
    def prefixes(self) -> int:
        return sum(eni.prefixes for eni in self.enis)

    @property
    def sizes(self) -> frozenset[int]:
        """The sizes of the CIDRs there are, by which the mode is told."""
        return frozenset(
            cidr.size for card in self.cards for eni in card.enis for cidr in eni.cidrs
        )


def _facts(eni: HeldEni, card: int) -> EniFacts:
    addresses = [address for cidr in eni.cidrs for address in cidr.addresses]
    return EniFacts(
        id=eni.id,
        card=card,
        attached=sum(cidr.size for cidr in eni.cidrs),
        assigned=sum(bool(address.pod) for address in addresses),
        cooling=sum(address.cooling for address in addresses),
        prefixes=sum(cidr.size in {PREFIX, IPV6_PREFIX} for cidr in eni.cidrs),
        primary=eni.primary,
        trunk=eni.trunk,
        excluded=eni.excluded,
    )


def told(age: float, cooldown: float) -> float:
    """Return the age to tell of an address that was freed so long ago in the simulation."""
    return _MOMENT + age / 2 if age <= cooldown else cooldown + age


def total(enis: Iterable[HeldEni]) -> int:
    """Return the addresses that some ENIs really hold."""
    return sum(cidr.size for eni in enis for cidr in eni.cidrs)
