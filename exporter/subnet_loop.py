"""The accounts of the subnets and their cadence: ENIs, then the subnets right after, one step.

Between two surveys the subnets alone are read, so that what is free stays fresh. Where ENIs may not
be listed, those subnets are told of that EKS and ENIConfigs name.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from exporter.core.doors import SubnetReader
from exporter.core.drift import Drifts, against_ec2
from exporter.core.forecast import Forecaster
from exporter.core.health import Source, SourceHealth
from exporter.core.model import ControlPlane, Ec2Facts, Eni, Snapshot, Subnet, Unavailable
from exporter.core.new_nodes import with_node_headroom
from exporter.core.node_enis import NodeEni
from exporter.core.owners import ClusterFacts, Use, classify, cluster_name, is_primary
from exporter.core.subnets import (
    Memory,
    Role,
    SubnetUsage,
    Survey,
    accounts,
    cooldown_on,
    facts_of,
    held_for_pods,
    node_enis,
    nodes_of,
    rooms,
)

# ENIs in these uses make a subnet one of this cluster's.
_OURS = frozenset(
    {Use.NODE_PRIMARY, Use.NODE_UNMANAGED, Use.POD_BRANCH, Use.FARGATE, Use.EKS_CONTROL_PLANE}
)

# A beat comes a moment early or late; a survey is due on the beat that its period ends on.
_BEAT_SLACK = 0.99
# What ENIs told is withdrawn after so many of their periods without news (DESIGN, promise 2).
_WITHDRAWN_AFTER = 3

# Takes a tenth of a millisecond, after which other threads may go on.
_FREED_AT_ONCE = 200

Usages = tuple[SubnetUsage, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """What EC2 told of the cluster: its VPC, and its name by the tags on the nodes' ENIs."""

    vpc_id: str = ""
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class _Ours:
    """What tells this cluster's ENIs from others', the subnets that these are or will be in, the
    subnet that each instance is in, how many instances' pods have for themselves, by what ipamd's
    figures exceed EC2's, and what ENIs instances have for their pods."""

    facts: ClusterFacts
    subnets: set[str]
    homes: Mapping[str, str]
    pod_enis: Mapping[str, int]
    drifts: Drifts
    node_enis: Mapping[str, tuple[NodeEni, ...]]


