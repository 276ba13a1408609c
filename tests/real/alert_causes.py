"""What each alert should be about, by the simulation's truth: an account of its own of what the
rules look for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass

from tests.real.alerting import Labels

Wanted = Mapping[str, Set[Labels]]
Row = tuple[Mapping[str, str], float]

_LIMITS = {"attachment_limit", "eni_limit", "ip_limit"}
_REFUSED = {
    "InsufficientCidrBlocks",
    "InsufficientFreeAddressesInSubnet",
    "NetworkInterfaceLimitExceeded",
}
_FAILED = {"DEGRADED", "CREATE_FAILED", "UPDATE_FAILED", "DELETE_FAILED"}
_PODS, _ANY = frozenset({"pod"}), frozenset({"pod", "node"})


@dataclass(frozen=True, slots=True)
class Truth:
    """One moment of one cluster, as the simulation knows it."""

    cluster: str
    samples: Mapping[str, list[Row]]

    def rows(self, name: str) -> list[Row]:
        """Return the samples of a metric, none where there are none."""
        return [(labels, value) for labels, value in self.samples.get(f"vpc_cni_{name}", [])]

    def by(self, label: str, name: str, **having: str) -> dict[str, float]:
        """Return the values of a metric by one of its labels, of those that have these labels."""
        wanted = having.items()
        return {it[label]: value for it, value in self.rows(name) if wanted <= it.items()}

    def labels(self, severity: str, **more: str) -> Labels:
        """Return the labels of an alert, as Alertmanager has them: an empty one is none."""
        told = {"cluster": self.cluster, "severity": severity, **more}
        return frozenset((name, value) for name, value in told.items() if value)

    def subnet(self, severity: str, id: str, **more: str) -> Labels:
        """Return the labels of an alert on a subnet."""
        (info,) = (it for it, _ in self.rows("subnet_info") if it["subnet_id"] == id)
        return self.labels(severity, subnet_id=id, name=info["name"], zone=info["zone"], **more)

    def subnets(self, severity: str, ids: Iterable[str], roles: Set[str] = _ANY) -> set[Labels]:
        """Return those of alerts on subnets that have one of these roles."""
        there = {it["subnet_id"] for it, _ in self.rows("subnet_role") if it["role"] in roles}
        return {self.subnet(severity, id) for id in ids if id in there}

    def node(self, id: str) -> dict[str, str]:
        """Return what alerts tell of a node."""
        (info,) = (it for it, _ in self.rows("node_info") if it["node"] == id)
        return {label: info[label] for label in ("nodegroup", "zone", "instance_type")}

    def whole(self, severity: str, holds: bool) -> set[Labels]:
        """Return those of an alert on the cluster, if it holds."""
        return {self.labels(severity)} if holds else set()


def wanted(told: Truth) -> Wanted:
    """Return what each alert should be about now, but for those that no figure of the truth is."""
    return {name: cause(told) for name, cause in _CAUSES.items()}


def all_of(wants: Iterable[Wanted]) -> Wanted:
    """Return what each alert is about in any of several worlds and moments."""
    found: dict[str, set[Labels]] = defaultdict(set)
    for want in wants:
        for name, labels in want.items():
            found[name] |= labels
    return found


def _filled(severity: str, above: float) -> Callable[[Truth], set[Labels]]:
    def cause(told: Truth) -> set[Labels]:
        taken = told.by("subnet_id", "subnet_utilization_ratio")
        return told.subnets(severity, (id for id, share in taken.items() if share > above))

    return cause


def _exhausted(told: Truth) -> set[Labels]:
    taken = told.by("subnet_id", "subnet_utilization_ratio")
    return told.subnets("critical", (id for id, share in taken.items() if share == 1))


def _control_plane(told: Truth) -> set[Labels]:
    return told.whole("warning", (_NOTHING, 0.0) in told.rows("cluster_upgrade_addresses_ready"))


def _prefixes(told: Truth) -> bool:
    return any(it["name"] == "ENABLE_PREFIX_DELEGATION" and it["value"] == "true"
               for it, _ in told.rows("setting"))  # fmt: skip


def _with_few_blocks(told: Truth, share: float) -> set[str]:
    """The subnets in which less than a share of the free and delegated blocks is free."""
    states = ("free", "free_reserved", "delegated")
    blocks = {it: told.by("subnet_id", "subnet_prefix_blocks", state=it) for it in states}
    free = {id: count + blocks["free_reserved"][id] for id, count in blocks["free"].items()}
    return {id for id, n in free.items() if n < share * max(1, n + blocks["delegated"][id])}


def _free_prefixes(told: Truth) -> set[Labels]:
    low = _with_few_blocks(told, 0.1)
    return told.subnets("warning", low, _PODS) if _prefixes(told) else set()


def _fragmented(told: Truth) -> set[Labels]:
    taken = told.by("subnet_id", "subnet_utilization_ratio")
    broken = told.by("subnet_id", "subnet_fragmentation_ratio")
    scattered = {id for id, share in broken.items() if share > 0.5 and taken[id] < 0.9}
    found = scattered & _with_few_blocks(told, 0.25)
    return told.subnets("warning", found, _PODS) if _prefixes(told) else set()


def _leaked(told: Truth) -> set[Labels]:
    rows = told.rows("leaked_enis")
    return {
        told.subnet("warning", it["subnet_id"], owner=it["owner"]) for it, count in rows if count
    }


def _residue(told: Truth) -> set[Labels]:
    sizes = told.by("subnet_id", "subnet_size")
    left = told.by("subnet_id", "subnet_accounting_residue_ip_addresses")
    return told.subnets("warning", (id for id, n in left.items() if abs(n) > 0.05 * sizes[id]))


def _not_getting(told: Truth) -> set[Labels]:
    failed = told.rows("cluster_ip_assignment_failures_total")
    return told.whole("critical", any(count for _, count in failed))


def _at_capacity(told: Truth) -> set[Labels]:
    full = told.by("node", "node_blocked", reason="max_pods")
    return {
        told.labels("info", **it, **told.node(it["node"]))
        for it, _ in told.rows("node_blocked")
        if it["reason"] in _LIMITS and it["node"] not in full
    }


def _max_pods(told: Truth) -> set[Labels]:
    host, room = (told.by("node", it) for it in ("node_host_network_pods", "node_ip_capacity"))
    branches = told.by("node", "node_pod_eni_capacity")
    found = set()
    for node, most in told.by("node", "node_max_pods").items():
        if node in room and most - host[node] - room[node] - branches.get(node, 0) > 2:
            info = told.node(node)
            del info["zone"]
            found.add(told.labels("warning", **info))
    return found


def _pod_enis(told: Truth) -> set[Labels]:
    taken, most = defaultdict[str, float](float), defaultdict[str, float](float)
    for metric, sums in (("node_pod_enis", taken), ("node_pod_eni_capacity", most)):
        for node, count in told.by("node", metric).items():
            sums[told.node(node)["nodegroup"]] += count
    full = (group for group, count in most.items() if count and taken[group] >= 0.9 * count)
    return {told.labels("warning", nodegroup=group) for group in full}


def _wasteful(told: Truth) -> set[Labels]:
    states = told.by("state", "cluster_ip_addresses")
    taken = told.by("subnet_id", "subnet_utilization_ratio")
    low = told.subnets("info", (id for id, share in taken.items() if share > 0.75), _PODS)
    return told.whole("info", states["warm"] > 0.5 * sum(states.values()) and bool(low))


def _drift(told: Truth) -> set[Labels]:
    sides = (("page", "node_drift_ip_addresses"), ("ec2", "node_ec2_drift_ip_addresses"))
    return {
        told.labels("warning", node=node, against=against)
        for against, name in sides
        for node, count in told.by("node", name).items()
        if abs(count) > 2
    }


def _throttled(told: Truth) -> set[Labels]:
    rows = told.rows("cluster_aws_api_errors_total")
    calls = sum(count for it, count in rows if it["error"] == "RequestLimitExceeded")
    return told.whole("warning", calls > THROTTLED)


def _refused(told: Truth) -> set[Labels]:
    errors = {it["error"] for it, count in told.rows("cluster_aws_api_errors_total") if count}
    return {told.labels("critical", error=error) for error in errors & _REFUSED}


def _addons(told: Truth) -> set[Labels]:
    ill = {it["addon"] for it, count in told.rows("addon_health_issues") if count}
    ill |= {it["addon"] for it, _ in told.rows("addon_info") if it["status"] in _FAILED}
    return {told.labels("warning", addon=addon) for addon in ill}


def _health(told: Truth) -> set[Labels]:
    issues = told.by("code", "cluster_health_issues").items()
    return {told.labels("warning", code=code) for code, count in issues if count}


def _coverage(told: Truth) -> set[Labels]:
    read = told.by("state", "cluster_nodes")["read"]
    unread = sum(n for it, n in told.rows("cluster_unread_nodes") if it["reason"] != "starting")
    return told.whole("warning", read < COVERED * (read + unread))


# What the test sets other than the chart does; why is said there.
THROTTLED, COVERED = 5, 0.75
_NOTHING: Mapping[str, str] = {}
_CAUSES: Mapping[str, Callable[[Truth], set[Labels]]] = {
    "VpcCniSubnetLow": _filled("warning", 0.85),
    "VpcCniSubnetNearlyFull": _filled("critical", 0.95),
    "VpcCniSubnetExhausted": _exhausted,
    "VpcCniControlPlaneSubnetsLow": _control_plane,
    "VpcCniFreePrefixesLow": _free_prefixes,
    "VpcCniSubnetFragmented": _fragmented,
    "VpcCniLeakedENIs": _leaked,
    "VpcCniAccountingResidue": _residue,
    "VpcCniPodsNotGettingAddresses": _not_getting,
    "VpcCniNodeAtCapacity": _at_capacity,
    "VpcCniMaxPodsAboveIPCapacity": _max_pods,
    "VpcCniPodENIsExhausted": _pod_enis,
    "VpcCniWarmPoolWasteful": _wasteful,
    "VpcCniDrift": _drift,
    "VpcCniEC2Throttled": _throttled,
    "VpcCniEC2AllocationErrors": _refused,
    "VpcCniAddonDegraded": _addons,
    "VpcCniClusterDegraded": _health,
    "VpcCniCoverageLow": _coverage,
}
