"""METRICS: every published metric, one row each; nothing else is ever published.

A row says what a metric is called, what it means and how to read it off a report. Everything
that must agree with it (the exposition, docs/METRICS.md, rules, dashboards) is derived or tested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from functools import partial
from typing import Generic, Protocol, TypeVar

from exporter.core import cni_settings, counters
from exporter.core.counters import Family
from exporter.core.eks import Addon, EksCluster, EksReport
from exporter.core.health import (
    AWS_OPERATIONS,
    AWS_OUTCOMES,
    Health,
    PointOutcome,
    Source,
    SourceHealth,
)
from exporter.core.model import BlockedBy, IpMode, Reason
from exporter.core.report import Report, Totals
from exporter.core.subnets import SubnetUsage
from exporter.core.upgrade import addresses_ready
from exporter.core.usage import NodeUsage, Usage

PREFIX = "vpc_cni"

Whole = TypeVar("Whole")
Row = TypeVar("Row")
Member = TypeVar("Member", bound=StrEnum)
# (suffix of the metric's name, values of the extra labels, value)
Sample = tuple[str, tuple[str, ...], float]
Labelled = Mapping[tuple[str, ...], float | None]


class Kind(Enum):
    """The metric's type in both exposition formats."""

    GAUGE = "gauge"
    COUNTER = "counter"
    SUMMARY = "summary"


class Unit(Enum):
    """What a value counts: the name's last word, and the unit in Grafana."""

    COUNT = ("", "short")
    BOOLEAN = ("", "bool")
    INFO = ("_info", "none")
    TOTAL = ("_total", "short")
    RATIO = ("_ratio", "percentunit")
    SECONDS = ("_seconds", "s")
    TIMESTAMP = ("_timestamp_seconds", "dateTimeFromNow")

    @property
    def suffix(self) -> str:
        """How the names of metrics in this unit end."""
        return self.value[0]

    @property
    def grafana(self) -> str:
        """The unit of a Grafana panel that shows the metric."""
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Scope(Generic[Row]):
    """A level of detail: the labels that tell its rows apart, and their values."""

    name: str
    labels: tuple[str, ...]
    key: Callable[[Row], tuple[str, ...]]


class Measure(Enum):
    """What one point on CloudWatch is: the last reading, a counter's gain, or a statistic set."""

    GAUGE = "last reading"
    GAIN = "gain"
    TIMINGS = "statistic set"


# Whatever has a dimension more is billed once per value; zones, groups and nodes stay out.
_CLOUDWATCH_SCOPES = ("cluster", "subnet", "legacy")
_MEASURES = {Kind.COUNTER: Measure.GAIN, Kind.SUMMARY: Measure.TIMINGS}


@dataclass(frozen=True, slots=True)
class OnCloudWatch:
    """One metric on CloudWatch; `twin` names what Prometheus has of it, empty where nothing."""

    name: str
    measure: Measure
    help: str
    twin: str

    @property
    def unit(self) -> str:
        """Its unit on CloudWatch, which its name ends with; what has none is a Count."""
        return next((it for it in ("Percent", "Milliseconds") if self.name.endswith(it)), "Count")


@dataclass(frozen=True, slots=True)
class CloudWatchMetric(OnCloudWatch, Generic[Row]):
    """How one metric on CloudWatch is read off a row: of a counter, what it has reached."""

    value: Callable[[Row], float | None]


@dataclass(frozen=True, slots=True)
class Metric(Generic[Row]):
    """One published metric; `samples` reads it off one row of its scope.

    `value` says the same where there is one sample at most, `by_label` where only further labels
    tell the samples apart: nearly all are one or the other, and quicker to draw.
    `cloudwatch` are its names on CloudWatch, each with the values of its last label that are
    summed there, none where all are.
    """

    name: str
    scope: Scope[Row]
    kind: Kind
    unit: Unit
    help: str
    samples: Callable[[Row], Iterable[Sample]]
    labels: tuple[str, ...]
    value: Callable[[Row], float | None] | None = None
    by_label: Callable[[Row], Labelled] | None = None
    cloudwatch: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def on_cloudwatch(self, **names: str) -> Metric[Row]:
        """Return the metric with names on CloudWatch: `name="value,value"`, `name=""` for all."""
        if self.scope.name not in _CLOUDWATCH_SCOPES:
            return self
        named = [(name, tuple(filter(None, values.split(",")))) for name, values in names.items()]
        return replace(self, cloudwatch=tuple(named))

    def for_cloudwatch(self) -> Iterable[CloudWatchMetric[Row]]:
        """Yield what CloudWatch has of this metric."""
        measure = _MEASURES.get(self.kind, Measure.GAUGE)
        scale = 100.0 if self.unit is Unit.RATIO else 1.0
        for name, values in self.cloudwatch:
            parts = [f'{self.name}{{{self.labels[-1]}="{value}"}}' for value in values]
            value = partial(self._summed, values, scale)
            twin = " + ".join(parts) or self.name
            yield CloudWatchMetric(name, measure, self.help, twin, value)

    def _summed(self, values: tuple[str, ...], scale: float, row: Row) -> float | None:
        found = [it for _, key, it in self.samples(row) if not values or key[-1] in values]
        return sum(found) * scale if found else None


