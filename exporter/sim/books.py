"""The truth: the samples an exporter should publish of the world as it is, by published name.

Gauges come from the world and from the bodies that were served, counters from the ledger of pages
served. The exporter, which is held against them, has no part in it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from exporter.sim import blocked_books, node_figures, setting_books
from exporter.sim.blocked_books import Stuck
from exporter.sim.cluster import Cluster
from exporter.sim.ec2_told import NOTHING, Ec2Told
from exporter.sim.facts import Facts, Gauges, Series, series
from exporter.sim.faults import REASONS, Fault
from exporter.sim.flags import is_on
from exporter.sim.holdings import Holding
from exporter.sim.introspection_settings import Surroundings, chosen_eni_config
from exporter.sim.ipamd import Release
from exporter.sim.ledger import Ledger
from exporter.sim.node_figures import Figures, Setting
from exporter.sim.nodes import AwsNodePod, Node, Phase
from exporter.sim.objects import node_labels

UNREAD_REASONS = (
    "no_pod",
    "starting",
    "pending",
    "timeout",
    "unreachable",
    "http_status",
    "malformed",
    "too_large",
    "incomplete",
    "inconsistent",
    "refused_address",
    "reader_missing",
)
YOUNG_SECONDS = 120
_YOUTH_EXCUSES = frozenset({"no_pod", "pending", "unreachable"})
_TRUNK = "SecurityGroupsForPods"

Sample = tuple[dict[str, str], float]
Samples = dict[str, list[Sample]]


@dataclass(frozen=True, slots=True)
class Entry:
    """What the books say of one expected node: what it told, or why it told nothing.

    `body` is what its introspection said, where it was asked.
    """

    node: Node
    facts: Facts | None
    reasons: tuple[str, ...]
    env: Mapping[str, str]
    body: Holding | None = None
    trunk: bool = False
    pods_in: str = ""

    @property
    def reason(self) -> str:
        return self.reasons[0]

    @property
    def gauges(self) -> Gauges | None:
        """The page's gauges, where the node was read."""
        return self.facts.gauges if self.facts is not None else None

    @property
    def pod(self) -> AwsNodePod:
        """The pod that was read."""
        assert self.node.target is not None
        return self.node.target

    def figures(self, told: Ec2Told = NOTHING) -> Figures:
        """Return the figures of a node that was read, with what EC2 told of its type."""
        assert self.facts is not None
        kind = told.types.get(self.node.machine.instance_type)
        setting = Setting(env=self.env, trunk=self.trunk, type=kind)
        return node_figures.figures(self.facts, self.body, setting)


