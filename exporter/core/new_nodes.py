"""How many more nodes of the types in use fit into the subnets that nodes are in.

A new node is taken to be like those there are: with the settings, max-pods and trunk that most
nodes of its type have, and its pods where those of the subnet's nodes are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace

from exporter.core.headroom import FreshNode, nodes_that_fit
from exporter.core.in_force import rules_of, settings_of
from exporter.core.limits import Networking, eni_limit
from exporter.core.model import InstanceType, Snapshot, Target
from exporter.core.node_rooms import free_spaces
from exporter.core.pod_subnets import pod_subnets
from exporter.core.pool import PREFIX, Limits, Rules
from exporter.core.subnets import SubnetUsage


def with_node_headroom(
    usages: Iterable[SubnetUsage], snapshot: Snapshot
) -> tuple[SubnetUsage, ...]:
    """Return the subnets, and of those that nodes are in how many more fit, by instance type.

    A type is left out where EC2 did not tell its limits, and in a subnet where it is not known, or
    not the same for all, where the pods would be.
    """
    fleet = _Fleet(snapshot)
    return tuple(
        replace(usage, node_headroom=fleet.headroom(usage.subnet.id))
        if usage.subnet.id in fleet.homes
        else usage
        for usage in usages
    )


class _Fleet:
    """The nodes there are, by type and by subnet, and what is free."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._spaces = free_spaces(snapshot)
        by_type: dict[str, list[Target]] = {}
        # Of nodes that draw from the same subnets one is kept.
        self._by_place: dict[tuple[str, str], dict[Hashable, Target]] = {}
        for target in snapshot.discovery.targets:
            pod, type = target.pod, target.node.instance_type
            home = snapshot.ec2.homes.get(target.node.instance_id)
            if pod is not None and home is not None and type:
                alike = (target.eniconfig, id(pod.env), pod.cni_version)
                self._by_place.setdefault((home, type), {})[alike] = target
                by_type.setdefault(type, []).append(target)
        self.homes = {home for home, _ in self._by_place}
        self._likes = {type: _most_common(targets) for type, targets in sorted(by_type.items())}

    def headroom(self, home: str) -> Mapping[str, int]:
        counts = {type: self._headroom(home, type, like) for type, like in self._likes.items()}
        return {type: count for type, count in counts.items() if count is not None}

    def _headroom(self, home: str, type: str, like: Target) -> int | None:
        limits = self._snapshot.ec2.types.get(type)
        rules = None if limits is None else _rules(like, limits)
        subnets = self._pod_subnets(home, type)
        if rules is None or subnets is None:
            return None
        if rules.size == PREFIX and not self._tells_blocks((home, *subnets)):
            return None
        return nodes_that_fit(
            FreshNode(rules, home, subnets, trunk=like.has_trunk_slot), self._spaces
        )

    def _pod_subnets(self, home: str, type: str) -> tuple[str, ...] | None:
        """Where pods of the nodes in a subnet are, of this type's if there are any."""
        known = {id: room.subnet for id, room in self._snapshot.ec2.rooms.items()}
        eniconfigs = self._snapshot.discovery.eniconfigs
        likes = self._by_place.get((home, type)) or {
            key: target
            for (where, _), targets in self._by_place.items()
            if where == home
            for key, target in targets.items()
        }
        found = {pod_subnets(target, home, known, eniconfigs) for target in likes.values()}
        return found.pop() if len(found) == 1 else None

    def _tells_blocks(self, subnets: Iterable[str]) -> bool:
        rooms = [self._snapshot.ec2.rooms.get(it) for it in subnets]
        return all(it is not None and it.blocks is not None for it in rooms)


def _most_common(targets: Iterable[Target]) -> Target:
    """A node whose settings, max-pods and trunk are those of most."""
    counted: Counter[Hashable] = Counter()
    likes: dict[Hashable, Target] = {}
    for target in targets:
        assert target.pod is not None
        key = (
            id(target.pod.env),
            target.pod.cni_version,
            target.node.max_pods,
            target.has_trunk_slot,
        )
        counted[key] += 1
        likes.setdefault(key, target)
    return likes[counted.most_common(1)[0][0]]


def _rules(like: Target, limits: InstanceType) -> Rules | None:
    """What a new node's pool goes by, None where it takes more or other than IPv4 addresses."""
    pod, max_pods = like.pod, like.node.max_pods
    assert pod is not None
    settings = settings_of(pod)
    if settings.ipv6 or pod.enabled("ENABLE_MULTI_NIC") or max_pods is None:
        return None
    return rules_of(
        pod,
        Limits(
            enis=eni_limit(limits, Networking()),
            ipv4_per_eni=limits.ipv4_per_eni,
            max_pods=max_pods,
            trunk_capable=like.has_trunk_slot,
            prefix_capable=limits.prefixes,
        ),
    )