def gauge(
    name: str,
    scope: Scope[Row],
    value: Callable[[Row], float | None],
    *,
    help: str,
    unit: Unit = Unit.COUNT,
) -> Metric[Row]:
    """Return a metric with one sample per row, absent where the value is None.

    In the unit of totals it is a counter.
    """

    def samples(row: Row) -> Iterable[Sample]:
        found = value(row)
        return () if found is None else (("", (), found),)

    full = _full(scope, name, unit)
    return Metric(full, scope, _kind(unit), unit, help, samples, scope.labels, value=value)


def labelled(
    spec: str,
    scope: Scope[Row],
    values: Callable[[Row], Labelled],
    *,
    help: str,
    unit: Unit = Unit.COUNT,
) -> Metric[Row]:
    """Return a metric `name{label,label}`: a sample per value of its labels, absent where None."""
    name, _, labels = spec.rstrip("}").partition("{")
    names = scope.labels + (tuple(labels.split(",")) if labels else ())

    def samples(row: Row) -> Iterable[Sample]:
        return [("", key, found) for key, found in values(row).items() if found is not None]

    full, kind = _full(scope, name, unit), _kind(unit)
    return Metric(full, scope, kind, unit, help, samples, names, by_label=values)


def _kind(unit: Unit) -> Kind:
    return Kind.COUNTER if unit is Unit.TOTAL else Kind.GAUGE


def _full(scope: Scope[Row], name: str, unit: Unit) -> str:
    return "_".join(filter(None, (PREFIX, scope.name, name))) + unit.suffix


CLUSTER: Scope[Usage] = Scope("cluster", (), lambda _: ())
ZONE: Scope[Usage] = Scope("zone", ("zone",), lambda row: (row.name,))
NODEGROUP: Scope[Usage] = Scope("nodegroup", ("nodegroup",), lambda row: (row.name,))
TOTALS: Scope[Totals] = Scope("cluster", (), lambda _: ())
NODE: Scope[NodeUsage] = Scope("node", ("node",), lambda row: (row.target.node.name,))
SUBNET: Scope[SubnetUsage] = Scope("subnet", ("subnet_id",), lambda row: (row.subnet.id,))
# Leaks are told apart like subnets, but are not a property of one.
LEAKS = replace(SUBNET, name="")
ALL_SUBNETS: Scope[tuple[SubnetUsage, ...]] = Scope("cluster", (), lambda _: ())
EKS_CLUSTER: Scope[EksCluster] = Scope("cluster", (), lambda _: ())
ADDON: Scope[Addon] = Scope("addon", ("addon",), lambda row: (row.name,))
SETTING: Scope[Totals] = Scope("setting", (), lambda _: ())
EXPORTER: Scope[Health] = Scope("exporter", (), lambda _: ())
LEGACY: Scope[Usage] = Scope("legacy", (), lambda _: ())


def _by_state(row: Usage | NodeUsage) -> Labelled:
    return {("assigned",): row.assigned, ("warm",): row.warm, ("cooldown",): row.cooldown}


def _headroom(row: Usage | NodeUsage) -> int | None:
    return None if row.headroom is None else row.headroom.pods


def _limit(row: Usage | NodeUsage) -> Labelled:
    return {} if row.headroom is None else {(row.headroom.limit.value,): 1}


def _headroom_metrics(scope: Scope[Usage], where: str) -> tuple[Metric[Usage], ...]:
    """How many more pods fit at a level, and what stops the next."""
    return (
        gauge(
            "pod_headroom",
            scope,
            _headroom,
            help=f"Pods that still fit on the nodes{where}, when those with the most headroom are "
            "filled first. Nodes share the addresses of their subnets, so that headrooms do not "
            "add up. Nodes that were not read, or whose subnets EC2 did not tell, add nothing.",
        ),
        labelled(
            "pod_headroom_limit{limit}",
            scope,
            _limit,
            unit=Unit.BOOLEAN,
            help=f"What stops the next pod once the nodes{where} are filled: max_pods where none "
            "takes another one, else what most of those that do lack addresses for. Always 1.",
        ),
    )


def _coverage_metrics(scope: Scope[Usage], where: str) -> tuple[Metric[Usage], ...]:
    """How much of what is expected every sum over nodes stands for."""
    return (
        labelled(
            "nodes{state}",
            scope,
            lambda row: {("read",): row.read, ("unread",): sum(row.unread.values())},
            help=f"Nodes{where} expected to run aws-node, by whether they were read. The two "
            "states sum to the expected nodes; every sum stands for the nodes that were read.",
        ).on_cloudwatch(nodesExpected="", nodesRead="read"),
        labelled(
            "unread_nodes{reason}",
            scope,
            lambda row: {(reason.value,): count for reason, count in row.unread.items()},
            help=f"Expected nodes{where} that were not read, by reason.",
        ),
        gauge(
            "introspected_nodes",
            scope,
            lambda row: row.introspected,
            help=f"Nodes{where} that were read and whose figures come from ipamd's introspection: "
            "those that `cooldown` stands for.",
        ),
    )


