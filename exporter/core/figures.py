"""What a node's page and its books come to: addresses by state, ENIs and prefixes.

The books overrule the page where both speak: its gauges lie in ways that reference 1.3 lists. Of
books that are of an earlier cycle the assigned addresses are not taken, which the page knows anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from exporter.core.introspection import Introspection
from exporter.core.model import IpMode, Pod, Reading, Target

ADDRESSES_PER_PREFIX = 16
# One IPv6 prefix is a /80 (reference 1.3); no IPv4 node comes anywhere near it.
_IPV6_PREFIX_ADDRESSES = 2**48


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What is attached to a node for pods, in addresses; a figure is None where it is not told.

    `excluded` are the ENIs that pods get nothing from, beside the trunk and, under custom
    networking, the primary ENI.
    """

    mode: IpMode
    assigned: int
    attached: int | None = None
    cooldown: int | None = None
    enis: int | None = None
    prefixes: int | None = None
    excluded: int = 0
    introspected: bool = False


def figures(reading: Reading, target: Target) -> Figures:
    """Return what a reading says about its node."""
    books = _standing(reading, target)
    return _from_page(reading, target) if books is None else _from_books(books, reading, target)


def difference(reading: Reading, target: Target) -> int | None:
    """Return what the books hold more than the page of the same cycle says.

    None where they cannot be compared: in IPv6 mode, and with several network cards, of which the
    page tells whichever wrote last.
    """
    books = reading.introspection
    if books is None or books.carried or several_cards(target):
        return None
    if _mode(_attached(books), _prefixes(books), target.pod) is IpMode.IPV6:
        return None
    return _attached(books) - reading.attached


def several_cards(target: Target) -> bool:
    """Whether the node's ipamd manages all network cards."""
    return target.pod is not None and target.pod.enabled("ENABLE_MULTI_NIC")


def custom_networking(target: Target) -> bool:
    """Whether the node's pods get nothing from the primary ENI."""
    return target.pod is not None and target.pod.enabled("AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG")


def assigned_by_eni(reading: Reading) -> tuple[tuple[str, int], ...]:
    """Return the addresses that pods have by ENI, empty where neither books nor page tell."""
    books = reading.introspection
    if books is None or (books.carried and reading.assigned_by_eni):
        return reading.assigned_by_eni
    return tuple([(eni.id, eni.assigned) for eni in books.enis])


def _standing(reading: Reading, target: Target) -> Introspection | None:
    """The books, unless pods have more by now than was attached when they were read."""
    books = reading.introspection
    if books is None or (books.carried and _assigned(reading, target) > _attached(books)):
        return None
    return books


def _from_page(reading: Reading, target: Target) -> Figures:
    mode = _mode(reading.attached, reading.prefixes, target.pod)
    if several_cards(target):
        return Figures(mode=mode, assigned=_assigned(reading, target))
    ipv6 = mode is IpMode.IPV6
    return Figures(
        mode=mode,
        assigned=reading.assigned,
        attached=None if ipv6 else reading.attached,
        enis=reading.enis,
        # In IPv6 mode ipamd's own gauge is not set (reference 1.2).
        prefixes=reading.attached // _IPV6_PREFIX_ADDRESSES if ipv6 else reading.prefixes,
    )


def _from_books(books: Introspection, reading: Reading, target: Target) -> Figures:
    attached = _attached(books)
    assigned = sum([eni.assigned for eni in books.enis])
    if books.carried:
        assigned = _assigned(reading, target)
    mode = _mode(attached, _prefixes(books), target.pod)
    custom = custom_networking(target)
    excluded = [
        eni for eni in books.enis if eni.excluded and not eni.trunk and not (custom and eni.primary)
    ]
    ipv6 = mode is IpMode.IPV6
    cooldown = min(sum([eni.cooldown for eni in books.enis]), attached - assigned)
    return Figures(
        mode=mode,
        assigned=assigned,
        attached=None if ipv6 else attached,
        cooldown=None if ipv6 else cooldown,
        enis=len(books.enis),
        prefixes=attached // _IPV6_PREFIX_ADDRESSES if ipv6 else _prefixes(books),
        excluded=len(excluded),
        introspected=True,
    )


def _attached(books: Introspection) -> int:
    return sum([eni.attached for eni in books.enis])


def _prefixes(books: Introspection) -> int:
    return sum([eni.prefixes for eni in books.enis])


def _assigned(reading: Reading, target: Target) -> int:
    """The addresses held by pods, as the page has them.

    With several managed cards the gauge is the last writer's alone, and the per-ENI series,
    which add up, are the truth (reference 1.3).
    """
    if several_cards(target):
        return sum(count for _, count in reading.assigned_by_eni)
    return reading.assigned


def _mode(attached: int, prefixes: int, pod: Pod | None) -> IpMode:
    """How the node's pods get addresses; an empty pool goes by the CNI's settings."""
    if attached >= _IPV6_PREFIX_ADDRESSES or (pod is not None and pod.enabled("ENABLE_IPv6")):
        return IpMode.IPV6
    in_prefixes = prefixes * ADDRESSES_PER_PREFIX
    if attached == 0:
        wanted = pod is not None and pod.enabled("ENABLE_PREFIX_DELEGATION")
        return IpMode.PREFIX if wanted else IpMode.SECONDARY
    if in_prefixes == 0:
        return IpMode.SECONDARY
    return IpMode.PREFIX if in_prefixes >= attached else IpMode.MIXED
