"""What an ipamd on the pool model holds, as its introspection shows it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address

from exporter.core.pool import IPV6_PREFIX, NEVER, Address, Cidr, Eni, Pool
from exporter.sim.holdings import HeldAddress, HeldCard, HeldCidr, HeldEni, Holding, told


class Shower:
    """Shows the pools of one node at one moment of the simulation."""

    def __init__(self, pools: Mapping[int, Pool], now: float, cooldown: float) -> None:
        self._pools = pools
        self._now = now
        self._cooldown = cooldown
        self._interfaces = Counter(_pods(pools.values()))

    def holding(self, *, missing: int = 0) -> Holding:
        """Return all cards; ipamd believes that the first holds less by what is `missing`."""
        cards = (
            HeldCard(
                number,
                held.attached - (0 if number else missing),
                tuple(self._eni(eni) for eni in held.enis),
            )
            for number, held in sorted(self._pools.items())
        )
        return Holding(tuple(cards))

    def _eni(self, eni: Eni) -> HeldEni:
        return HeldEni(
            eni.id,
            subnet=eni.subnet,
            device=eni.device,
            primary=eni.primary,
            trunk=eni.trunk,
            efa=eni.efa,
            excluded=eni.excluded,
            cidrs=tuple(self._cidr(cidr) for cidr in eni.cidrs),
        )

    def _cidr(self, cidr: Cidr) -> HeldCidr:
        addresses = tuple(self._address(it, cidr.size) for it in cidr.addresses)
        return HeldCidr(str(cidr), cidr.size, addresses)

    def _address(self, address: Address, size: int) -> HeldAddress:
        freed = None
        if address.pod is None and address.unassigned_at != NEVER:
            freed = told(self._now - address.unassigned_at, self._cooldown)
        return HeldAddress(
            str(IPv6Address(address.ip) if size == IPV6_PREFIX else IPv4Address(address.ip)),
            address.pod or "",
            assigned=self._now - address.assigned_at,
            freed=freed,
            cooling=address.pod is None and address.cooling(self._now, self._cooldown),
            interfaces=self._interfaces[address.pod or ""],
        )


def _pods(pools: Iterable[Pool]) -> Iterable[str]:
    for held in pools:
        for eni in held.enis:
            for cidr in eni.cidrs:
                yield from (address.pod for address in cidr.addresses if address.pod is not None)