def _usage_metrics(scope: Scope[Usage], where: str) -> tuple[Metric[Usage], ...]:
    """The same figures at every level that sums over nodes."""
    return (
        *_coverage_metrics(scope, where),
        labelled(
            "ip_addresses{state}",
            scope,
            _by_state,
            help=f"Pod IP addresses attached to the nodes{where}, by state: assigned to a pod, "
            "cooldown (freed so lately that ipamd keeps them back; of the introspected nodes "
            "alone), or warm (all others, those in cooldown on other nodes too). Nodes in IPv6 "
            "mode, and those not introspected that manage several network cards, tell assigned "
            "addresses alone.",
        ).on_cloudwatch(
            assignIPAddresses="assigned",
            totalAssignedIPv4sPerCidr="assigned",
            warmIPAddresses="warm",
        ),
        gauge(
            "ip_capacity",
            scope,
            lambda row: row.capacity,
            help=f"IP addresses that the nodes{where} could attach for pods at most. Nodes in "
            "IPv6 mode have none.",
        ).on_cloudwatch(maxIPAddresses=""),
        gauge(
            "enis",
            scope,
            lambda row: row.enis,
            help=f"ENIs that ipamd manages on the nodes{where}, without branch ENIs.",
        ).on_cloudwatch(eniAllocated=""),
        gauge(
            "eni_capacity",
            scope,
            lambda row: row.eni_capacity,
            help=f"ENIs that the nodes{where} could have at most, without unmanaged ones.",
        ).on_cloudwatch(eniMaxAvailable=""),
        gauge(
            "delegated_prefixes",
            scope,
            lambda row: row.prefixes,
            help=f"Prefixes delegated to the nodes{where}: /28s, or /80s in IPv6 mode.",
        ),
        *_headroom_metrics(scope, where),
    )


def _info(totals: Totals) -> Labelled:
    identity = totals.identity
    key = (identity.cluster, identity.region, identity.vpc_id, identity.kubernetes_version)
    return {key: 1}


# Every node has some, and an enumeration is slow to tell its values.
_REASONS = {reason: (reason.value,) for reason in BlockedBy}


def _node_info(row: NodeUsage) -> Labelled:
    node, pod = row.target.node, row.target.pod
    key = (
        node.instance_id,
        node.instance_type,
        row.zone,
        row.nodegroup,
        row.subnet_id,
        pod.cni_version if pod else "",
        row.ip_mode.value,
    )
    return {key: 1}


_NODE_METRICS: tuple[Metric[NodeUsage], ...] = (
    labelled(
        "{instance_id,instance_type,zone,nodegroup,subnet_id,cni_version,ip_mode}",
        NODE,
        _node_info,
        unit=Unit.INFO,
        help="What is known of an expected node, empty where unknown. ip_mode is one of "
        f"{', '.join(mode.value for mode in IpMode if mode)}. Always 1.",
    ),
    gauge(
        "read",
        NODE,
        lambda row: int(row.unread is None),
        unit=Unit.BOOLEAN,
        help="1 where the node's ipamd was read in the latest cycle, 0 where it was not.",
    ),
    labelled(
        "ip_addresses{state}",
        NODE,
        _by_state,
        help="Pod IP addresses attached to the node, by state: assigned to a pod, cooldown (freed "
        "so lately that ipamd keeps them back), or warm (all others). They sum to the addresses "
        "attached. Without introspection of the node cooldown is absent and part of warm.",
    ),
    gauge(
        "drift_ip_addresses",
        NODE,
        lambda row: row.drift,
        help="Addresses that ipamd holds by its introspection less those that its metrics page "
        "tells, as far as the latest two comparisons agree. Other than 0 the page is wrong, as "
        "after an ENI was removed behind ipamd's back. Absent without introspection, in IPv6 mode "
        "and with several managed network cards.",
    ),
    gauge(
        "ec2_drift_ip_addresses",
        NODE,
        lambda row: row.ec2_drift,
        help="Addresses that ipamd holds for pods less those that EC2 shows on the ENIs it "
        "manages, as far as the latest two readings of the ENIs agree. Above 0 ipamd hands out "
        "addresses that the node does not have, below 0 addresses lie idle. Absent where EC2 does "
        "not show the node, and in IPv6 mode.",
    ),
    gauge(
        "ip_capacity",
        NODE,
        lambda row: row.capacity,
        help="IP addresses the node could attach for pods at most: ENIs times addresses, less the "
        "trunk ENI's slot, ENIs excluded by their subnet's tag (where introspection tells) and, "
        "under custom networking, the primary ENI. With several managed network cards only known "
        "where EC2 tells how many the type has.",
    ),
    gauge(
        "enis",
        NODE,
        lambda row: row.enis,
        help="ENIs that ipamd manages on the node, trunk included, without branch ENIs.",
    ),
    gauge(
        "eni_capacity",
        NODE,
        lambda row: row.eni_capacity,
        help="ENIs the node could have at most, without unmanaged ones.",
    ),
    gauge(
        "delegated_prefixes",
        NODE,
        lambda row: row.prefixes,
        help="Prefixes delegated to the node: /28s, or /80s in IPv6 mode.",
    ),
    gauge(
        "max_pods",
        NODE,
        lambda row: row.target.node.max_pods,
        help="Pods that kubelet accepts on the node at most (status.capacity.pods).",
    ),
    gauge(
        "host_network_pods",
        NODE,
        lambda row: row.target.host_network_pods,
        help="Pods on the node that use the host's network and so need no pod IP address. Where "
        "these pods may not be listed, 2 are assumed: aws-node and kube-proxy.",
    ),
    gauge(
        "pod_headroom",
        NODE,
        _headroom,
        help="Pods that still fit on the node as long as no other node takes the addresses of its "
        "subnets; the headrooms of nodes do not add up. It counts what surely fits by the CNI's "
        "settings in force, with addresses that are in cooldown now.",
    ),
    labelled(
        "pod_headroom_limit{limit}",
        NODE,
        _limit,
        unit=Unit.BOOLEAN,
        help="What stops the next pod after those: max_pods; eni, the node's ENIs hold all that "
        "its type and the CNI's settings let them hold; subnet, the subnets have no addresses; or "
        "prefix, they have some but not as a whole /28. Always 1.",
    ),
    gauge(
        "pod_enis",
        NODE,
        lambda row: row.pod_enis,
        help="Branch ENIs of the node's pods (security groups for pods) by EC2's latest listing "
        "of ENIs. Each holds an address of its subnet, and none of those attached to the node. "
        "Absent where the node offers none and has none.",
    ),
    gauge(
        "pod_eni_capacity",
        NODE,
        lambda row: row.target.node.pod_eni_capacity,
        help="Branch ENIs that the node offers its pods at most (status.capacity of "
        "vpc.amazonaws.com/pod-eni).",
    ),
    labelled(
        "blocked{reason}",
        NODE,
        lambda row: {_REASONS[reason]: 1 for reason in row.blocked},
        unit=Unit.BOOLEAN,
        help="1 for every reason why the node cannot give one more pod an address; absent while "
        "a reason does not hold or is not known to. By errors of EC2 that its ipamd met in the "
        "last two minutes: subnet_exhausted, no_free_prefix, eni_limit, ip_limit, "
        "attachment_limit, throttled, and back_off, while ipamd waits after a full subnet. Where "
        "no address is warm also by what EC2 tells of its pods' subnets (subnet_exhausted, "
        "no_free_prefix), by the ENIs it can have (eni_limit), and by addresses that were just "
        "released (cooldown). max_pods: kubelet accepts no more.",
    ),
    gauge(
        "ip_assignment_failures",
        NODE,
        lambda row: int(row.assignment_failures),
        unit=Unit.TOTAL,
        help="Requests for a pod IP address that the node's ipamd could not serve because it had "
        "nothing to give, as far as this exporter saw them. Retries count again.",
    ),
)


