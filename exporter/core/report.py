"""One pure step: what was known and one snapshot in, what is known and one report out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from exporter.core.blocked import blocked
from exporter.core.counters import Ledger, advance
from exporter.core.drift import Drifts, against_page
from exporter.core.model import Identity, Outcome, Snapshot
from exporter.core.usage import Disagreement, NodeUsage, Usage, grouped, node_usage, pod_enis, total


@dataclass(frozen=True, slots=True)
class Memory:
    """What one cycle leaves for the next."""

    ledger: Ledger = field(default_factory=Ledger)
    drifts: Drifts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Totals:
    """What is known of the cluster as a whole: its identity, and its counters by series index."""

    identity: Identity
    counts: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that is published of one snapshot.

    `zones` and `nodegroups` are empty where nodes may not be listed: nobody then knows them.
    """

    time: float
    totals: Totals
    cluster: Usage
    zones: tuple[Usage, ...]
    nodegroups: tuple[Usage, ...]
    nodes: tuple[NodeUsage, ...]

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
    nodes = tuple(_completed(usage, snapshot, ledger) for usage in nodes)
    known = nodes if snapshot.discovery.nodes_known else ()
    report = Report(
        time=snapshot.time,
        totals=Totals(snapshot.discovery.identity, ledger.totals),
        cluster=total("", nodes),
        zones=grouped(known, lambda usage: usage.zone),
        nodegroups=grouped(known, lambda usage: usage.nodegroup),
        nodes=nodes,
    )
    return Memory(ledger, drifts), report


def _completed(usage: NodeUsage, snapshot: Snapshot, ledger: Ledger) -> NodeUsage:
    """The usage with its branch ENIs, and with what blocks the node."""
    enis = pod_enis(usage.target.node, snapshot.ec2.pod_enis)
    if enis is not None:
        usage = replace(usage, pod_enis=enis)
    reasons = blocked(usage, snapshot, ledger.errors.get(usage.name, ()))
    return replace(usage, blocked=reasons) if reasons else usage


def _disagreement(outcome: Outcome, drifts: Drifts, snapshot: Snapshot) -> Disagreement:
    pod = outcome.target.pod
    if pod is None:
        return Disagreement()
    drift, ec2 = drifts.get(pod.uid), snapshot.ec2.drifts.get(pod.uid)
    return Disagreement(None if drift is None else drift.persistent, ec2)
