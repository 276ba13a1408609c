"""Pods taking an address from the pool and leaving it, as ipamd's datastore does it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from exporter.core.pool.choice import Choose
from exporter.core.pool.settings import Rules
from exporter.core.pool.state import Address, Cidr, Eni, Pool


@dataclass(frozen=True, slots=True)
class Assigned:
    """The pool after a pod got an address, and which."""

    pool: Pool
    eni: str
    ip: int


def assign(pool: Pool, rules: Rules, *, pod: str, now: float, choose: Choose) -> Assigned | None:
    """Give a pod any free address that is not cooling; none left means that the ADD fails.

    Excluded ENIs and CIDRs of the other mode give nothing new.
    """
    left = [eni for eni in pool.enis if not eni.excluded]
    while left:
        eni = choose(left)
        left.remove(eni)
        found = [c for c in eni.cidrs if c.size == rules.size and c.open(now, rules.cooldown)]
        if found:
            cidr = choose(found)
            ip, kept = _taken(cidr, now, cooldown=rules.cooldown)
            addresses = (*kept, Address(ip, pod, assigned_at=now))
            return Assigned(_changed(pool, eni, cidr=cidr, addresses=addresses), eni.id, ip)
    return None


def unassign(pool: Pool, pod: str, *, now: float) -> Pool:
    """Take a pod's address back, which then cools down; an unknown pod changes nothing."""
    for eni in pool.enis:
        for cidr in eni.cidrs:
            if any(address.pod == pod for address in cidr.addresses):
                addresses = tuple(
                    replace(a, pod=None, unassigned_at=now) if a.pod == pod else a
                    for a in cidr.addresses
                )
                return _changed(pool, eni, cidr=cidr, addresses=addresses)
    return pool


def _taken(cidr: Cidr, now: float, *, cooldown: float) -> tuple[int, tuple[Address, ...]]:
    # An address used before goes first; all that have cooled down are forgotten with it.
    kept = tuple(a for a in cidr.addresses if a.pod is not None or a.cooling(now, cooldown))
    used_before = [a.ip for a in cidr.addresses if a not in kept]
    if used_before:
        return used_before[0], kept
    known = {address.ip for address in kept}
    return next(ip for ip in range(cidr.base, cidr.base + cidr.size) if ip not in known), kept


def _changed(pool: Pool, eni: Eni, *, cidr: Cidr, addresses: tuple[Address, ...]) -> Pool:
    changed = replace(cidr, addresses=addresses)
    cidrs = tuple(changed if other is cidr else other for other in eni.cidrs)
    return pool.with_eni(replace(eni, cidrs=cidrs))