def _by_member(counts: Mapping[Member, int] | None) -> Labelled:
    return {(member.value,): count for member, count in (counts or {}).items()}


_SUBNET_METRICS: tuple[Metric[SubnetUsage], ...] = (
    labelled(
        "{name,vpc_id,zone,zone_id,cidr}",
        SUBNET,
        lambda row: {
            (
                row.subnet.name,
                row.subnet.vpc_id,
                row.subnet.zone,
                row.subnet.zone_id,
                row.subnet.cidr,
            ): 1
        },
        unit=Unit.INFO,
        help="What is known of a subnet that this cluster uses or could use; `name` is its Name "
        "tag. Always 1.",
    ),
    labelled(
        "role{role}",
        SUBNET,
        lambda row: {(role.value,): 1 for role in row.roles},
        unit=Unit.BOOLEAN,
        help="What a subnet is for in this cluster: nodes or pods have addresses there, the EKS "
        "control plane has ENIs there, or the CNI may or must not place pods there by its tag. "
        "Always 1.",
    ),
    gauge("size", SUBNET, lambda row: row.size, help="All addresses of the subnet's CIDR."),
    gauge(
        "free_ip_addresses",
        SUBNET,
        lambda row: row.free,
        help="Addresses that EC2 says are available (AvailableIpAddressCount). Needs no listing "
        "of ENIs.",
    ).on_cloudwatch(subnetFreeIPs=""),
    gauge(
        "utilization",
        SUBNET,
        lambda row: row.utilization,
        unit=Unit.RATIO,
        help="The share of the addresses one can use (all but AWS's five) that is not free, "
        "neither freely nor reserved for prefixes.",
    ).on_cloudwatch(subnetUtilizationPercent=""),
    labelled(
        "ip_addresses{use}",
        SUBNET,
        lambda row: _by_member(row.uses),
        help="Every address of the subnet by what it is used for; the uses sum to its size. "
        "`unattributed` is used by EC2's count and held by no visible ENI. Absent where the "
        "subnet's ENIs could not all be read.",
    ),
    gauge(
        "accounting_residue_ip_addresses",
        SUBNET,
        lambda row: row.residue,
        help="The size less everything known, signed: above 0 where ENIs are not visible, below 0 "
        "where more is seen to be used than EC2 counts.",
    ),
    labelled(
        "prefix_blocks{state}",
        SUBNET,
        lambda row: _by_member(row.blocks),
        help="The subnet's aligned /28 blocks by state; they sum to its size by 16. Only a free "
        "block can become a prefix; `free_reserved` are free inside a prefix reservation, "
        "`reserved` lie in an explicit one.",
    ).on_cloudwatch(subnetFreePrefixes="free,free_reserved"),
    gauge(
        "fragmentation",
        SUBNET,
        lambda row: row.fragmentation,
        unit=Unit.RATIO,
        help="Of the free addresses, the share that no free /28 block contains, the first and the "
        "last block left out. Absent where nothing is free.",
    ),
    labelled(
        "node_headroom{instance_type}",
        SUBNET,
        lambda row: {(type,): count for type, count in row.node_headroom.items()},
        help="Nodes of a type in use that could still start in the subnet and get all addresses "
        "that the CNI wants for a node without pods, also from the pods' subnets. With prefixes "
        "every node is taken to break one free /28 by its own address, unless it lies beside a "
        "prefix reservation. Only for subnets that nodes are in.",
    ),
    labelled(
        "enis{owner}",
        SUBNET,
        lambda row: _by_member(row.enis),
        help="ENIs in the subnet by whose they are: the use of their primary address.",
    ),
    labelled(
        "leaked_enis{owner}",
        LEAKS,
        lambda row: _by_member(row.leaked),
        help="ENIs that the CNI made, that are attached to nothing for more than ten minutes, and "
        "that hold addresses of the subnet. `unknown` are those that no tag gives to a cluster.",
    ),
    gauge(
        "exhaustion",
        SUBNET,
        lambda row: row.exhaustion_seconds,
        unit=Unit.SECONDS,
        help="Seconds until nothing is left for pods, if free addresses go on falling as they did: "
        "by Theil-Sen over the latest hour (forecast_min_history) to six hours. Absent where they "
        "do not fall evenly, have recovered, or there is no such history yet.",
    ),
)