@dataclass(slots=True)
class SubnetLoop:
    """Reads EC2 and hands on the subnets' accounts; what is known is replaced by each survey.

    `clock` dates what is read; `stopwatch` times it, tells when it is due again and paces the
    forecasts, so that a clock being set leaves all three alone. `control_plane` is what EKS tells.
    """

    reader: SubnetReader
    latest: Callable[[], Snapshot | None]
    publish: Callable[[Usages], Awaitable[None]]
    note: Callable[[Source, SourceHealth], None]
    clock: Callable[[], float]
    period: float
    stopwatch: Callable[[], float] = time.monotonic
    control_plane: Callable[[], ControlPlane] = ControlPlane
    forecaster: Forecaster = field(default_factory=Forecaster)
    memory: Memory = field(default_factory=Memory)
    usages: Usages = ()
    vpcs: tuple[str, ...] = ()
    told: Told = field(default_factory=Told)
    known: Ec2Facts = field(default_factory=Ec2Facts)
    drifts: Drifts = field(default_factory=dict)
    surveyed: float | None = None
    surveying: bool = field(default=False, init=False)
    telling: asyncio.Lock = field(default_factory=asyncio.Lock)

    def facts(self) -> Ec2Facts:
        """Return what bears on the nodes, but for rooms; without what ENIs told too long ago."""
        if self._within(_WITHDRAWN_AFTER * self.period):
            return self.known
        return replace(self.known, pod_enis=None, drifts={}, node_enis={})

    async def survey_if_due(self) -> None:
        """Survey once a period, and after a failure on every beat until one succeeds."""
        snapshot = self.latest()
        if snapshot is not None and not self._within(self.period * _BEAT_SLACK):
            await self.survey(snapshot)

    async def survey(self, snapshot: Snapshot) -> None:
        """Read all ENIs, and the subnets right after, and publish their account."""
        started = self.stopwatch()
        self.surveying = True
        try:
            accounted = await self._survey(snapshot, started)
        finally:
            self.surveying = False
        if not accounted:
            return
        await self._tell(self.usages)
        types = await self.reader.read_instance_types(_type_names(snapshot))
        if types != self.known.types:
            self.known = replace(self.known, types=types)
            await self._tell(self.usages)

    async def _survey(self, snapshot: Snapshot, started: float) -> bool:
        """Read all ENIs and account for them; whether that could be done."""
        now = self.clock()
        try:
            enis = list(await self._enis(snapshot))
        except Unavailable as error:
            self._note(Source.EC2_ENIS, started, error.reason)
            return False
        self._note(Source.EC2_ENIS, started)
        try:
            accounted = await self._account(snapshot, enis, now)
            if accounted:
                self.surveyed = started
            return accounted
        finally:
            # Where this is cancelled a thread may still read them, for an account that is lost.
            await asyncio.to_thread(_let_go, enis)

    async def _account(self, snapshot: Snapshot, enis: Sequence[Eni], now: float) -> bool:
        """Replace what is known by what these ENIs tell; whether their subnets could be read."""
        # Thousands of ENIs take longer than the event loop may stand still.
        ours = await asyncio.to_thread(_ours, snapshot, self.control_plane(), enis, self.drifts)
        subnets = await self._subnets(ours.subnets)
        if subnets is None:
            return False
        told = await asyncio.to_thread(_accounts, self.memory, ours.facts, subnets, enis, now)
        self.memory, self.usages = told
        self.told, self.drifts = Told(self.vpcs[0], ours.facts.cluster), ours.drifts
        self.known = Ec2Facts(
            homes=ours.homes,
            types=self.known.types,
            pod_enis=ours.pod_enis,
            drifts={uid: drift.persistent for uid, drift in ours.drifts.items()},
            node_enis=ours.node_enis,
        )
        return True

    async def refresh(self) -> None:
        """Read the subnets alone; what their ENIs told stays until it is too old."""
        facts = _configured(self.latest(), self.control_plane())
        ids = {usage.subnet.id for usage in self.usages} | _named(facts)
        subnets = await self._subnets(ids) if ids else None
        if subnets is None:
            return
        bare = Survey(subnets=subnets, enis={}, facts=facts)
        _, usages = accounts(self.memory, bare, self.clock())
        recent = self._within(_WITHDRAWN_AFTER * self.period)
        told = {usage.subnet.id: usage for usage in self.usages} if recent else {}
        await self._tell(tuple(_with_partition(usage, told) for usage in usages))

    async def _tell(self, usages: Usages) -> None:
        """Publish subnets with what is ahead of them, one telling after the other.

        That is when they run out, and how many more nodes fit by what is known now.
        """
        async with self.telling:
            now, snapshot = self.stopwatch(), self.latest()
            self.forecaster, told = await asyncio.to_thread(self.forecaster.after, usages, now)
            if snapshot is not None:
                known = replace(snapshot, ec2=replace(self.facts(), rooms=rooms(told)))
                told = await asyncio.to_thread(with_node_headroom, told, known)
            await self.publish(told)

    def _within(self, seconds: float) -> bool:
        """Whether the latest survey began at most so long ago."""
        return self.surveyed is not None and self.stopwatch() - self.surveyed <= seconds

    async def _enis(self, snapshot: Snapshot) -> tuple[Eni, ...]:
        if not self.vpcs:
            self.vpcs = await self._find_vpcs(snapshot)
        return await self.reader.read_enis(vpc_ids=self.vpcs)

    async def _find_vpcs(self, snapshot: Snapshot) -> tuple[str, ...]:
        """Return the VPCs that the nodes are in, else the one that EKS was given."""
        nodes = (target.node for target in snapshot.discovery.targets)
        instances = [node.instance_id for node in nodes if node.instance_id]
        found = await self.reader.find_vpcs(instances) if instances else ()
        given = self.control_plane().vpc_id
        if found or given:
            return found or (given,)
        if instances:
            raise Unavailable("ec2", "none of the nodes' instances has an ENI in this region")
        raise Unavailable("ec2", "no node tells its instance id, so its VPC is not known")

    async def _subnets(self, ids: Iterable[str]) -> tuple[Subnet, ...] | None:
        started = self.stopwatch()
        try:
            subnets = await self.reader.read_subnets(ids, self.vpcs)
        except Unavailable as error:
            self._note(Source.EC2_SUBNETS, started, error.reason)
            return None
        self._note(Source.EC2_SUBNETS, started)
        return subnets

    def _note(self, source: Source, started: float, reason: str = "") -> None:
        succeeded = None if reason else self.clock()
        seconds = self.stopwatch() - started
        self.note(source, SourceHealth(not reason, succeeded, seconds, reason))


