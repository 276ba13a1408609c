"""One pure step: what was known and one snapshot in, what is known and one report out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from exporter.core import cni_settings
from exporter.core.blocked import blocked
from exporter.core.counters import Ledger, Timings, advance
from exporter.core.drift import Drifts, against_page
from exporter.core.headroom import Headroom, headrooms
from exporter.core.model import Identity, Outcome, Snapshot
from exporter.core.node_rooms import free_spaces, node_rooms
from exporter.core.usage import Disagreement, NodeUsage, Usage, grouped, node_usage, pod_enis, total


@dataclass(frozen=True, slots=True)
class Memory:
    """What one cycle leaves for the next."""

    ledger: Ledger = field(default_factory=Ledger)
    drifts: Drifts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Totals:
    """What is known of the cluster as a whole: its identity, and its counters by series index.

    `settings` are those of the CNI, as the DaemonSet has them.
    """

    identity: Identity
    counts: tuple[float, ...]
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that is published of one snapshot.

    `zones` and `nodegroups` are empty where nodes may not be listed: nobody then knows them.
    `timings` are the calls of AWS that the snapshot told of first, None without one.
    """

    time: float
    totals: Totals
    cluster: Usage
    zones: tuple[Usage, ...]
    nodegroups: tuple[Usage, ...]
    nodes: tuple[NodeUsage, ...]
    timings: Timings | None = None

    @property
    def problems(self) -> tuple[NodeUsage, ...]:
        """The nodes that someone should look at."""
        return tuple(node for node in self.nodes if node.problem)


def step(memory: Memory, snapshot: Snapshot) -> tuple[Memory, Report]:
    """Return what to remember and what to publish after one snapshot."""
    ledger = advance(memory.ledger, snapshot.outcomes, snapshot.time)
    drifts = against_page(memory.drifts, snapshot.outcomes)
    nodes = tuple(
        node_usage(
            outcome,
            ledger.failures[outcome.target.node.name],
            snapshot.ec2.homes.get(outcome.target.node.instance_id, ""),
            snapshot.ec2.types.get(outcome.target.node.instance_type),
            _disagreement(outcome, drifts, snapshot),
        )
        for outcome in snapshot.outcomes
    )
    nodes = tuple(_with_pod_enis(usage, snapshot) for usage in nodes)
    known = nodes if snapshot.discovery.nodes_known else ()
    found = headrooms(
        node_rooms(nodes, snapshot),
        free_spaces(snapshot),
        ([usage.zone for usage in known], [usage.nodegroup for usage in known]),
    )
    zones, nodegroups = found.groups
    report = Report(
        time=snapshot.time,
        totals=Totals(
            snapshot.discovery.identity,
            ledger.totals,
            cni_settings.published(snapshot.discovery.settings),
        ),
        cluster=replace(total("", nodes), headroom=found.cluster),
        zones=_with_headroom(grouped(known, lambda usage: usage.zone), zones),
        nodegroups=_with_headroom(grouped(known, lambda usage: usage.nodegroup), nodegroups),
        nodes=tuple(
            replace(
                usage,
                headroom=headroom,
                blocked=blocked(usage, snapshot, ledger.errors.get(usage.name, ())),
            )
            for usage, headroom in zip(nodes, found.nodes, strict=True)
        ),
        timings=ledger.timings,
    )
    return Memory(ledger, drifts), report


def _with_pod_enis(usage: NodeUsage, snapshot: Snapshot) -> NodeUsage:
    enis = pod_enis(usage.target.node, snapshot.ec2.pod_enis)
    return usage if enis is None else replace(usage, pod_enis=enis)


def _with_headroom(
    usages: Iterable[Usage], headrooms: Mapping[str, Headroom | None]
) -> tuple[Usage, ...]:
    return tuple(replace(usage, headroom=headrooms[usage.name]) for usage in usages)


def _disagreement(outcome: Outcome, drifts: Drifts, snapshot: Snapshot) -> Disagreement:
    pod = outcome.target.pod
    if pod is None:
        return Disagreement()
    drift, ec2 = drifts.get(pod.uid), snapshot.ec2.drifts.get(pod.uid)
    return Disagreement(None if drift is None else drift.persistent, ec2)
