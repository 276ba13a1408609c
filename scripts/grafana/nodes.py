"""The board of the nodes: which are blocked, which waste, and which differ from the others."""

from __future__ import annotations

from dataclasses import replace

from scripts.grafana.board import NODEGROUP, ZONE, Board
from scripts.grafana.panels import (
    BLUE,
    GREEN,
    NONE_IS_GOOD,
    ORANGE,
    RED,
    Column,
    Look,
    Query,
    Row,
    bars,
    gauges,
    series,
    stat,
    table,
)
from scripts.grafana.promql import NODE, among, join, last, nodes, or_none

_CHOSEN = nodes(zone="~$zone", nodegroup="~$nodegroup")
_MOST = 25


def _of(value: str, labels: str = "zone, nodegroup") -> str:
    return join(value, NODE, _CHOSEN, labels)


def _chosen(value: str) -> str:
    return among(value, NODE, _CHOSEN)


def _count(those: str) -> str:
    return or_none(f"count({those})", _CHOSEN)


_ASSIGNED = last("node_ip_addresses", state="assigned")
_WARM = last("node_ip_addresses", state="warm")
_COOLDOWN = last("node_ip_addresses", state="cooldown")
_ATTACHED = f"sum by ({NODE.key}) ({last('node_ip_addresses')})"
_ROOM = last("node_pod_headroom")
_LACKING = last("node_pod_headroom_limit", "node", limit="~eni|prefix|subnet")
# Pods that need an address of their own, at most.
_PLACES = f"{last('node_max_pods')} - on ({NODE.key}) {last('node_host_network_pods')}"
# Addresses and pods that come and go while one looks.
TOLERATED = 2
_DRIFTS = ("node_drift_ip_addresses", "node_ec2_drift_ip_addresses")
_DRIFT = f"({' or '.join(f'abs({last(it)}) > {TOLERATED}' for it in _DRIFTS)})"
_BRANCHES = f"{last('node_pod_enis')} / on ({NODE.key}) ({last('node_pod_eni_capacity')} > 0)"
_TOTAL = Look("locale", decimals=0)

_NOW = Row(
    "What is wrong?",
    (
        stat(
            "Nodes that were not read",
            "Expected nodes among those chosen whose ipamd did not answer; sums leave them out. "
            "Runbook: VpcCniCoverageLow.",
            _count(_chosen(f"({last('node_read')} < 1)")),
            Look("locale", NONE_IS_GOOD, decimals=0),
        ),
        stat(
            "Blocked nodes",
            "Nodes that cannot give one more pod an address now. Runbook: "
            "VpcCniPodsNotGettingAddresses.",
            _count(_chosen(f"count by ({NODE.key}) ({last('node_blocked')})")),
            Look("locale", NONE_IS_GOOD, decimals=0),
        ),
        stat(
            "Nodes out of addresses",
            "Nodes where not one more pod fits for want of addresses, and not because max-pods is "
            "reached, which is what a tight autoscaler does. Runbook: VpcCniNodeAtCapacity.",
            _count(_chosen(among(f"({_ROOM} < 1)", NODE, _LACKING))),
            Look("locale", NONE_IS_GOOD, decimals=0),
        ),
        stat(
            "Warm share",
            "Of the addresses attached to the nodes chosen, the share that no pod has. More than "
            "half is waste where a subnet is low. Runbook: VpcCniWarmPoolWasteful.",
            f"sum({_of(_WARM)}) / sum({_of(_ATTACHED)})",
            Look("percentunit", ((None, GREEN), (0.5, ORANGE)), decimals=0),
        ),
        stat(
            "More places than addresses",
            "Nodes whose max-pods lets the scheduler put more pods there than they can ever have "
            "addresses for, by more than two. Runbook: VpcCniMaxPodsAboveIPCapacity.",
            _count(
                _chosen(f"({_PLACES} - on ({NODE.key}) {last('node_ip_capacity')} > {TOLERATED})"),
            ),
            Look("locale", NONE_IS_GOOD, decimals=0),
        ),
        stat(
            "Nodes with drift",
            "Nodes where ipamd's books differ from its metrics or from what EC2 shows, by more "
            "than two addresses. Runbook: VpcCniDrift.",
            _count(_chosen(_DRIFT)),
            Look("locale", NONE_IS_GOOD, decimals=0),
        ),
    ),
)
_BLOCKED = Row(
    "Which are blocked, and where is the waste?",
    (
        table(
            "Blocked nodes and why",
            "A row for each reason of a node. Each reason has its cure in the runbook: "
            "VpcCniPodsNotGettingAddresses.",
            (_of(last("node_blocked"), "zone, nodegroup, instance_type"),),
            (
                Column("Cluster", "cluster", width=80),
                Column("Reason", "reason", width=150),
                Column("Node", "node", width=250),
                Column("Node group", "nodegroup"),
                Column("Zone", "zone", width=140),
                Column("Type", "instance_type", width=110),
            ),
            "-Reason",
        ),
        replace(
            bars(
                "Addresses by node group",
                "What the nodes hold. Warm addresses are taken from the subnets for pods to come: "
                "lower WARM_ENI_TARGET, or set WARM_IP_TARGET, where they are many. Runbook: "
                "VpcCniWarmPoolWasteful.",
                "nodegroup",
                {
                    "assigned": (f"sum by (nodegroup) ({_of(_ASSIGNED)})", "blue"),
                    "cooldown": (f"sum by (nodegroup) ({_of(_COOLDOWN)})", "purple"),
                    "warm": (f"sum by (nodegroup) ({_of(_WARM)})", "orange"),
                },
                "warm",
            ),
            height=8,
        ),
    ),
)
_WORST = f"topk({_MOST}, {_of(_WARM, 'zone, nodegroup, instance_type, ip_mode, cni_version')})"


