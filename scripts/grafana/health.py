"""The board of the exporter: whether what the other boards show can be believed."""

from __future__ import annotations

from dataclasses import replace

from scripts.grafana.board import Board
from scripts.grafana.panels import (
    GREEN,
    NONE_IS_GOOD,
    ORANGE,
    RED,
    Column,
    Look,
    Query,
    Row,
    gauges,
    series,
    stat,
    table,
)
from scripts.grafana.promql import RECENT, last, least, or_none, rate, rise

_NODES = last("cluster_nodes", "state")
_UP = least("exporter_source_up")
# The others are watched, and have no news while nothing happens.
_READ = "~ipamd|ec2_subnets|ec2_enis|eks|cloudwatch"
_AGE = f"time() - {last('exporter_last_success_timestamp_seconds', source=_READ)}"
_TOOK = last("exporter_cycle_duration_seconds")
_FAILED = rise("exporter_aws_requests_total", over=RECENT, outcome="~throttled|refused|failed")
_TOTAL = Look("locale", decimals=0)
_OLD = ((None, GREEN), (1800, ORANGE), (3600, RED))

_NOW = Row(
    "Can I believe the other boards?",
    (
        stat(
            "Nodes read",
            "The share of the expected nodes that were read in the latest cycle. Runbook: "
            "VpcCniCoverageLow.",
            f"sum({last('cluster_nodes', state='read')}) / sum({_NODES})",
            Look("percentunit", ((None, RED), (0.8, ORANGE), (0.95, GREEN)), decimals=0),
        ),
        stat(
            "Sources down",
            "Sources whose latest attempt failed, at any replica; which ones is told below. "
            "Runbook: VpcCniExporterSourceDown.",
            or_none(f"count({_UP} < 1)", _UP),
            Look("locale", NONE_IS_GOOD, decimals=0),
            none="no exporter",
        ),
        stat(
            "Oldest news",
            "Time since the source that was read longest ago was read with success; EKS is read "
            "every 15 minutes (`eks_interval`). Runbook: "
            "VpcCniExporterSourceDown.",
            f"max({_AGE})",
            Look("s", _OLD, decimals=0),
        ),
        stat(
            "Slowest collection",
            "How long the source took that takes longest.",
            f"max({_TOOK})",
            Look("s", ((None, GREEN), (10, ORANGE), (30, RED)), decimals=1),
        ),
        stat(
            f"AWS said no in {RECENT}",
            "Requests of this exporter that AWS throttled, refused or failed. Runbook: "
            "VpcCniExporterSourceDown.",
            f"sum({_FAILED})",
            Look("locale", NONE_IS_GOOD, decimals=0),
        ),
        stat(
            "Exporters",
            "Exporters that answer, over all clusters chosen. None is an alarm. Runbook: "
            "VpcCniExporterDown.",
            'count(vpc_cni_exporter_build_info{cluster=~"$cluster"})',
            Look("locale", ((None, RED), (1, GREEN)), decimals=0),
            none="0",
        ),
    ),
)
_SOURCES = Row(
    "What is missing?",
    (
        table(
            "Sources",
            "What is read, whether the latest attempt succeeded, how long ago one did, and how "
            "long it took; what is watched has no such time. What is switched off is not "
            "here. Runbook: VpcCniExporterSourceDown.",
            (_UP, _AGE, _TOOK),
            (
                Column("Cluster", "cluster", width=80),
                Column("Source", "source"),
                Column(
                    "State",
                    "#A",
                    Look("locale", ((None, RED), (1, GREEN)), texts={"0": "down", "1": "up"}),
                    "color-background",
                    90,
                ),
                Column("Read before", "#B", Look("s", _OLD, 0), "color-text", 120),
                Column("Took", "#C", Look("s", decimals=2), width=100),
            ),
            "-State",
        ),
        replace(
            series(
                "Nodes that were not read, by reason",
                "How many of the expected nodes the figures leave out. Runbook: VpcCniCoverageLow.",
                (
                    Query(
                        f"sum by (reason) ({last('cluster_unread_nodes')}) > 0",
                        "{{reason}}",
                    ),
                ),
                _TOTAL,
                stacked=True,
            ),
            width=12,
            height=8,
        ),
    ),
)
_AWS = Row(
    "What does it ask?",
    (
        series(
            "Requests to AWS by outcome",
            "How many the exporter sends in a second. Runbook: VpcCniExporterSourceDown.",
            (
                Query(
                    f"sum by (outcome) ({rate('exporter_aws_requests_total')})",
                    "{{outcome}}",
                ),
            ),
            Look("reqps"),
        ),
        series(
            "Reads of nodes that failed",
            "How many reads ended without figures, by reason. Runbook: VpcCniCoverageLow.",
            (
                Query(
                    f"sum by (reason) ({rise('exporter_target_failures_total')}) > 0",
                    "{{reason}}",
                ),
            ),
            _TOTAL,
        ),
        series(
            "Points for CloudWatch by what became of them",
            "Only where the exporter publishes to CloudWatch. Rejected and dropped ones are lost.",
            (
                Query(
                    f"sum by (outcome) ({rise('exporter_cloudwatch_points_total')})",
                    "{{outcome}}",
                ),
            ),
            _TOTAL,
        ),
    ),
)
_EKS = Row(
    "What does EKS say?",
    (
        replace(
            table(
                "Add-ons",
                "What is installed, and the newest version for the cluster's version of "
                "Kubernetes. Runbook: VpcCniAddonDegraded.",
                (last("addon_info"),),
                (
                    Column("Cluster", "cluster", width=80),
                    Column("Add-on", "addon"),
                    Column("Status", "status"),
                    Column("Version", "version"),
                    Column("Newest", "latest_version"),
                ),
                "Status",
            ),
            width=16,
            height=6,
        ),
        replace(
            gauges(
                "Health issues by code",
                "Of the cluster and its add-ons, as EKS tells them. Runbook: "
                "VpcCniClusterDegraded, VpcCniAddonDegraded.",
                Query(
                    f"{last('cluster_health_issues')} > 0 or {last('addon_health_issues')} > 0",
                    "{{addon}} {{code}}",
                ),
                Look("locale", NONE_IS_GOOD, decimals=0),
            ),
            height=6,
        ),
    ),
)
BOARD = Board(
    "vpc-cni-exporter",
    "VPC CNI / Exporter",
    "Whether the exporter reads what it should, so that the other boards can be believed.",
    (_NOW, _SOURCES, _AWS, _EKS),
)
