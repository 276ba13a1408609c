"""What is known of a node's room: by its ipamd, by Kubernetes, and by what EC2 told of its ENIs.

ipamd's figures are the latest word on how much a node has, EC2's ENIs say in which subnets.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace

from exporter.core.headroom import FreeSpace, NodeRoom
from exporter.core.in_force import rules_of, settings_of
from exporter.core.introspection import Introspection
from exporter.core.model import IpMode, Pod, Read, Reading, Snapshot, SubnetRoom
from exporter.core.node_enis import NodeEni
from exporter.core.pod_subnets import is_excluded, pod_subnets
from exporter.core.pool import PREFIX, SINGLE, Limits, Rules, Settings
from exporter.core.usage import NodeUsage

# No instance type has as many ENIs to a card, nor addresses to an ENI; a page may say anything.
_MOST = 128

# Pods there need no address of a subnet: only kubelet counts them.
_IPV6 = Rules.of(Settings(ipv6=True), Limits(enis=1, ipv4_per_eni=2, max_pods=0))


def free_spaces(snapshot: Snapshot) -> Mapping[str, FreeSpace]:
    """Return what is surely free in each subnet that EC2 told of."""
    return {id: _free_space(room) for id, room in snapshot.ec2.rooms.items()}


def _free_space(room: SubnetRoom) -> FreeSpace:
    # Each hidden address may be in a block of its own.
    blocks = (room.blocks or 0) - room.reserved_blocks - room.hidden
    return FreeSpace(room.free, max(blocks, 0), room.reserved_blocks)


def node_rooms(usages: Iterable[NodeUsage], snapshot: Snapshot) -> tuple[NodeRoom | None, ...]:
    """Return the room of each node of the snapshot, None where it is not known.

    That is where the node was not read; where it has several managed network cards, since its
    pods may want an address on each; and, but in IPv6, where EC2 did not tell of its subnets.
    """
    region = _Region(snapshot)
    return tuple(
        region.room(usage, outcome.reading) if isinstance(outcome, Read) else None
        for usage, outcome in zip(usages, snapshot.outcomes, strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Enis:
    """A node's ENIs by what they are for pods.

    `usable` give them addresses, as far as it is told of each. The `excluded` ones, whose subnet's
    tag says so, do not, nor do the `idle` ones: the trunk, and the primary one under custom
    networking. `warm` are at least as many addresses of the mode in force as books tell.
    """

    usable: tuple[NodeEni, ...] = ()
    excluded: tuple[NodeEni, ...] = ()
    idle: int = 0
    trunk: bool = False
    warm: int = 0


# The ENIs of a node that EC2 does not show: with a trunk or not, and an idle primary one or not.
_HIDDEN = {
    (trunk, idle): _Enis(idle=trunk + idle, trunk=trunk)
    for trunk in (False, True)
    for idle in (False, True)
}


class _Region:
    """What many nodes have in common: subnets, and the rules of their pools."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._known = {id: room.subnet for id, room in snapshot.ec2.rooms.items()}
        self._rules: dict[Hashable, Rules] = {}
        self._subnets: dict[Hashable, tuple[str, ...] | None] = {}
        self._shown: dict[Hashable, _Enis] = {}

    def room(self, usage: NodeUsage, reading: Reading) -> NodeRoom | None:
        node, pod = usage.target.node, usage.target.pod
        if pod is None or node.max_pods is None or usage.assigned is None:
            return None
        if pod.enabled("ENABLE_MULTI_NIC"):
            return None
        others = (usage.target.host_network_pods or 0) + (usage.pod_enis or 0)
        pods = max(node.max_pods - usage.assigned - others, 0)
        if usage.ip_mode is IpMode.IPV6:
            return NodeRoom(rules=_IPV6, pods=pods, warm=pods, cidrs=0)
        subnets, per_eni = self._subnets_of(usage, pod), _per_eni(usage, reading)
        if subnets is None or per_eni is None:
            return None
        rules = self._rules_of(pod, per_eni, node.max_pods)
        enis = self._enis(usage, pod, subnets)
        if usage.introspected and reading.introspection is not None:
            enis = _by_books(reading.introspection, rules, usage.assigned, enis)
        room = _room(usage, pods, rules, enis, subnets)
        return room if self._tells_blocks(room) else None

    def _subnets_of(self, usage: NodeUsage, pod: Pod) -> tuple[str, ...] | None:
        # What ipamd chose is surer than what labels and annotations say.
        eniconfig, home = usage.eniconfig or usage.target.eniconfig, usage.subnet_id
        # Pods of one DaemonSet share their environment.
        alike = (home, eniconfig, id(pod.env), pod.cni_version)
        if alike not in self._subnets:
            target = replace(usage.target, eniconfig=eniconfig)
            eniconfigs = self._snapshot.discovery.eniconfigs
            self._subnets[alike] = pod_subnets(target, home, self._known, eniconfigs)
        return self._subnets[alike]

    def _rules_of(self, pod: Pod, per_eni: int, max_pods: int) -> Rules:
        alike = (id(pod.env), pod.cni_version, per_eni, max_pods)
        if alike not in self._rules:
            self._rules[alike] = _rules(pod, per_eni, max_pods)
        return self._rules[alike]

    def _enis(self, usage: NodeUsage, pod: Pod, subnets: tuple[str, ...]) -> _Enis:
        """A node's ENIs as EC2 shows them, or as they must be where it does not show them yet."""
        shown = self._snapshot.ec2.node_enis.get(usage.target.node.instance_id)
        if shown is None:
            trunk = bool(usage.target.node.pod_eni_capacity)
            idle = pod.custom_networking or usage.subnet_id not in subnets
            return _HIDDEN[trunk, idle]
        # Nodes with the same ENIs share what is known of them.
        alike = (id(shown), id(pod.env), pod.cni_version)
        if alike not in self._shown:
            self._shown[alike] = self._sorted(shown, pod)
        return self._shown[alike]

    def _sorted(self, shown: Iterable[NodeEni], pod: Pod) -> _Enis:
        idle, excluded, usable, trunk = 0, [], [], False
        for eni in shown:
            trunk = trunk or eni.trunk
            if eni.trunk or (eni.primary and pod.custom_networking):
                idle += 1
            elif self._is_excluded(eni, pod):
                excluded.append(eni)
            else:
                usable.append(eni)
        return _Enis(tuple(usable), tuple(excluded), idle, trunk)

    def _is_excluded(self, eni: NodeEni, pod: Pod) -> bool:
        subnet = self._known.get(eni.subnet_id)
        return subnet is not None and is_excluded(subnet, pod)

    def _tells_blocks(self, room: NodeRoom) -> bool:
        """Whether it is known of every subnet that it could draw prefixes from which it has."""
        if room.rules.size == SINGLE:
            return True
        rooms = [self._snapshot.ec2.rooms.get(it) for it in (*dict(room.slots), *room.subnets)]
        return all(it is not None and it.blocks is not None for it in rooms)