def _among_worst(value: str) -> str:
    return among(value, NODE, f"topk({_MOST}, {_chosen(_WARM)})")


_OUTLIERS = Row(
    "Which stand out?",
    (
        replace(
            table(
                f"The {_MOST} nodes with the most warm addresses",
                "Places are what max-pods leaves beside the pods in the host's network. Drift is "
                "what ipamd holds less what EC2 shows: above 0 it hands out addresses that the "
                "node does not have. Runbook: VpcCniWarmPoolWasteful, VpcCniDrift, "
                "VpcCniNodeAtCapacity.",
                (
                    _WORST,
                    _among_worst(_ASSIGNED),
                    _among_worst(last("node_ip_capacity")),
                    _among_worst(f"({_PLACES})"),
                    _among_worst(_ROOM),
                    _among_worst(last("node_ec2_drift_ip_addresses")),
                ),
                (
                    Column("Cluster", "cluster", width=80),
                    Column("Node", "node", width=250),
                    Column("Node group", "nodegroup"),
                    Column("Zone", "zone", width=140),
                    Column("Type", "instance_type", width=120),
                    Column("Mode", "ip_mode", width=100),
                    Column("CNI", "cni_version", width=160),
                    Column("Warm", "#A", Look("locale", ((None, ORANGE),), 0), "gauge"),
                    Column("Assigned", "#B", _TOTAL, width=85),
                    Column("Capacity", "#C", _TOTAL, width=85),
                    Column("Places", "#D", _TOTAL, width=75),
                    Column(
                        "More fit",
                        "#E",
                        Look("locale", ((None, RED), (1, "text"))),
                        "color-text",
                        80,
                    ),
                    Column(
                        "Drift",
                        "#F",
                        Look("locale", ((None, ORANGE), (0, "text"), (1, RED))),
                        "color-text",
                        70,
                    ),
                ),
                "Warm",
            ),
            width=24,
            height=9,
        ),
    ),
)
_MORE = Row(
    "And over time?",
    (
        series(
            "Addresses of the nodes",
            "Addresses attached to the nodes chosen, by state. Warm ones that stay many are waste. "
            "Runbook: VpcCniWarmPoolWasteful.",
            (Query(f"sum by (state) ({_of(last('node_ip_addresses'))})", "{{state}}"),),
            _TOTAL,
            stacked=True,
        ),
        gauges(
            "Security groups for pods: branch ENIs used",
            "The nodes that have used the largest share of the branch ENIs they offer; at the end "
            "pods stay pending. Runbook: VpcCniPodENIsExhausted.",
            Query(f"topk(8, {_chosen(f'({_BRANCHES})')})", "{{node}}"),
            Look("percentunit", ((None, GREEN), (0.75, ORANGE), (0.9, RED)), decimals=0, top=1),
        ),
        gauges(
            "CNI versions",
            "Nodes by the release of aws-node that runs there; more than one for long is a rollout "
            "that stands still.",
            Query(
                f"sort_desc(count by (cni_version) ({_CHOSEN}))",
                "{{cni_version}}",
            ),
            Look(steps=BLUE, decimals=0),
        ),
    ),
)
BOARD = Board(
    "vpc-cni-nodes",
    "VPC CNI / Nodes",
    "Which nodes are blocked and why, which hold addresses that nobody uses, which differ.",
    (_NOW, _BLOCKED, _OUTLIERS, _MORE),
    (ZONE, NODEGROUP),
)