def _ours(snapshot: Snapshot, given: ControlPlane, enis: Sequence[Eni], before: Drifts) -> _Ours:
    facts = _facts(snapshot, given, enis)
    owned = [(eni, classify(eni, facts)) for eni in enis]
    seen = {eni.subnet_id for eni, owner in owned if owner.use in _OURS}
    branches = Counter(owner.instance for _, owner in owned if owner.use is Use.POD_BRANCH)
    held = held_for_pods(owned)
    by_node = {node.name: held[it] for it, node in facts.nodes.items() if it in held}
    drifts = against_ec2(before, snapshot.outcomes, by_node)
    subnets = seen | _named(facts)
    return _Ours(facts, subnets, _homes(enis), branches, drifts, node_enis(owned))


def _accounts(
    before: Memory,
    facts: ClusterFacts,
    subnets: tuple[Subnet, ...],
    enis: Iterable[Eni],
    now: float,
) -> tuple[Memory, Usages]:
    # The facts carry what ipamd said on each node.
    survey = Survey(
        subnets=subnets,
        enis=_grouped(subnets, enis),
        facts=facts,
        cooldown=cooldown_on(facts.nodes.values()),
    )
    return accounts(before, survey, now)


def _let_go(enis: list[Eni]) -> None:
    """Free ENIs a few at a time: while all are freed at once, nothing else can run."""
    while enis:
        del enis[-_FREED_AT_ONCE:]


def _named(facts: ClusterFacts) -> frozenset[str]:
    return facts.eniconfig_subnets | facts.cluster_subnets


def _configured(snapshot: Snapshot | None, given: ControlPlane) -> ClusterFacts:
    """What is known of the subnets without their ENIs."""
    named = frozenset() if snapshot is None else frozenset(snapshot.discovery.eniconfigs.values())
    return ClusterFacts(eniconfig_subnets=named, cluster_subnets=given.subnets)


def _facts(snapshot: Snapshot, given: ControlPlane, enis: Sequence[Eni]) -> ClusterFacts:
    discovery = snapshot.discovery
    facts = facts_of(
        discovery,
        eniconfig_subnets=discovery.eniconfigs.values(),
        cluster_subnets=given.subnets,
    )
    nodes = {**facts.nodes, **nodes_of(snapshot.outcomes, enis)}
    return replace(facts, cluster=facts.cluster or cluster_name(enis, nodes), nodes=nodes)


def _type_names(snapshot: Snapshot) -> set[str]:
    return {target.node.instance_type for target in snapshot.discovery.targets} - {""}


def _homes(enis: Iterable[Eni]) -> Mapping[str, str]:
    return {eni.instance_id: eni.subnet_id for eni in enis if eni.instance_id and is_primary(eni)}


def _grouped(subnets: Iterable[Subnet], enis: Iterable[Eni]) -> Mapping[str, tuple[Eni, ...]]:
    groups: dict[str, list[Eni]] = {subnet.id: [] for subnet in subnets}
    for eni in enis:
        if eni.subnet_id in groups:
            groups[eni.subnet_id].append(eni)
    return {subnet: tuple(members) for subnet, members in groups.items()}


def _with_partition(usage: SubnetUsage, told: Mapping[str, SubnetUsage]) -> SubnetUsage:
    """The subnet as it is now, with what the latest survey said of its ENIs."""
    before = told.get(usage.subnet.id)
    if before is None:
        return usage
    return replace(
        before,
        subnet=usage.subnet,
        free=usage.free,
        utilization=usage.utilization,
        roles=tuple(role for role in Role if role in {*before.roles, *usage.roles}),
        of_eks=usage.of_eks,
    )
