"""How many more pods fit on nodes that share subnets: best node first, each filled to its limit.

A node that has the most headroom by itself is filled first; what it took of its subnets is gone
for the others. Every scope is filled on its own, from the subnets as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from exporter.core.headroom.ample import ample
from exporter.core.headroom.filling import Filled, fill
from exporter.core.headroom.space import Space, Spaces
from exporter.core.headroom.values import FreeSpace, Headroom, Limit, NodeRoom


@dataclass(frozen=True, slots=True)
class Headrooms:
    """The headroom of each node alone, of all together, and of each grouping's groups by name.

    None where it is not known of a node, or of none of the nodes.
    """

    nodes: tuple[Headroom | None, ...]
    cluster: Headroom | None
    groups: tuple[Mapping[str, Headroom | None], ...]


def headrooms(
    nodes: Sequence[NodeRoom | None],
    rooms: Mapping[str, FreeSpace],
    groupings: Sequence[Sequence[str]] = (),
) -> Headrooms:
    """Return how many more pods fit; a grouping names a group for each of the nodes.

    Nothing is known of a node that could draw from a subnet without a room. Among equals, the node
    that comes first is filled first.
    """
    sharing = _Sharing(nodes, rooms)
    everyone = sharing.together(range(len(nodes)))
    return Headrooms(
        nodes=tuple(None if it is None else it.alone.headroom for it in sharing.kinds),
        cluster=_sum(everyone.values()),
        groups=tuple(sharing.by_group(grouping, everyone) for grouping in groupings),
    )


# How a node ended, and whether that is how it ends alone.
_End = tuple[Headroom, bool]


class _Kind:
    """Nodes that stand exactly alike, as nodes of one type in one subnet often do."""

    def __init__(self, node: NodeRoom, subnets: tuple[str, ...], spaces: Spaces) -> None:
        self._node, self.subnets = node, subnets
        self._ample = ample(node)
        # What becomes of one that has its subnets to itself, and where others have used them.
        self.alone = self._amply_filled(spaces) or fill(node, self._copies(spaces))
        self._beside: dict[Hashable, Filled] = {}
        self._chooses = bool(self.alone.attached) and len(node.subnets) > 1

    def among(self, spaces: Spaces) -> Filled:
        """Fill one from what others left, and take what it claims.

        It is the very same as `alone` where it gets what it gets then, and from where.
        """
        filled = self._as_alone(spaces) or self._among(spaces)
        for claim in filled.claims:
            spaces[claim.subnet].take(claim.singles, claim.prefixes)
        return filled

    def _as_alone(self, spaces: Spaces) -> Filled | None:
        if self._chooses:
            return self._amply_filled(spaces)
        for claim in self.alone.claims:
            if not spaces[claim.subnet].holds(claim.singles, claim.prefixes):
                return None
        return self.alone

    def _among(self, spaces: Spaces) -> Filled:
        left = tuple(spaces[subnet].figures() for subnet in self.subnets)
        if left not in self._beside:
            self._beside[left] = fill(self._node, self._copies(spaces))
        return self._beside[left]

    def _amply_filled(self, spaces: Spaces) -> Filled | None:
        if self._ample is None:
            return None
        return self._ample.filled(self._node, self._copies(spaces))

    def _copies(self, spaces: Spaces) -> dict[str, Space]:
        return {subnet: spaces[subnet].copy() for subnet in self.subnets}


class _Sharing:
    """The nodes of one moment, and the subnets before any of them is filled."""

    def __init__(self, nodes: Sequence[NodeRoom | None], rooms: Mapping[str, FreeSpace]) -> None:
        self._spaces = {subnet: Space.of(room) for subnet, room in rooms.items()}
        self._kinds: dict[Hashable, _Kind | None] = {}
        self.kinds = tuple(None if node is None else self._kind(node) for node in nodes)

    def _kind(self, node: NodeRoom) -> _Kind | None:
        alike = (
            id(node.rules),  # of thousands of nodes a few objects, and slow to compare
            node.pods,
            node.warm,
            node.cidrs,
            node.unused,
            node.slots,
            node.enis,
            node.subnets,
        )
        if alike not in self._kinds:
            self._kinds[alike] = self._new_kind(node)
        return self._kinds[alike]

    def _new_kind(self, node: NodeRoom) -> _Kind | None:
        subnets = tuple({*(subnet for subnet, _ in node.slots), *node.subnets})
        known = self._spaces.keys() >= set(subnets)
        return _Kind(node, subnets, self._spaces) if known else None

    def together(self, members: Iterable[int]) -> Mapping[int, _End]:
        """Fill these nodes; return how those ended of which something is known."""
        known = [(n, kind) for n in members if (kind := self.kinds[n]) is not None]
        # The sort keeps the order of equals.
        known.sort(key=lambda it: it[1].alone.headroom.pods, reverse=True)
        spaces = {subnet: space.copy() for subnet, space in self._spaces.items()}
        ends = {}
        for n, kind in known:
            filled = kind.among(spaces)
            ends[n] = filled.headroom, filled is kind.alone
        return ends

    def by_group(
        self, names: Sequence[str], everyone: Mapping[int, _End]
    ) -> Mapping[str, Headroom | None]:
        """Fill each group; `everyone` says how the nodes ended among all."""
        groups: dict[str, list[int]] = {}
        for n, name in enumerate(names):
            groups.setdefault(name, []).append(n)
        mixed = self._mixed(names)
        found = {}
        for name, members in groups.items():
            ends = [everyone[n] for n in members if n in everyone]
            # Who has subnets of its own, or was not in the way of others, ends as among everyone.
            if name in mixed and not all(unhurt for _, unhurt in ends):
                ends = list(self.together(members).values())
            found[name] = _sum(ends)
        return found

    def _mixed(self, names: Sequence[str]) -> set[str]:
        """The groups that draw from a subnet that another one draws from too."""
        mixed = set()
        owners: dict[str, str] = {}
        for kind, name in zip(self.kinds, names, strict=False):
            for subnet in kind.subnets if kind is not None else ():
                owner = owners.setdefault(subnet, name)
                if owner != name:
                    mixed |= {owner, name}
        return mixed


def _sum(ends: Iterable[_End]) -> Headroom | None:
    """All pods, and what stops the next: it goes to a node that is not at its max-pods, if any."""
    headrooms = [headroom for headroom, _ in ends]
    if not headrooms:
        return None
    stopped = Counter(it.limit for it in headrooms)
    ranked = sorted(Limit, key=lambda limit: -stopped[limit])
    met = [limit for limit in ranked if limit is not Limit.MAX_PODS and stopped[limit]]
    return Headroom(sum(it.pods for it in headrooms), met[0] if met else Limit.MAX_PODS)
