"""The truth: the samples an exporter should publish of the world as it is, by published name.

Gauges come from the world, counters from the ledger of pages served. The exporter, which is held
against them, has no part in it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exporter.sim import setting_books
from exporter.sim.cluster import Cluster
from exporter.sim.facts import Gauges, Series, series
from exporter.sim.faults import REASONS, Fault
from exporter.sim.ledger import Ledger
from exporter.sim.nodes import Node, Phase

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
_PREFIX_DELEGATION = "ENABLE_PREFIX_DELEGATION"
_CUSTOM_NETWORKING = "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG"

Sample = tuple[dict[str, str], float]
Samples = dict[str, list[Sample]]


@dataclass(frozen=True, slots=True)
class Entry:
    """What the books say of one expected node: its counts, or why there are none."""

    node: Node
    gauges: Gauges | None
    reasons: tuple[str, ...]
    capacity: float | None
    mode: str = ""

    @property
    def reason(self) -> str:
        return self.reasons[0]


def entries(cluster: Cluster) -> list[Entry]:
    """Judge every expected node as it is now."""
    return [_entry(cluster, node) for node in cluster.expected]


def samples(cluster: Cluster, ledger: Ledger, homes: Mapping[str, str] | None = None) -> Samples:
    """Return all samples of the truth, by metric name; `homes` are the instances' subnets."""
    judged = entries(cluster)
    found: Samples = defaultdict(list)
    told = (*_everything(judged, ledger, homes or {}), *setting_books.rows(cluster.plan.env))
    for source, value in told:
        name, labels = source
        found[name].append((dict(labels), value))
    return dict(found)


def ambiguous(cluster: Cluster) -> dict[str, list[str]]:
    """Name the unread nodes for which more than one reason is right."""
    return {e.node.name: list(e.reasons) for e in entries(cluster) if len(e.reasons) > 1}


def _entry(cluster: Cluster, node: Node) -> Entry:
    gauges = None
    reasons = _reasons(node)
    if not reasons:
        assert node.process is not None
        gauges = node.process.page().facts.gauges
        if gauges is None:
            reasons = REASONS[Fault.MISSING_FAMILY]
        elif gauges.total < gauges.assigned:
            gauges, reasons = None, ("inconsistent",)
    young = cluster.clock() - int(node.created) < YOUNG_SECONDS
    if reasons and young and reasons[0] in _YOUTH_EXCUSES:
        reasons = ("starting",)
    if gauges is None:
        return Entry(node, None, reasons, None)
    capacity = _capacity(cluster, node, gauges=gauges)
    return Entry(node, gauges, reasons, capacity, _mode(gauges, cluster.plan.env))


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


def _capacity(cluster: Cluster, node: Node, *, gauges: Gauges) -> float | None:
    if not gauges.ip_max or not gauges.eni_max:
        return None
    custom = cluster.plan.env.get(_CUSTOM_NETWORKING) == "true"
    usable = gauges.eni_max - custom - bool(node.machine.pod_eni)
    return gauges.ip_max / gauges.eni_max * usable


def _everything(
    judged: list[Entry], ledger: Ledger, homes: Mapping[str, str]
) -> Iterable[tuple[Series, float]]:
    yield from _scope("cluster", {}, judged=judged)
    for scope, groups in (("zone", _by_zone(judged)), ("nodegroup", _by_nodegroup(judged))):
        for name, members in groups.items():
            yield from _scope(scope, {scope: name}, judged=members)
    for entry in judged:
        yield from _node(entry, ledger, homes)
    yield from ledger.gains().items()


def _scope(
    scope: str, labels: Mapping[str, str], *, judged: list[Entry]
) -> Iterable[tuple[Series, float]]:
    prefix = f"vpc_cni_{scope}_"
    read = [entry for entry in judged if entry.gauges is not None]
    yield series(f"{prefix}nodes", **labels, state="read"), len(read)
    yield series(f"{prefix}nodes", **labels, state="unread"), len(judged) - len(read)
    for reason in UNREAD_REASONS:
        count = sum(entry.gauges is None and entry.reason == reason for entry in judged)
        yield series(f"{prefix}unread_nodes", **labels, reason=reason), count
    if judged and not read:
        return
    for (name, extra), values in _columns(read).items():
        if values or not judged:
            yield series(prefix + name, **labels, **dict(extra)), sum(values)


def _columns(read: list[Entry]) -> dict[Series, list[float]]:
    columns: dict[Series, list[float]] = {name: [] for name in _COLUMNS}
    for entry in read:
        for name, value in _usage(entry).items():
            columns[name].append(value)
    return columns


_ASSIGNED = series("ip_addresses", state="assigned")
_WARM = series("ip_addresses", state="warm")
_CAPACITY = series("ip_capacity")
_ENIS = series("enis")
_ENI_CAPACITY = series("eni_capacity")
_PREFIXES = series("delegated_prefixes")
_COLUMNS = (_ASSIGNED, _WARM, _CAPACITY, _ENIS, _ENI_CAPACITY, _PREFIXES)


def _usage(entry: Entry) -> dict[Series, float]:
    gauges = entry.gauges
    assert gauges is not None
    found: dict[Series, float | None] = {
        _ASSIGNED: gauges.assigned,
        # An IPv6 prefix is 2^48 addresses, of which no warm ones can be told.
        _WARM: gauges.total - gauges.assigned if gauges.ip_max else None,
        _CAPACITY: entry.capacity,
        _ENIS: gauges.enis,
        _ENI_CAPACITY: gauges.eni_max,
        _PREFIXES: gauges.prefixes,
    }
    return {name: value for name, value in found.items() if value is not None}


def _by_zone(judged: list[Entry]) -> dict[str, list[Entry]]:
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in judged:
        groups[entry.node.machine.zone or "none"].append(entry)
    return groups


def _by_nodegroup(judged: list[Entry]) -> dict[str, list[Entry]]:
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in judged:
        groups[entry.node.machine.group or "none"].append(entry)
    return groups


def _node(entry: Entry, ledger: Ledger, homes: Mapping[str, str]) -> Iterable[tuple[Series, float]]:
    node, name = entry.node, entry.node.name
    target = node.target
    yield (
        series(
            "vpc_cni_node_info",
            node=name,
            instance_id=node.instance_id,
            instance_type=node.machine.instance_type,
            zone=node.machine.zone or "none",
            nodegroup=node.machine.group or "none",
            subnet_id=homes.get(node.instance_id, ""),
            cni_version=target.version if target is not None else "",
            ip_mode=entry.mode,
        ),
        1,
    )
    yield series("vpc_cni_node_read", node=name), int(entry.gauges is not None)
    yield series("vpc_cni_node_max_pods", node=name), node.machine.max_pods
    yield series("vpc_cni_node_host_network_pods", node=name), node.host_network_pods
    failures = ledger.failures(node.uid)
    yield series("vpc_cni_node_ip_assignment_failures_total", node=name), failures
    if entry.gauges is not None:
        for (family, labels), value in _usage(entry).items():
            yield series(f"vpc_cni_node_{family}", node=name, **dict(labels)), value


def _mode(gauges: Gauges, env: Mapping[str, str]) -> str:
    if not gauges.ip_max:
        return "ipv6"
    if not gauges.total:
        return "prefix" if env.get(_PREFIX_DELEGATION) == "true" else "secondary"
    if not gauges.prefixes:
        return "secondary"
    return "prefix" if gauges.total == 16 * gauges.prefixes else "mixed"
