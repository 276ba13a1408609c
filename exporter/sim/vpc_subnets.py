"""Subnets as EC2 knows them: their reservations, and which of their addresses are held.

Every operation is refused with EC2's error codes. Who holds an address is told in `vpc`.
"""

import random
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network

from exporter.sim.living.addresses import PREFIX, HeldAddresses


class Refusal(Exception):
    """EC2 did nothing, and this is its error code."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message or code)
        self.code = code


class ReservationKind(StrEnum):
    """What a CIDR reservation keeps its addresses for: prefixes, or whoever names them."""

    PREFIX = "prefix"
    EXPLICIT = "explicit"


@dataclass(frozen=True, slots=True)
class Reservation:
    """A subnet CIDR reservation (`scr-…`)."""

    id: str
    cidr: IPv4Network
    kind: ReservationKind
    description: str = ""


@dataclass(slots=True, eq=False)
class Subnet:
    """A subnet and which of its addresses are held."""

    id: str
    cidr: IPv4Network
    zone: str
    zone_id: str
    name: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    owner: str = ""
    reservations: list[Reservation] = field(default_factory=list)
    held: HeldAddresses = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.held = HeldAddresses(self.cidr)

    @property
    def size(self) -> int:
        """All addresses, AWS's five among them."""
        return self.cidr.num_addresses

    @property
    def available(self) -> int:
        """AvailableIpAddressCount: free addresses outside of reservations."""
        return self.held.available

    def reserve(self, reservation: Reservation) -> None:
        """Keep a CIDR for prefixes or for whoever names its addresses; what is held there stays."""
        if any(reservation.cidr.overlaps(other.cidr) for other in self.reservations):
            raise Refusal("InvalidParameterValue", f"{reservation.cidr} is reserved already")
        prefix = reservation.kind is ReservationKind.PREFIX
        self.held.reserve(reservation.cidr, for_prefixes=prefix)
        self.reservations.append(reservation)

    def take(self, address: int) -> int:
        """Hold an address that was named, which may lie in a reservation."""
        if not self.held.take(address):
            raise Refusal("InvalidIPAddress.InUse", f"{IPv4Address(address)} is in use")
        return address

    def take_singles(self, count: int, rng: random.Random) -> list[int]:
        """Hold so many addresses anywhere outside of reservations, or none."""
        if count > self.available:
            raise Refusal("InsufficientFreeAddressesInSubnet")
        return [self.held.take_single(rng) for _ in range(count)]

    def take_prefixes(self, count: int, rng: random.Random) -> list[int]:
        """Hold so many /28, those of `prefix` reservations first, or none."""
        reserved, free = self.held.free_reserved_blocks, self.held.free_blocks
        if count > reserved + free:
            full = self.available + reserved * PREFIX < count * PREFIX
            raise Refusal("InsufficientFreeAddressesInSubnet" if full else "InsufficientCidrBlocks")
        return [self.held.take_prefix(rng) for _ in range(count)]