_ALL_SUBNETS_METRICS: tuple[Metric[tuple[SubnetUsage, ...]], ...] = (
    gauge(
        "upgrade_addresses_ready",
        ALL_SUBNETS,
        addresses_ready,
        unit=Unit.BOOLEAN,
        help="1 where EKS finds the addresses that an upgrade of the control plane takes: five "
        "free ones in the subnets that EKS was given, in each of two zones or more; 0 where not.",
    ),
)

_EKS_CLUSTER_METRICS: tuple[Metric[EksCluster], ...] = (
    labelled(
        "health_issues{code}",
        EKS_CLUSTER,
        lambda row: {(code,): count for code, count in row.issues.items()},
        help="Issues with the cluster's health that EKS tells of, by its code; those that the EKS "
        "API did not have when the exporter was released are `other`.",
    ),
)

_ADDON_METRICS: tuple[Metric[Addon], ...] = (
    labelled(
        "{version,status,latest_version}",
        ADDON,
        lambda row: {(row.version, row.status, row.latest): 1},
        unit=Unit.INFO,
        help="An installed EKS add-on, of vpc-cni, coredns, kube-proxy and adot: its version, its "
        "state, and the newest version for the cluster's version of Kubernetes, empty where "
        "unknown. Always 1.",
    ),
    gauge(
        "update_available",
        ADDON,
        lambda row: None if row.outdated is None else float(row.outdated),
        unit=Unit.BOOLEAN,
        help="1 where a newer version of the add-on works with the cluster's version of Kubernetes "
        "(which need not be EKS's default), 0 where not.",
    ),
    labelled(
        "health_issues{code}",
        ADDON,
        lambda row: {(code,): count for code, count in row.issues.items()},
        help="Issues with the add-on's health that EKS tells of, by its code; those that the EKS "
        "API did not have when the exporter was released are `other`.",
    ),
)


def _children(family: Family) -> Callable[[Totals], Labelled]:
    index = {
        child.values: counters.index_of(family, child.values) for child in counters.children(family)
    }
    return lambda totals: {values: totals.counts[i] for values, i in index.items()}


def _counter(name: str, family: Family, help: str) -> Metric[Totals]:
    labels = ",".join(label for label, _ in family.labels)
    spec = f"{name}{{{labels}}}" if labels else name
    return labelled(spec, TOTALS, _children(family), unit=Unit.TOTAL, help=help)


def _durations(totals: Totals) -> Iterable[Sample]:
    for child in counters.children(counters.AWS_API_MILLISECONDS):
        milliseconds = totals.counts[counters.index_of(child.family, child.values)]
        calls = counters.index_of(counters.AWS_API_TIMED_CALLS, child.values)
        yield "_sum", child.values, milliseconds / 1000
        yield "_count", child.values, totals.counts[calls]


def _numbers(totals: Totals) -> Labelled:
    return {(name,): cni_settings.number(name, it) for name, it in totals.settings.items()}


_SETTINGS: tuple[Metric[Totals], ...] = (
    labelled(
        "{name,value}",
        SETTING,
        lambda totals: {(name, value): 1 for name, value in totals.settings.items()},
        help="A setting of the CNI as the aws-node DaemonSet has it, of those that change what "
        "addresses mean; one that is not set has no sample. Always 1.",
    ),
    labelled(
        "value{name}",
        SETTING,
        _numbers,
        help="A setting of the CNI that is a whole number, as the aws-node DaemonSet has it.",
    ),
)