def _by_books(books: Introspection, rules: Rules, assigned: int, shown: _Enis) -> _Enis:
    """A node's ENIs as ipamd's books have them; where they are not in, EC2 shows (before v1.22)."""
    usable, excluded, idle, warm = [], [], 0, 0
    for it in books.enis:
        eni = NodeEni(it.subnet_id, it.attached - PREFIX * it.prefixes, it.prefixes)
        if it.trunk or (it.primary and rules.custom_networking):
            idle += 1
        elif it.excluded:
            excluded.append(eni)
        else:
            usable.append(eni)
            held = PREFIX * eni.prefixes if rules.size == PREFIX else eni.singles
            warm += max(held - it.assigned, 0)
    # Carried books do not know of pods that came since.
    late = max(assigned - sum([it.assigned for it in books.enis]), 0)
    placed = all(eni.subnet_id for eni in usable)
    return _Enis(
        usable=tuple(usable) if placed else shown.usable,
        excluded=tuple(excluded),
        idle=idle,
        trunk=any(it.trunk for it in books.enis),
        warm=warm - late,
    )


def _per_eni(usage: NodeUsage, reading: Reading) -> int | None:
    """The addresses for pods that an ENI can have, None where the page makes no sense."""
    if usage.eni_capacity is None or usage.eni_capacity > _MOST:
        return None
    per_eni = reading.ip_max // reading.eni_max
    return per_eni if 0 < per_eni <= _MOST * PREFIX else None


def _rules(pod: Pod, per_eni: int, max_pods: int) -> Rules:
    """The rules of a pool whose ENIs have so many addresses for pods, as ipamd says.

    It takes prefixes where it may and the type can have them, so that these are multiples of 16;
    no type has an ENI of 16 single addresses or a multiple of that.
    """
    prefixes = settings_of(pod).prefix_delegation and per_eni % PREFIX == 0
    slots = per_eni // PREFIX if prefixes else per_eni
    limits = Limits(1, slots + 1, max_pods, prefix_capable=prefixes)
    return rules_of(pod, limits)


def _room(
    usage: NodeUsage, pods: int, rules: Rules, enis: _Enis, subnets: tuple[str, ...]
) -> NodeRoom:
    """The room of a node by ipamd's counts; leftovers of the other mode take slots, no more.

    Where pods have some of these, or of excluded ENIs, at least as much is warm as said.
    """
    # Only nodes with several network cards lack these.
    assert usage.assigned is not None
    assert usage.attached is not None
    assert usage.prefixes is not None
    assert usage.enis is not None
    assert usage.eni_capacity is not None
    prefixes, singles = usage.prefixes, usage.attached - PREFIX * usage.prefixes
    for eni in enis.excluded:
        prefixes, singles = prefixes - eni.prefixes, singles - eni.singles
    cidrs = max(prefixes if rules.size == PREFIX else singles, 0)
    places = (usage.enis - enis.idle - len(enis.excluded)) * rules.slots
    trunk_is_due = usage.target.has_trunk_slot and not enis.trunk
    otherwise = subnets[0] if subnets else usage.subnet_id
    return NodeRoom(
        rules=rules,
        pods=pods,
        warm=max(cidrs * rules.size - usage.assigned, enis.warm, 0),
        cidrs=cidrs,
        # Only a target of several prefixes asks for it; else nodes look more alike without it.
        unused=max(cidrs - usage.assigned, 0) if rules.warm_prefixes > 1 else 0,
        slots=_spread(places - prefixes - singles, rules, enis.usable, otherwise),
        enis=max(usage.eni_capacity - usage.enis - trunk_is_due, 0),
        subnets=subnets,
    )


def _spread(
    slots: int, rules: Rules, usable: tuple[NodeEni, ...], otherwise: str
) -> tuple[tuple[str, int], ...]:
    """So many free slots by the subnets of the ENIs that may have them.

    An ENI that EC2 does not show yet is taken to be where the next would be.
    """
    if slots <= 0:
        return ()
    subnets = {eni.subnet_id for eni in usable}
    if len(subnets) <= 1:
        return ((next(iter(subnets), otherwise), slots),)
    places = []
    for eni in usable:
        free = min(rules.slots - eni.singles - eni.prefixes, slots)
        if free > 0:
            places.append((eni.subnet_id, free))
            slots -= free
    return (*places, (otherwise, slots)) if slots > 0 else tuple(places)
