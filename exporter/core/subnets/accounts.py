"""One pure step over the subnets: what was remembered and what was read in, the accounts out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain

from exporter.core import prefixes
from exporter.core.model import Eni, Subnet
from exporter.core.owners import (
    ENI_OWNERS,
    ClusterFacts,
    LeakOwner,
    Use,
    classify,
    cluster_name,
    is_primary,
    may_be_leaked,
)
from exporter.core.subnets.balance import balance, utilization
from exporter.core.subnets.ground import Ground, has_ipv4, size
from exporter.core.subnets.nodes import Owned, assigned_on, nodes_of
from exporter.core.subnets.values import Memory, Reserved, Role, SubnetUsage, Survey

# An ENI on its way to or from an instance has a leak's marks for less (DESIGN, section 5).
LEAK_SECONDS = 600.0
_DISCOVERY_TAG = "kubernetes.io/role/cni"


@dataclass(frozen=True, slots=True)
class _Known:
    """What holds for all subnets."""

    facts: ClusterFacts
    assigned: Mapping[str, int]
    cooldown: Mapping[str, int]

    def node(self, instance: str) -> str:
        """The name of a node, empty where the instance is not known to be one."""
        node = self.facts.nodes.get(instance)
        return "" if node is None else node.name


def accounts(memory: Memory, survey: Survey, now: float) -> tuple[Memory, tuple[SubnetUsage, ...]]:
    """Return what to remember, and the account of each IPv4 subnet in the survey's order."""
    facts = _facts(survey)
    sights = _sights(memory, survey, now)
    owned = {
        subnet: _owned(enis, facts, now, sights[subnet]) for subnet, enis in survey.enis.items()
    }
    assigned = assigned_on(
        tuple(chain.from_iterable(owned.values())),
        facts.nodes,
        whole=all(subnet.id in owned for subnet in survey.subnets),
    )
    known = _Known(facts, assigned, survey.cooldown)
    reserved: dict[str, Reserved] = {}
    usages = []
    for subnet in filter(has_ipv4, survey.subnets):
        before = memory.reserved.get(subnet.id, Reserved())
        if subnet.id in owned:
            usage, reserved[subnet.id] = _accounted(subnet, owned[subnet.id], known, before)
        else:
            usage, reserved[subnet.id] = _bare(subnet, facts, before), before
        usages.append(usage)
    return Memory(sights, reserved), tuple(usages)


def _facts(survey: Survey) -> ClusterFacts:
    """The facts with the expected nodes, and with the cluster's name where ENIs tell it."""
    enis = tuple(chain.from_iterable(survey.enis.values()))
    nodes = {**survey.facts.nodes, **nodes_of(survey.outcomes, enis)}
    cluster = survey.facts.cluster or cluster_name(enis, nodes)
    return replace(survey.facts, cluster=cluster, nodes=nodes)


def _sights(memory: Memory, survey: Survey, now: float) -> dict[str, Mapping[str, float]]:
    """Since when ENIs have been seen with a leak's marks; what was not read is not forgotten."""
    sights = {
        subnet.id: memory.sights[subnet.id]
        for subnet in survey.subnets
        if subnet.id in memory.sights
    }
    for subnet, enis in survey.enis.items():
        before = sights.get(subnet, {})
        sights[subnet] = {eni.id: before.get(eni.id, now) for eni in enis if may_be_leaked(eni)}
    return sights


def _owned(
    enis: Iterable[Eni], facts: ClusterFacts, now: float, sights: Mapping[str, float]
) -> Owned:
    def leaked(eni: Eni) -> bool:
        first_seen = sights.get(eni.id, now)
        created = first_seen if eni.created is None else eni.created
        return now - min(created, first_seen) > LEAK_SECONDS

    return tuple((eni, classify(eni, facts, leaked=leaked(eni))) for eni in enis)


def _bare(subnet: Subnet, facts: ClusterFacts, before: Reserved) -> SubnetUsage:
    """What can be said of a subnet without its ENIs.

    Of the addresses that are reserved for prefixes, those count as free that were last seen to be.
    """
    total = size(subnet)
    credit = before.credit if subnet.reservations else 0
    return SubnetUsage(
        subnet=subnet,
        size=total,
        free=subnet.available,
        utilization=utilization(total, subnet.available, credit),
        roles=_roles(subnet, facts, frozenset()),
        of_eks=subnet.id in facts.cluster_subnets,
    )


def _accounted(
    subnet: Subnet, owned: Owned, known: _Known, before: Reserved
) -> tuple[SubnetUsage, Reserved]:
    """The whole account of a subnet, and what to remember of its reservations."""
    ground, roles = _placed(subnet, owned, known)
    balanced = balance(ground.uses(), subnet.available, before)
    layout = ground.layout()
    states = prefixes.block_states(layout)
    owners = Counter(owner.use for _, owner in owned)
    leaked = Counter(owner.leak for _, owner in owned)
    total = size(subnet)
    usage = SubnetUsage(
        subnet=subnet,
        size=total,
        free=subnet.available,
        utilization=utilization(total, subnet.available, balanced.reserved.credit),
        roles=_roles(subnet, known.facts, roles),
        uses=balanced.uses,
        residue=balanced.residue,
        blocks=prefixes.counts(states),
        fragmentation=prefixes.fragmentation(layout, states),
        enis={use: owners[use] for use in ENI_OWNERS},
        leaked={owner: leaked[owner] for owner in LeakOwner},
        drains=prefixes.drains(states, ground.holders),
        of_eks=subnet.id in known.facts.cluster_subnets,
    )
    return usage, balanced.reserved


def _placed(subnet: Subnet, owned: Owned, known: _Known) -> tuple[Ground, frozenset[Role]]:
    """The subnet with its ENIs on it, and the roles that these give it."""
    ground = Ground(subnet)
    roles = set()
    for eni, owner in owned:
        node = known.node(owner.instance)
        if owner.use is not Use.NODE_PRIMARY:
            ground.place(eni, owner, node)
            if owner.use is Use.POD_BRANCH:
                roles.add(Role.POD)
            elif owner.use is Use.EKS_CONTROL_PLANE:
                roles.add(Role.CONTROL_PLANE)
            continue
        assigned, cooling = known.assigned.get(eni.id), known.cooldown.get(eni.id, 0)
        if ground.place_pods(eni, node, assigned=assigned, cooling=cooling):
            roles.add(Role.POD)
        if is_primary(eni):
            roles.add(Role.NODE)
    return ground, frozenset(roles)


def _roles(subnet: Subnet, facts: ClusterFacts, seen: frozenset[Role]) -> tuple[Role, ...]:
    """A subnet's roles: by its tags, by what was configured, and by the ENIs seen in it."""
    roles = set(seen)
    if subnet.id in facts.eniconfig_subnets:
        roles.add(Role.POD)
    if subnet.id in facts.cluster_subnets:
        roles.add(Role.CONTROL_PLANE)
    tag = subnet.tags.get(_DISCOVERY_TAG, "")
    if tag:
        roles.add(Role.EXCLUDED if tag == "0" else Role.CNI_DISCOVERY)
    return tuple(role for role in Role if role in roles)
