"""Which addresses of one subnet are held, and the picking of free ones, singly and as /28 blocks.

Whose they are is told in `vpc`, and so is every refusal: callers here know that there are enough.
"""

import random
from ipaddress import IPv4Address, IPv4Network

PREFIX = 16
# The first four and the last.
AWS_RESERVED = 5

_HELD, _AWS, _FOR_PREFIXES, _FOR_NAMED = 1, 2, 4, 8
# A block's byte is how many of its addresses are held or AWS's, plus the reservation it lies in.
_OPEN_BLOCK, _PREFIX_BLOCK, _NAMED_BLOCK = 0, 32, 64
_PROBES = 8


class HeldAddresses:
    """A mark per address and per block, so that a /16 is searched at the speed of memory."""

    def __init__(self, cidr: IPv4Network) -> None:
        size = cidr.num_addresses
        self.available = size
        self._base = int(cidr.network_address)
        self._places = bytearray(size)
        self._blocks = bytearray(size // PREFIX)
        for place in (*range(AWS_RESERVED - 1), size - 1):
            self._mark(place, _AWS)
            self._blocks[place // PREFIX] += 1

    @property
    def free_blocks(self) -> int:
        """Whole free /28 blocks outside of reservations."""
        return self._blocks.count(_OPEN_BLOCK)

    @property
    def free_reserved_blocks(self) -> int:
        """Whole free /28 blocks kept for prefixes."""
        return self._blocks.count(_PREFIX_BLOCK)

    def count(self) -> int:
        """How many addresses ENIs hold."""
        return sum(mark & _HELD for mark in self._places)

    def __contains__(self, address: int) -> bool:
        return bool(self._places[address - self._base] & _HELD)

    def reserve(self, cidr: IPv4Network, *, for_prefixes: bool) -> None:
        """Keep addresses out of `available`, for prefixes or for whoever names them."""
        first = int(cidr.network_address) - self._base
        for place in range(first, first + cidr.num_addresses):
            self._mark(place, _FOR_PREFIXES if for_prefixes else _FOR_NAMED)
            self._blocks[place // PREFIX] |= _PREFIX_BLOCK if for_prefixes else _NAMED_BLOCK

    def take(self, address: int) -> bool:
        """Hold this address, wherever it lies, unless it is taken."""
        place = address - self._base
        if self._places[place] & (_HELD | _AWS):
            return False
        self._hold(place, 1)
        return True

    def take_single(self, rng: random.Random) -> int:
        """Hold any available address."""
        place = int(rng.random() * len(self._places))
        for _ in range(_PROBES):
            if not self._places[place]:
                break
            place = int(rng.random() * len(self._places))
        else:
            place = _next(self._places, 0, start=place)
        self._hold(place, 1)
        return self._base + place

    def take_prefix(self, rng: random.Random) -> int:
        """Hold any free /28, one kept for prefixes if there is one."""
        kind = _PREFIX_BLOCK if _PREFIX_BLOCK in self._blocks else _OPEN_BLOCK
        block = _next(self._blocks, kind, start=int(rng.random() * len(self._blocks)))
        self._hold(block * PREFIX, PREFIX)
        return self._base + block * PREFIX

    def release(self, address: int, size: int = 1) -> None:
        """Let go of an address, or of the /28 that begins there."""
        first = address - self._base
        for place in range(first, first + size):
            assert self._places[place] & _HELD, f"{IPv4Address(self._base + place)} is not held"
            self._places[place] &= ~_HELD
            self.available += not self._places[place]
        self._blocks[first // PREFIX] -= size

    def _hold(self, first: int, size: int) -> None:
        for place in range(first, first + size):
            self._mark(place, _HELD)
        self._blocks[first // PREFIX] += size

    def _mark(self, place: int, mark: int) -> None:
        self.available -= not self._places[place]
        self._places[place] |= mark


def _next(marks: bytearray, wanted: int, *, start: int) -> int:
    """Find the next such mark from a place on and all around."""
    found = marks.find(wanted, start)
    return found if found >= 0 else marks.find(wanted)