_CLUSTER_TOTALS: tuple[Metric[Totals], ...] = (
    labelled(
        "{cluster,region,vpc_id,kubernetes_version}",
        TOTALS,
        _info,
        unit=Unit.INFO,
        help="What tells this cluster from others, empty where unknown. Always 1.",
    ),
    _counter(
        "add_requests",
        counters.ADD_REQUESTS,
        "Requests of the CNI plugin to set up a pod's network, failed ones and retries included.",
    ).on_cloudwatch(addReqCount=""),
    _counter(
        "del_requests",
        counters.DEL_REQUESTS,
        "Requests of the CNI plugin to take down a pod's network; kubelet may repeat them.",
    ).on_cloudwatch(delReqCount=""),
    _counter(
        "ip_assignment_failures",
        counters.ASSIGNMENT_FAILURES,
        "Requests for a pod IP address that ipamd could not serve because it had nothing to give. "
        "Retries count again.",
    ).on_cloudwatch(noAvailableIPs=""),
    _counter(
        "ipamd_errors", counters.IPAMD_ERRORS, "Errors inside ipamd, by function."
    ).on_cloudwatch(ipamdErr=""),
    _counter(
        "aws_api_requests",
        counters.AWS_API_REQUESTS,
        "Calls of the EC2 API by ipamd, by operation (CNI v1.12.1 and later).",
    ).on_cloudwatch(ec2ApiReqCount=""),
    _counter(
        "aws_api_errors",
        counters.AWS_API_ERRORS,
        "Failed calls of AWS APIs by ipamd, by operation and AWS error code.",
    ).on_cloudwatch(awsAPIErr=""),
    Metric(
        f"{PREFIX}_cluster_aws_api_duration_seconds",
        TOTALS,
        Kind.SUMMARY,
        Unit.SECONDS,
        "Time that calls of AWS APIs by ipamd took, failed ones included, by operation.",
        _durations,
        ("api",),
    ).on_cloudwatch(awsAPILatency="", awsAPILatencyMilliseconds=""),
    _counter(
        "reconciles",
        counters.RECONCILES,
        "Differences between ipamd's books and EC2 that ipamd repaired, by kind.",
    ).on_cloudwatch(reconcileCount=""),
    _counter(
        "forced_eni_removals",
        counters.FORCED_ENI_REMOVALS,
        "ENIs that vanished from EC2 while pods used them.",
    ).on_cloudwatch(forceRemoveENI=""),
    _counter(
        "forced_ip_removals",
        counters.FORCED_IP_REMOVALS,
        "IP addresses or prefixes that vanished from EC2 while pods used them.",
    ).on_cloudwatch(forceRemoveIPs=""),
    _counter(
        "pod_eni_errors",
        counters.POD_ENI_ERRORS,
        "Errors while setting up security groups for pods, by function.",
    ).on_cloudwatch(podENIErr=""),
    _counter(
        "aws_utils_errors",
        counters.AWS_UTILS_ERRORS,
        "Errors while cleaning up after failed AWS calls, by function.",
    ).on_cloudwatch(awsUtilErr=""),
)


def _by_source(
    value: Callable[[SourceHealth], float | None],
) -> Callable[[Health], Labelled]:
    return lambda health: {
        (source.value,): value(state) for source, state in health.sources.items()
    }


# The source that stands for a service while it is switched on.
_SERVICES = {
    "ec2": Source.EC2_ENIS,
    "eks": Source.EKS,
    "cloudwatch": Source.CLOUDWATCH,
}


def _requests(health: Health) -> Labelled:
    return {
        (service, operation, outcome): health.aws_requests.get((service, operation, outcome), 0)
        for service, operation in AWS_OPERATIONS
        for outcome in AWS_OUTCOMES
        if _SERVICES[service] in health.sources
    }


def _points(health: Health) -> Labelled:
    return {
        (outcome.value,): health.points.get(outcome, 0)
        for outcome in PointOutcome
        if Source.CLOUDWATCH in health.sources
    }


_EXPORTER_METRICS: tuple[Metric[Health], ...] = (
    labelled(
        "build{version}",
        EXPORTER,
        lambda health: {(health.version,): 1},
        unit=Unit.INFO,
        help="The version of this exporter. Always 1.",
    ),
    labelled(
        "source_up{source}",
        EXPORTER,
        _by_source(lambda state: float(state.up)),
        unit=Unit.BOOLEAN,
        help="1 where the latest attempt to read the source succeeded. `kubernetes` are the "
        "aws-node pods, `pods` the hostNetwork pods of all namespaces, `reviews` what Kubernetes "
        "says of bearer tokens; `web_config` is 0 while that file cannot be used and what it said "
        "before is in force. `cloudwatch` is no source: 1 where the latest attempt to publish "
        "there succeeded. What is switched off, or was never asked, has no sample.",
    ),
    labelled(
        "last_success{source}",
        EXPORTER,
        _by_source(lambda state: state.last_success),
        unit=Unit.TIMESTAMP,
        help="When the source was last read, or CloudWatch took points, with success.",
    ),
    labelled(
        "cycle_duration{source}",
        EXPORTER,
        _by_source(lambda state: state.cycle_seconds),
        unit=Unit.SECONDS,
        help="How long the latest collection from the source took.",
    ),
    labelled(
        "aws_requests{service,operation,outcome}",
        EXPORTER,
        _requests,
        unit=Unit.TOTAL,
        help="Requests to AWS by this exporter, repeated ones each on its own, by how they ended: "
        "ok, throttled, refused for want of a permission or of credentials, or failed.",
    ),
    labelled(
        "cloudwatch_points{outcome}",
        EXPORTER,
        _points,
        unit=Unit.TOTAL,
        help="Points for CloudWatch by what became of them: accepted; rejected for what is in "
        "them; or dropped, gauges alone, as too old or too many while CloudWatch did not take "
        "them. `repeated` are those sent again because an answer was lost, so that CloudWatch may "
        "have them twice.",
    ),
    labelled(
        "target_failures{reason}",
        EXPORTER,
        lambda health: {
            (reason.value,): float(health.target_failures[reason]) for reason in Reason
        },
        unit=Unit.TOTAL,
        help="Reads of nodes that failed, by reason, since the exporter started.",
    ),
)


