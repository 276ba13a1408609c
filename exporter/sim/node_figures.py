"""What a careful reader makes of one node: its addresses by state, and what it has room for.

A body of introspection overrules the page, whose gauges lie in the ways that reference 1.3 lists.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from exporter.core.pool import IPV6_PREFIX, PREFIX, SINGLE
from exporter.sim.ec2_types import InstanceType
from exporter.sim.facts import Facts
from exporter.sim.flags import is_on
from exporter.sim.holdings import Holding

PREFIX_DELEGATION = "ENABLE_PREFIX_DELEGATION"
CUSTOM_NETWORKING = "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG"
MULTI_NIC = "ENABLE_MULTI_NIC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a node is set to, whether a trunk takes one of its slots, and what EC2 says of it."""

    env: Mapping[str, str]
    trunk: bool = False
    type: InstanceType | None = None

    @property
    def custom(self) -> bool:
        return is_on(self.env, CUSTOM_NETWORKING)

    @property
    def cards(self) -> int | None:
        """The network cards whose addresses pods get; None where nobody told how many."""
        if not is_on(self.env, MULTI_NIC):
            return 1
        return None if self.type is None else len(self.type.cards)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of a node that was read; what cannot be known of it is None."""

    mode: str
    assigned: int
    enis: int | None = None
    prefixes: int | None = None
    attached: int | None = None
    warm: int | None = None
    cooldown: int | None = None
    capacity: int | None = None
    eni_capacity: int | None = None
    introspected: bool = False


def figures(facts: Facts, body: Holding | None, setting: Setting) -> Figures:
    """Return what a page comes to, with a body of the same node where there is one."""
    found = _from_page(facts, setting) if body is None else _from_body(body, setting)
    excluded = 0 if body is None else _excluded(body, setting)
    room = _room(facts, setting, excluded=excluded)
    return replace(found, eni_capacity=room.enis, capacity=room.addresses)


def _from_body(body: Holding, setting: Setting) -> Figures:
    mode = _mode(body.sizes, setting)
    told = Figures(
        mode=mode,
        assigned=body.assigned,
        enis=len(body.enis),
        prefixes=body.prefixes,
        introspected=True,
    )
    if mode == "ipv6":
        return told
    warm = body.attached - body.assigned - body.cooling
    return replace(told, attached=body.attached, warm=warm, cooldown=body.cooling)


def _from_page(facts: Facts, setting: Setting) -> Figures:
    gauges = facts.gauges
    assert gauges is not None
    in_prefixes = PREFIX * gauges.prefixes
    sizes = {PREFIX} if in_prefixes else set()
    if gauges.total > in_prefixes:
        sizes.add(SINGLE)
    if gauges.total >= IPV6_PREFIX or not gauges.ip_max:
        sizes = {IPV6_PREFIX}
    # Without addresses the page tells of no mode, whatever it says of prefixes.
    mode = _mode(frozenset(sizes) if gauges.total else frozenset(), setting)
    if is_on(setting.env, MULTI_NIC):
        return Figures(mode=mode, assigned=sum(facts.assigned_by_eni.values()))
    told = Figures(mode=mode, assigned=gauges.assigned, enis=gauges.enis, prefixes=gauges.prefixes)
    if mode == "ipv6":
        return replace(told, prefixes=gauges.total // IPV6_PREFIX)
    return replace(told, attached=gauges.total, warm=gauges.total - gauges.assigned)


def _mode(sizes: frozenset[int], setting: Setting) -> str:
    if IPV6_PREFIX in sizes or is_on(setting.env, "ENABLE_IPv6"):
        return "ipv6"
    if not sizes:
        return "prefix" if is_on(setting.env, PREFIX_DELEGATION) else "secondary"
    if len(sizes) > 1:
        return "mixed"
    return "prefix" if PREFIX in sizes else "secondary"


def _excluded(body: Holding, setting: Setting) -> int:
    """Count the ENIs that give pods nothing more, and do not give them nothing anyway."""
    counted = [eni for eni in body.enis if eni.excluded and not eni.trunk]
    return sum(not (eni.primary and setting.custom) for eni in counted)


@dataclass(frozen=True, slots=True)
class _Room:
    """The most ENIs and addresses that a node can have."""

    enis: int | None = None
    addresses: int | None = None


def _room(facts: Facts, setting: Setting, *, excluded: int) -> _Room:
    """Return what a node has room for; of addresses nothing is known in IPv6."""
    gauges, cards = facts.gauges, setting.cards
    assert gauges is not None
    if gauges.eni_max <= 0 or cards is None:
        return _Room()
    enis = gauges.eni_max if setting.type is None else min(gauges.eni_max, _limit(setting.type))
    usable = max(enis - setting.trunk - setting.custom - excluded, 0)
    per_eni = gauges.ip_max // gauges.eni_max
    addresses = per_eni * (usable + (cards - 1) * enis) if gauges.ip_max else None
    return _Room(enis * cards, addresses)


def _limit(kind: InstanceType) -> int:
    """Return the ENIs of a type's first card; volumes may share a limit with them."""
    shared = kind.attachments if kind.shared and kind.attachments else kind.cards[0]
    return min(kind.cards[0], shared)