@dataclass
class Books:
    """All expected nodes as they are now, and what a reader knows of each."""

    cluster: Cluster
    ledger: Ledger
    told: Ec2Told = NOTHING

    @cached_property
    def entries(self) -> list[Entry]:
        """Every expected node, judged."""
        return entries(self.cluster, self.ledger)

    @cached_property
    def figures(self) -> Mapping[str, Figures]:
        """The figures of the nodes that were read, by node."""
        read = (entry for entry in self.entries if entry.facts is not None)
        return {entry.node.name: entry.figures(self.told) for entry in read}

    def samples(self) -> Samples:
        """Return all samples of the truth, by metric name."""
        found: Samples = defaultdict(list)
        for source, value in self._everything():
            name, labels = source
            found[name].append((dict(labels), value))
        return dict(found)

    def _everything(self) -> Iterable[tuple[Series, float]]:
        yield from self._scope("cluster", {}, judged=self.entries)
        for scope, key in (("zone", _zone), ("nodegroup", _nodegroup)):
            groups: dict[str, list[Entry]] = defaultdict(list)
            for entry in self.entries:
                groups[key(entry)].append(entry)
            for name, members in groups.items():
                yield from self._scope(scope, {scope: name}, judged=members)
        for entry in self.entries:
            yield from self._node(entry)
        yield from self.ledger.gains().items()
        yield from setting_books.rows(self.cluster.plan.env)

    def _scope(
        self, scope: str, labels: Mapping[str, str], *, judged: list[Entry]
    ) -> Iterable[tuple[Series, float]]:
        prefix = f"vpc_cni_{scope}_"
        read = [entry for entry in judged if entry.facts is not None]
        told = [self.figures[entry.node.name] for entry in read]
        yield series(f"{prefix}nodes", **labels, state="read"), len(read)
        yield series(f"{prefix}nodes", **labels, state="unread"), len(judged) - len(read)
        introspected = sum(figures.introspected for figures in told)
        yield series(f"{prefix}introspected_nodes", **labels), introspected
        for reason in UNREAD_REASONS:
            count = sum(entry.facts is None and entry.reason == reason for entry in judged)
            yield series(f"{prefix}unread_nodes", **labels, reason=reason), count
        for (name, extra), values in _columns(told).items():
            # Where no node is expected, sums are 0; but nobody told of addresses in cooldown.
            if values or (not judged and extra != _COOLDOWN[1]):
                yield series(prefix + name, **labels, **dict(extra)), sum(values)

    def _node(self, entry: Entry) -> Iterable[tuple[Series, float]]:
        node, told = entry.node, self.told
        name, figures = node.name, self.figures.get(node.name)
        target = node.target
        yield (
            series(
                "vpc_cni_node_info",
                node=name,
                instance_id=node.instance_id,
                instance_type=node.machine.instance_type,
                zone=_zone(entry),
                nodegroup=_nodegroup(entry),
                subnet_id=told.homes.get(node.instance_id, ""),
                cni_version=target.version if target is not None else "",
                ip_mode=figures.mode if figures is not None else "",
            ),
            1,
        )
        yield series("vpc_cni_node_read", node=name), int(figures is not None)
        yield series("vpc_cni_node_max_pods", node=name), node.machine.max_pods
        yield series("vpc_cni_node_host_network_pods", node=name), node.host_network_pods
        failures = self.ledger.failures(node.uid)
        yield series("vpc_cni_node_ip_assignment_failures_total", node=name), failures
        if node.machine.pod_eni:
            yield series("vpc_cni_node_pod_eni_capacity", node=name), node.machine.pod_eni
        if (branches := self._branches(node)) is not None:
            yield series("vpc_cni_node_pod_enis", node=name), branches
        if figures is not None:
            yield from self._read(entry, figures)

    def _read(self, entry: Entry, figures: Figures) -> Iterable[tuple[Series, float]]:
        name, pod = entry.node.name, entry.pod.uid
        for (family, labels), value in _usage(figures).items():
            yield series(f"vpc_cni_node_{family}", node=name, **dict(labels)), value
        several = is_on(entry.env, node_figures.MULTI_NIC)
        if figures.introspected and figures.mode != "ipv6" and not several:
            drift = self.ledger.bodies.drift(pod)
            yield series("vpc_cni_node_drift_ip_addresses", node=name), drift
        if figures.attached is not None and pod in self.told.drift:
            ec2_drift = self.told.drift[pod]
            yield series("vpc_cni_node_ec2_drift_ip_addresses", node=name), ec2_drift
        errors = self.ledger.errors(entry.node.uid)
        stuck = self._stuck(entry, figures)
        for reason in blocked_books.reasons(stuck, errors, self.told):
            yield series("vpc_cni_node_blocked", node=name, reason=reason), 1

    def _branches(self, node: Node) -> int | None:
        """Return the branch ENIs of a node; none of one that offers none and has none."""
        if self.told.branches is None:
            return None
        count = self.told.branches.get(node.instance_id, 0)
        return count if count or node.machine.pod_eni else None

    def _stuck(self, entry: Entry, figures: Figures) -> Stuck:
        node = entry.node
        kind = self.told.types.get(node.machine.instance_type)
        return Stuck(
            figures=figures,
            release=Release.of(entry.pod.version),
            env=entry.env,
            nitro=kind is None or kind.hypervisor != "xen",
            max_pods=node.machine.max_pods,
            pods=node.host_network_pods + (self._branches(node) or 0),
            home=self.told.homes.get(node.instance_id, ""),
            pods_in=entry.pods_in,
            zone=node.machine.zone,
        )