def _legacy(name: str, value: Callable[[Usage], float | None], what: str) -> Metric[Usage]:
    help = (
        f"{what}, summed over the nodes that were read, as cni-metrics-helper names it. Only with "
        "legacy_metrics: ipamd uses the same name, and a sum over both counts twice."
    )
    samples = gauge(name, LEGACY, value, help=help).samples
    return Metric(f"awscni_{name}", LEGACY, Kind.GAUGE, Unit.COUNT, help, samples, ())


_LEGACY_METRICS: tuple[Metric[Usage], ...] = (
    _legacy("assigned_ip_addresses", lambda row: row.assigned, "Addresses held by pods"),
    _legacy(
        "total_ip_addresses", lambda row: row.attached, "Addresses attached for pods"
    ).on_cloudwatch(totalIPAddresses=""),
    _legacy("eni_allocated", lambda row: row.enis, "ENIs attached"),
    _legacy("eni_max", lambda row: row.eni_capacity, "ENIs at most"),
    _legacy("ip_max", lambda row: row.capacity, "Addresses that could be attached at most"),
    _legacy("total_ipv4_prefixes", lambda row: row.prefixes, "Delegated prefixes"),
)


Key = tuple[str, ...]
# Names and values of labels -> their text, of what is always 1 the whole line; kept per row, since
# a row's labels hardly ever change.
LabelTexts = dict[tuple[Key, Key], str]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A table as it was last drawn: its rows, their keys, what is known of the labels of each, and
    of each metric the rows' texts, all in the same order."""

    rows: Sequence[object] = ()
    keys: Sequence[Key] = ()
    labels: Sequence[LabelTexts] = ()
    columns: Sequence[Sequence[str]] = ()

    def places(self, keys: Sequence[Key]) -> Sequence[int | None]:
        """Return where rows with these keys were, None for those that were not there."""
        if keys == self.keys:
            return range(len(keys))
        places = {key: place for place, key in enumerate(self.keys)}
        return [places.get(key) for key in keys]


@dataclass(frozen=True, slots=True)
class Changed(Generic[Row]):
    """Rows to be drawn, their keys, and what `texts` remember of their labels.

    `own` keeps, by names, the text of the rows' own labels for all metrics that add none.
    """

    rows: Sequence[Row]
    keys: Sequence[Key]
    texts: Sequence[LabelTexts]
    own: dict[Key, Sequence[str]] = field(default_factory=dict)


class Draw(Protocol):
    """Turns one metric of many rows into text."""

    def __call__(self, metric: Metric[Row], changed: Changed[Row]) -> Sequence[str]:
        """Return the lines of each row."""


@dataclass(frozen=True, slots=True)
class Table(Generic[Whole, Row]):
    """The metrics that are read off the same rows of a whole."""

    scope: Scope[Row]
    rows: Callable[[Whole], Iterable[Row]]
    metrics: tuple[Metric[Row], ...]

    def only(self, wanted: Callable[[str], bool]) -> Table[Whole, Row]:
        """Return the table without the metrics whose names are not wanted."""
        return replace(self, metrics=tuple(m for m in self.metrics if wanted(m.name)))

    def drawn(self, whole: Whole, draw: Draw, before: Drawn) -> Drawn:
        """Return every row as text; a row that did not change is not drawn again."""
        rows = list(self.rows(whole))
        keys = [self.scope.key(row) for row in rows]
        places = before.places(keys)
        labels = [{} if place is None else before.labels[place] for place in places]
        new = [
            at
            for at, (row, place) in enumerate(zip(rows, places, strict=True))
            if place is None or before.rows[place] != row
        ]
        changed = Changed(
            [rows[at] for at in new], [keys[at] for at in new], [labels[at] for at in new]
        )
        # Metric by metric: what is done per row and metric is what drawing costs.
        columns = [draw(metric, changed) for metric in self.metrics]
        if len(new) < len(rows):
            # What was drawn anew goes over whatever stands there.
            kept = [place or 0 for place in places]
            columns = [
                _overlaid(map(column.__getitem__, kept), new, texts)
                for column, texts in zip(before.columns, columns, strict=True)
            ]
        return Drawn(rows, keys, labels, columns)

    def described(self) -> tuple[tuple[str, Kind, str], ...]:
        """Return name, kind and help of each metric."""
        return tuple((m.name, m.kind, m.help) for m in self.metrics)


