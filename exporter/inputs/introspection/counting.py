"""What ipamd's books come to: the addresses of each ENI, counted from the CIDRs it holds.

Nothing is taken on trust: a CIDR is an address or a prefix as ipamd has them, an address lies in
its CIDR, and none is in the books twice. A body that breaks this is refused as a whole.
"""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import UNSET

from exporter.core.introspection import Introspection, IpamdEni
from exporter.core.model import Reason
from exporter.inputs.fetch import FetchFailed
from exporter.inputs.introspection.shapes import (
    Address,
    Addresses,
    Eni,
    decode_enis,
    malformed,
    quoted,
)

# 450 bytes an address: some 4,600 that pods have had, several times what any node runs.
MAX_BODY_BYTES = 2 * 1024 * 1024
# Where the pod's settings say nothing else (reference 3.1).
COOLDOWN_SECONDS = 30.0

# By so much the node's clock may be ahead of ours.
_CLOCK_SLACK_SECONDS = 5.0
_MAX_ENIS = 256
# CIDRs and addresses together: counting them must not hold up the event loop.
_MAX_ENTRIES = 20_000
_ENI_ID = re.compile(r"eni-[0-9A-Za-z-]{1,40}")
_SUBNET_ID = re.compile(r"subnet-[0-9A-Za-z-]{1,40}")


# The host bits of the CIDRs that ipamd holds: single addresses and /28s, in IPv6 /80s.
_IPV4_HOST_BITS = {"32": 0, "28": 4}
_IPV6_HOST_BITS = {"80": 48}


def parse_enis(body: bytes, time: float, *, cooldown: float = COOLDOWN_SECONDS) -> Introspection:
    """Return what a body of `/v1/enis` says that was there at `time`, or raise `FetchFailed`.

    `cooldown` is for how many seconds ipamd keeps a freed address back.
    """
    if len(body) > MAX_BODY_BYTES:
        raise FetchFailed(Reason.TOO_LARGE, f"more than {MAX_BODY_BYTES} bytes")
    cards = decode_enis(body)
    if sum(map(len, cards.values())) > _MAX_ENIS:
        raise FetchFailed(Reason.TOO_LARGE, f"more than {_MAX_ENIS} ENIs")
    count = _Count(time, cooldown)
    enis = [
        count.eni(card, name, eni)
        for card, found in sorted(cards.items())
        for name, eni in sorted(found.items())
    ]
    return Introspection(time=time, enis=tuple(enis))


@dataclass(slots=True)
class _Held:
    """What one ENI holds."""

    attached: int = 0
    assigned: int = 0
    cooldown: int = 0
    prefixes: int = 0