def entries(cluster: Cluster, ledger: Ledger) -> list[Entry]:
    """Judge every expected node as it is now."""
    return [_entry(cluster, ledger, node) for node in cluster.expected]


def samples(cluster: Cluster, ledger: Ledger, told: Ec2Told = NOTHING) -> Samples:
    """Return all samples of the truth, by metric name, as far as EC2 told."""
    return Books(cluster, ledger, told).samples()


def ambiguous(cluster: Cluster, ledger: Ledger) -> dict[str, list[str]]:
    """Name the unread nodes for which more than one reason is right."""
    judged = entries(cluster, ledger)
    return {e.node.name: list(e.reasons) for e in judged if len(e.reasons) > 1}


def _entry(cluster: Cluster, ledger: Ledger, node: Node) -> Entry:
    facts = None
    reasons = _reasons(node)
    if not reasons:
        assert node.process is not None
        facts = node.process.page().facts
        if facts.gauges is None:
            facts, reasons = None, REASONS[Fault.MISSING_FAMILY]
        elif facts.gauges.total < facts.gauges.assigned:
            facts, reasons = None, ("inconsistent",)
    young = cluster.clock() - int(node.created) < YOUNG_SECONDS
    if reasons and young and reasons[0] in _YOUTH_EXCUSES:
        reasons = ("starting",)
    env = cluster.env(node)
    if facts is None or node.target is None:
        return Entry(node, None, reasons, env)
    return Entry(
        node,
        facts,
        reasons,
        env,
        body=ledger.bodies.standing(node.target.uid),
        trunk=bool(node.machine.pod_eni) or _TRUNK in cluster.cni_nodes.get(node.name, ()),
        pods_in=_pods_in(cluster, node, release=Release.of(node.target.version)),
    )


def _reasons(node: Node) -> tuple[str, ...]:
    target = node.target
    if target is None:
        return ("no_pod",)
    if target.phase is Phase.PENDING:
        return ("pending",)
    if node.foreign_address:
        return ("refused_address",)
    if node.fault is not None:
        return REASONS[node.fault]
    return () if node.serving is not None else ("unreachable",)


def _pods_in(cluster: Cluster, node: Node, *, release: Release) -> str:
    """Return the subnet that custom networking names for a node's pods."""
    env = cluster.env(node)
    if not is_on(env, node_figures.CUSTOM_NETWORKING):
        return ""
    around = Surroundings(env, node_labels(node), cluster.eni_configs)
    return cluster.eni_configs.get(chosen_eni_config(around, release), "")


def _columns(told: list[Figures]) -> dict[Series, list[float]]:
    columns: dict[Series, list[float]] = {name: [] for name in _COLUMNS}
    for figures in told:
        for name, value in _usage(figures).items():
            columns[name].append(value)
    return columns


_ASSIGNED = series("ip_addresses", state="assigned")
_WARM = series("ip_addresses", state="warm")
_COOLDOWN = series("ip_addresses", state="cooldown")
_CAPACITY = series("ip_capacity")
_ENIS = series("enis")
_ENI_CAPACITY = series("eni_capacity")
_PREFIXES = series("delegated_prefixes")
_COLUMNS = (_ASSIGNED, _WARM, _COOLDOWN, _CAPACITY, _ENIS, _ENI_CAPACITY, _PREFIXES)


def _usage(figures: Figures) -> dict[Series, float]:
    found: dict[Series, float | None] = {
        _ASSIGNED: figures.assigned,
        _WARM: figures.warm,
        _COOLDOWN: figures.cooldown,
        _CAPACITY: figures.capacity,
        _ENIS: figures.enis,
        _ENI_CAPACITY: figures.eni_capacity,
        _PREFIXES: figures.prefixes,
    }
    return {name: value for name, value in found.items() if value is not None}


def _zone(entry: Entry) -> str:
    return entry.node.machine.zone or "none"


def _nodegroup(entry: Entry) -> str:
    return entry.node.machine.group or "none"