def _overlaid(column: Iterable[str], places: Iterable[int], texts: Iterable[str]) -> list[str]:
    """Return a column with other texts in some places."""
    whole = list(column)
    for place, text in zip(places, texts, strict=True):
        whole[place] = text
    return whole


ReportTable = Table[Report, Usage] | Table[Report, NodeUsage] | Table[Report, Totals]

_CLUSTER_TABLE: Table[Report, Usage] = Table(
    CLUSTER, lambda report: (report.cluster,), _usage_metrics(CLUSTER, "")
)
NODE_TABLE: Table[Report, NodeUsage] = Table(NODE, lambda report: report.nodes, _NODE_METRICS)
# Only the nodes that someone should look at, for clusters too large to keep a series per node.
PROBLEM_TABLE = replace(NODE_TABLE, rows=lambda report: report.problems)
LEGACY_TABLE = replace(_CLUSTER_TABLE, scope=LEGACY, metrics=_LEGACY_METRICS)
EXPORTER_METRICS = _EXPORTER_METRICS
TABLES: tuple[ReportTable, ...] = (
    Table(TOTALS, lambda report: (report.totals,), _CLUSTER_TOTALS),
    Table(SETTING, lambda report: (report.totals,), _SETTINGS),
    _CLUSTER_TABLE,
    Table(ZONE, lambda report: report.zones, _usage_metrics(ZONE, " of the zone")),
    Table(
        NODEGROUP, lambda report: report.nodegroups, _usage_metrics(NODEGROUP, " of the node group")
    ),
    NODE_TABLE,
)

SubnetTable = Table[tuple[SubnetUsage, ...], SubnetUsage]
SUBNET_TABLE: SubnetTable = Table(SUBNET, lambda subnets: subnets, _SUBNET_METRICS)
ALL_SUBNETS_TABLE: Table[tuple[SubnetUsage, ...], tuple[SubnetUsage, ...]] = Table(
    ALL_SUBNETS, lambda subnets: (subnets,), _ALL_SUBNETS_METRICS
)

EksTable = Table[EksReport, EksCluster] | Table[EksReport, Addon]
_EKS_CLUSTER_TABLE: Table[EksReport, EksCluster] = Table(
    EKS_CLUSTER,
    lambda report: () if report.cluster is None else (report.cluster,),
    _EKS_CLUSTER_METRICS,
)
EKS_TABLES: tuple[EksTable, ...] = (
    _EKS_CLUSTER_TABLE,
    Table(ADDON, lambda report: report.addons, _ADDON_METRICS),
)

# What CloudWatch has beside names of rows above: the incumbent's that Prometheus does not know.
_CLOUDWATCH_ALONE: tuple[CloudWatchMetric[Usage], ...] = (
    CloudWatchMetric(
        "totalIPv4Prefixes",
        Measure.GAUGE,
        "Prefixes delegated to the nodes, /28s alone.",
        f"{PREFIX}_cluster_delegated_prefixes",
        lambda row: row.ipv4_prefixes,
    ),
    CloudWatchMetric(
        "ipamdActionInProgress",
        Measure.GAUGE,
        "Actions of ipamd that were in progress when the nodes were read, such as filling a pool.",
        "",
        lambda row: row.actions,
    ),
    CloudWatchMetric(
        "coveragePercent",
        Measure.GAUGE,
        "The share of the expected nodes that were read. Absent where none is expected.",
        "",
        lambda row: 100.0 * row.read / row.expected if row.expected else None,
    ),
)
_EC2_API_FAILURES: CloudWatchMetric[Totals] = CloudWatchMetric(
    "ec2ApiErrCount",
    Measure.GAIN,
    "Failed calls of the EC2 API by ipamd, whatever the error (CNI v1.12.1 and later).",
    "",
    lambda row: row.counts[counters.index_of(counters.EC2_API_FAILURES, ())],
)


def _on_cloudwatch(metrics: Iterable[Metric[Row]]) -> tuple[CloudWatchMetric[Row], ...]:
    return tuple(it for metric in metrics for it in metric.for_cloudwatch())


CLOUDWATCH_GAUGES = (
    *_on_cloudwatch((*_CLUSTER_TABLE.metrics, *LEGACY_TABLE.metrics)),
    *_CLOUDWATCH_ALONE,
)
CLOUDWATCH_TOTALS = (*_on_cloudwatch(_CLUSTER_TOTALS), _EC2_API_FAILURES)
CLOUDWATCH_SUBNETS = _on_cloudwatch(_SUBNET_METRICS)
ON_CLOUDWATCH: tuple[OnCloudWatch, ...] = (
    *CLOUDWATCH_GAUGES,
    *CLOUDWATCH_TOTALS,
    *CLOUDWATCH_SUBNETS,
)

METRICS = (
    *(metric for table in TABLES for metric in table.metrics),
    *SUBNET_TABLE.metrics,
    *ALL_SUBNETS_TABLE.metrics,
    *(metric for table in EKS_TABLES for metric in table.metrics),
    *EXPORTER_METRICS,
    *LEGACY_TABLE.metrics,
)