@dataclass(slots=True)
class _Count:
    """One count over the ENIs of a node, which remembers what was counted."""

    now: float
    cooldown: float
    entries: int = 0
    enis: set[str] = field(default_factory=set)
    singles: set[int] = field(default_factory=set)
    # /28s by their base without its host bits: the prefixes, and those with single addresses.
    prefixes: set[int] = field(default_factory=set)
    touched: set[int] = field(default_factory=set)
    ipv6: set[int] = field(default_factory=set)

    def eni(self, card: int, name: str, eni: Eni | None) -> IpamdEni:
        """Return what one ENI holds."""
        if eni is None or not _ENI_ID.fullmatch(name):
            raise malformed(f"{quoted(name)} is no ENI")
        if eni.id is not None and eni.id != name:
            raise _inconsistent(f"{name} is also called {quoted(eni.id)}")
        if name in self.enis:
            raise _inconsistent(f"{name} is on two network cards")
        if eni.subnet and not _SUBNET_ID.fullmatch(eni.subnet):
            raise malformed(f"{name} is in subnet {quoted(eni.subnet)}")
        self.enis.add(name)
        held = _Held()
        for cidr, addresses in eni.held(name).items():
            self._ipv4(cidr, addresses, held)
        for cidr, addresses in eni.held_ipv6(name).items():
            self._ipv6(cidr, addresses, held)
        return IpamdEni(
            id=name,
            card=card,
            device=eni.device,
            primary=bool(eni.primary),
            trunk=bool(eni.trunk),
            efa=bool(eni.efa),
            excluded=bool(eni.excluded),
            subnet_id=sys.intern(eni.subnet or ""),
            attached=held.attached,
            assigned=held.assigned,
            cooldown=held.cooldown,
            prefixes=held.prefixes,
        )

    def _ipv4(self, cidr: str, addresses: Addresses, held: _Held) -> None:
        base, bits = _network(cidr, socket.AF_INET, _IPV4_HOST_BITS)
        block = base >> 4
        if bits:
            known = block in self.prefixes or block in self.touched
            self.prefixes.add(block)
            held.prefixes += 1
        else:
            known = base in self.singles or block in self.prefixes
            self.singles.add(base)
            self.touched.add(block)
        if known:
            raise _inconsistent(f"addresses of {cidr} are in the books twice")
        for text in addresses:
            # Most CIDRs are single addresses, of which comparing the texts is quicker.
            if not cidr.startswith(f"{text}/") and not _lies_in(text, base, bits):
                raise _inconsistent(f"{quoted(text)} does not lie in {cidr}")
        self._states(1 << bits, addresses, held)

    def _ipv6(self, cidr: str, addresses: Addresses, held: _Held) -> None:
        base, bits = _network(cidr, socket.AF_INET6, _IPV6_HOST_BITS)
        found = {_number(text, socket.AF_INET6) for text in addresses}
        if base in self.ipv6 or len(found) < len(addresses):
            raise _inconsistent(f"addresses of {cidr} are in the books twice")
        self.ipv6.add(base)
        for number in found:
            if number is None or number >> bits != base >> bits:
                raise _inconsistent(f"an address does not lie in {cidr}")
        self._states(1 << bits, addresses, held)

    def _states(self, size: int, addresses: Addresses, held: _Held) -> None:
        self.entries += 1 + len(addresses)
        if self.entries > _MAX_ENTRIES:
            raise FetchFailed(Reason.TOO_LARGE, f"more than {_MAX_ENTRIES} addresses")
        held.attached += size
        for text, address in addresses.items():
            if address is None:
                continue
            if address.address is not None and address.address != text:
                raise _inconsistent(f"{text} is also called {quoted(address.address)}")
            if _is_assigned(text, address):
                held.assigned += 1
            elif self._cools(text, address):
                held.cooldown += 1

    def _cools(self, text: str, address: Address) -> bool:
        """Whether an address was freed so lately that ipamd keeps it back (reference 2.2)."""
        freed = address.freed
        if freed is UNSET and address.flag is UNSET:
            raise malformed(f"{text} tells in no known form when it was freed")
        # Go's zero time stands for never; before v1.5 there is no time at all.
        if freed is None or freed is UNSET or freed.year == 1:
            return False
        return -_CLOCK_SLACK_SECONDS <= self.now - freed.timestamp() <= self.cooldown


def _is_assigned(text: str, address: Address) -> bool:
    """Whether a pod has an address: by the release, a flag or any part of its key tells."""
    if address.flag is not UNSET:
        return bool(address.flag)
    if address.key is UNSET:
        raise malformed(f"{text} tells in no known form whether it is assigned")
    key = address.key
    return key is not None and bool(key.network or key.container or key.interface)


def _network(cidr: str, family: int, lengths: Mapping[str, int]) -> tuple[int, int]:
    """Return the base and the host bits of a CIDR."""
    text, _, length = cidr.partition("/")
    number, bits = _number(text, family), lengths.get(length)
    if number is None or bits is None:
        raise malformed(f"{quoted(cidr)} is neither an address nor a prefix of its family")
    if number & ((1 << bits) - 1):
        raise malformed(f"{cidr} does not begin where a prefix can")
    return number, bits


def _number(text: str, family: int) -> int | None:
    """Return an address as a number, None where it is none of that family."""
    try:
        return int.from_bytes(socket.inet_pton(family, text), "big")
    except (OSError, ValueError):
        return None


def _lies_in(text: str, base: int, bits: int) -> bool:
    number = _number(text, socket.AF_INET)
    return number is not None and number >> bits == base >> bits


def _inconsistent(detail: str) -> FetchFailed:
    return FetchFailed(Reason.INCONSISTENT, detail)
