"""The first board to open: is the cluster safe, where is it not, until when, and why."""

from __future__ import annotations

from dataclasses import replace

from scripts.grafana.board import Board
from scripts.grafana.panels import (
    GREEN,
    NONE_IS_GOOD,
    ORANGE,
    RED,
    RUNS_OUT,
    UTILIZATION,
    Column,
    Look,
    Query,
    Row,
    gauges,
    series,
    stat,
    table,
)
from scripts.grafana.promql import (
    NODE,
    RECENT,
    SUBNET,
    among,
    join,
    last,
    or_none,
    rise,
    subnets,
)

_NODES = last("cluster_nodes", "state")
_OURS = last("subnet_role", "subnet_id", role="~node|pod")
_UTILIZATION = among(last("subnet_utilization_ratio"), SUBNET, _OURS)
_REFUSED = rise("cluster_ip_assignment_failures_total", over=RECENT)
_HEALTH = f"sum({last('cluster_health_issues')} or {last('addon_health_issues')})"

_ANSWERS = (
    stat(
        "Fullest subnet",
        "The share of the usable addresses that is not free, in the fullest subnet that nodes "
        "or pods are in. Runbook: VpcCniSubnetLow, VpcCniSubnetNearlyFull, "
        "VpcCniSubnetExhausted.",
        f"max({_UTILIZATION})",
        Look("percentunit", UTILIZATION, decimals=0),
    ),
    stat(
        "First runs out in",
        "Time until nothing is left for pods in the subnet that ends first, if free addresses "
        "go on falling as evenly as they do. None is in sight where none falls evenly, or for "
        "the first hour of the exporter. Runbook: VpcCniSubnetExhaustionPredicted.",
        f"min({last('subnet_exhaustion_seconds')})",
        Look("s", RUNS_OUT, decimals=1),
        none="not in sight",
    ),
    stat(
        "Pods that still fit",
        "Pods that the nodes there are still have addresses and places for, all clusters "
        "chosen together. Runbook: VpcCniNodeAtCapacity.",
        f"sum({last('cluster_pod_headroom')})",
        Look("locale", ((None, RED), (1, ORANGE), (30, GREEN)), decimals=0),
    ),
    stat(
        "Blocked nodes",
        "Nodes that cannot give one more pod an address now; why is told below. Needs series "
        "of nodes (`node_metrics`). Runbook: VpcCniPodsNotGettingAddresses.",
        or_none(f"count(count by ({NODE.key}) ({last('node_blocked')}))", _NODES),
        Look("locale", NONE_IS_GOOD, decimals=0),
    ),
    stat(
        f"Refused in {RECENT}",
        "Requests for a pod's address that ipamd had nothing for, retries counted again, in "
        f"the last {RECENT}. A few are a scale-out; many are pods that do not start. Runbook: "
        "VpcCniPodsNotGettingAddresses.",
        f"sum({_REFUSED})",
        Look("locale", ((None, GREEN), (1, ORANGE), (50, RED)), decimals=0),
    ),
    stat(
        "Nodes read",
        "The share of the expected nodes that were read: sums leave the others out. Runbook: "
        "VpcCniCoverageLow.",
        f"sum({last('cluster_nodes', state='read')}) / sum({_NODES})",
        Look("percentunit", ((None, RED), (0.8, ORANGE), (0.95, GREEN)), decimals=0),
    ),
    stat(
        "Room for an upgrade",
        "Whether EKS finds the addresses that an upgrade of the control plane takes, in two "
        "zones of the subnets it was given. Runbook: VpcCniControlPlaneSubnetsLow.",
        f"min({last('cluster_upgrade_addresses_ready')})",
        Look(steps=((None, RED), (1, GREEN)), texts={"0": "too little", "1": "ready"}),
        none="EKS not asked",
    ),
    stat(
        "Health issues",
        "What EKS says is wrong with the cluster or its add-ons; the codes are on the board of "
        "the exporter. Runbook: VpcCniClusterDegraded, VpcCniAddonDegraded.",
        _HEALTH,
        Look(steps=NONE_IS_GOOD, decimals=0),
        none="EKS not asked",
    ),
)
# All in one line, in the order in which one asks.
_SAFE = Row("Am I safe?", tuple(replace(it, width=3) for it in _ANSWERS))
_TOTAL = Look("locale", decimals=0)
_LEFT = replace(_TOTAL, steps=((None, RED), (1, ORANGE), (30, "text")))
_WHERE = Row(
    "Where?",
    (
        replace(
            table(
                "Subnets, fullest first",
                "The subnets that nodes or pods are in. Free ones inside prefix reservations are "
                "not counted as free, nor as used. Whole free /28 blocks matter where prefix "
                "delegation is on. More of each is on the board of the subnets. Runbook: "
                "VpcCniSubnetLow, VpcCniFreePrefixesLow.",
                (
                    join(f"({_UTILIZATION})", SUBNET, subnets(), "subnet, zone"),
                    among(last("subnet_free_ip_addresses"), SUBNET, _OURS),
                    among(
                        f"sum by ({SUBNET.key}) "
                        f"({last('subnet_prefix_blocks', state='~free|free_reserved')})",
                        SUBNET,
                        _OURS,
                    ),
                    among(last("subnet_exhaustion_seconds"), SUBNET, _OURS),
                ),
                (
                    Column("Cluster", "cluster", width=80),
                    Column("Subnet", "subnet"),
                    Column("Zone", "zone"),
                    Column(
                        "Used",
                        "#A",
                        Look("percentunit", UTILIZATION, decimals=0, top=1),
                        "gauge",
                    ),
                    Column("Free", "#B", _LEFT, "color-text", 80),
                    Column("Free /28", "#C", _TOTAL, width=80),
                    Column("Runs out in", "#D", Look("s", RUNS_OUT, 1), "color-text", 110),
                ),
                "Used",
            ),
            width=14,
        ),
        replace(
            table(
                "Zones",
                "Pods that have an address, pods that still fit, and what stops the next one after "
                "those. A zone that is full keeps its pods pending whatever the others have. "
                "Runbook: VpcCniNodeAtCapacity.",
                (
                    last("zone_pod_headroom_limit"),
                    last("zone_pod_headroom"),
                    last("zone_ip_addresses", state="assigned"),
                    f"sum by (cluster, zone) ({last('zone_nodes')})",
                ),
                (
                    Column("Cluster", "cluster", width=80),
                    Column("Zone", "zone"),
                    Column("Nodes", "#D", _TOTAL, width=70),
                    Column("Pods", "#C", _TOTAL, width=70),
                    Column("More fit", "#B", _LEFT, "color-text", 80),
                    Column("Then stops", "limit", width=110),
                ),
                "-More fit",
            ),
            width=10,
        ),
    ),
)
_WHEN = Row(
    "Until when?",
    (
        replace(
            series(
                "Used share of subnets",
                "The share of the usable addresses that is not free, in each subnet that nodes or "
                "pods are in. Runbook: VpcCniSubnetLow, VpcCniSubnetExhaustionPredicted.",
                (Query(join(f"({_UTILIZATION})", SUBNET, subnets(), "subnet"), "{{subnet}}"),),
                Look("percentunit", UTILIZATION, decimals=0, top=1),
            ),
            width=12,
        ),
        replace(
            series(
                "Addresses of pods",
                "Addresses attached to the nodes that were read, by state. Warm ones wait "
                "for pods, and are taken from the subnets all the same. Runbook: "
                "VpcCniWarmPoolWasteful.",
                (
                    Query(
                        f"sum by (state) ({last('cluster_ip_addresses')})",
                        "{{state}}",
                    ),
                ),
                Look("locale", decimals=0),
                stacked=True,
            ),
            width=12,
        ),
    ),
)
_BLOCKED = f"sort_desc(count by (reason) ({last('node_blocked')}))"
_WHY = Row(
    "Why?",
    (
        replace(
            gauges(
                "What blocks nodes",
                "Blocked nodes by reason; a node may have several. Each reason has its cure in the "
                "runbook: VpcCniPodsNotGettingAddresses.",
                Query(_BLOCKED, "{{reason}}"),
                Look("locale", NONE_IS_GOOD, decimals=0),
            ),
            width=12,
        ),
        replace(
            series(
                "Failed calls of AWS by ipamd",
                "How many there were, by AWS's own error code. Runbook: "
                "VpcCniEC2AllocationErrors, VpcCniEC2Throttled.",
                (
                    Query(
                        f"sum by (error) ({rise('cluster_aws_api_errors_total')}) > 0",
                        "{{error}}",
                    ),
                ),
                Look("locale", decimals=0),
            ),
            width=12,
        ),
    ),
)
BOARD = Board(
    "vpc-cni-overview",
    "VPC CNI / Overview",
    "Pod IP addresses of EKS clusters: am I safe, where am I not, until when, and why.",
    (_SAFE, _WHERE, _WHEN, _WHY),
)
