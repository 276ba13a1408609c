"""The addresses of one subnet, a byte for each: what they are used for, and which node has them."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network

from exporter.core.model import Eni, Subnet
from exporter.core.owners import Owner, Use
from exporter.core.prefixes import BLOCK, Layout

# Said by AWS for every subnet (reference 5.3): the first four addresses and the last.
AWS_ADDRESSES = 5
_FIRST_USABLE = 4
_CODES = {use: bytes((code,)) for code, use in enumerate(Use)}


def has_ipv4(subnet: Subnet) -> bool:
    """Whether a subnet has IPv4 addresses to account for."""
    return "." in subnet.cidr


def size(subnet: Subnet) -> int:
    """Return all addresses of a subnet, AWS's own included."""
    return IPv4Network(subnet.cidr).num_addresses


def reserved(subnet: Subnet, kind: str) -> tuple[range, ...]:
    """Return a subnet's IPv4 CIDR reservations of one kind, counted from its first address."""
    first, last = _bounds(subnet)
    found = []
    for reservation in subnet.reservations or ():
        if reservation.kind == kind and "." in reservation.cidr:
            network = IPv4Network(reservation.cidr, strict=False)
            start = max(int(network.network_address), first) - first
            stop = min(int(network.broadcast_address), last) - first + 1
            found.append(range(start, stop))
    return tuple(found)


def _bounds(subnet: Subnet) -> tuple[int, int]:
    network = IPv4Network(subnet.cidr)
    return int(network.network_address), int(network.broadcast_address)


class Ground:
    """A subnet that ENIs are placed on, one after the other.

    An address that two ENIs claim has moved between two pages of the listing: the later one has
    it. AWS's own addresses, and those outside the subnet, are nobody's.
    """

    def __init__(self, subnet: Subnet) -> None:
        first, last = _bounds(subnet)
        self._first = first
        self._size = last - first + 1
        aws = _CODES[Use.AWS_RESERVED]
        free = _CODES[Use.FREE] * (self._size - AWS_ADDRESSES)
        self._uses = bytearray(aws * _FIRST_USABLE + free + aws)
        self._explicit = reserved(subnet, "explicit")
        self._prefix = reserved(subnet, "prefix")
        self._delegated: list[int] = []
        # The one node in each block, empty where others are in it too.
        self.holders: list[str | None] = [None] * (self._size // BLOCK)

    def place(self, eni: Eni, owner: Owner, node: str) -> None:
        """Count all addresses of an ENI as its owner's."""
        singles = self._offsets(eni.addresses)
        self._fill(singles + self._in_prefixes(eni), _CODES[owner.use])
        self._hold(singles, node)

    def place_pods(self, eni: Eni, node: str, *, assigned: int | None, cooling: int) -> int:
        """Count an ENI's primary address as its node's, the others as pods'; return how many.

        Where ipamd says of more addresses than EC2 says there are, EC2 is right.
        """
        primary = self._offsets(eni.addresses[:1])
        singles = self._offsets(eni.addresses[1:])
        pods = singles + self._in_prefixes(eni)
        self._fill(primary, _CODES[Use.NODE_PRIMARY])
        if assigned is None:
            self._fill(pods, _CODES[Use.POD_UNKNOWN])
        else:
            cooled = assigned + cooling
            self._fill(pods[:assigned], _CODES[Use.POD_ASSIGNED])
            self._fill(pods[assigned:cooled], _CODES[Use.POD_COOLDOWN])
            self._fill(pods[cooled:], _CODES[Use.POD_WARM])
        self._hold(primary + singles, node)
        return len(pods)

    def _offsets(self, addresses: tuple[int, ...]) -> list[int]:
        first = self._first
        start, stop = first + _FIRST_USABLE, first + self._size - 1
        return [address - first for address in addresses if start <= address < stop]

    def _in_prefixes(self, eni: Eni) -> list[int]:
        offsets: list[int] = []
        for prefix in eni.prefixes:
            start = prefix - self._first
            if 0 < start < self._size - BLOCK and start % BLOCK == 0:
                self._delegated.append(start)
                offsets += range(start, start + BLOCK)
        return offsets

    def _fill(self, offsets: list[int], code: bytes) -> None:
        uses, value = self._uses, code[0]
        for offset in offsets:
            uses[offset] = value

    def _hold(self, offsets: list[int], node: str) -> None:
        holders = self.holders
        for block in {offset // BLOCK for offset in offsets}:
            if holders[block] != node:
                holders[block] = node if holders[block] is None else ""

    def layout(self) -> Layout:
        """Return which addresses are taken, as far as the ENIs placed here say."""
        return Layout(
            taken=self._uses,
            delegated=self._delegated,
            explicit=self._explicit,
            prefix=self._prefix,
        )

    def uses(self) -> Mapping[Use, int]:
        """Return how many addresses each use has; those that reservations keep are not free.

        Where reservations overlap, what is `explicit` is so for all.
        """
        uses = bytearray(self._uses)
        kept = ((self._explicit, Use.EXPLICIT_RESERVED), (self._prefix, Use.PREFIX_RESERVED_FREE))
        for reservations, use in kept:
            for span in reservations:
                part = uses[span.start : span.stop]
                uses[span.start : span.stop] = part.replace(_CODES[Use.FREE], _CODES[use])
        return {use: uses.count(code) for use, code in _CODES.items()}
