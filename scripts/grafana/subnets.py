"""The board of the subnets: who holds their addresses, what is whole, and when they end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from exporter.core.owners import Use
from exporter.core.prefixes import BlockState
from scripts.grafana.board import SUBNET_ZONE, Board, Variable
from scripts.grafana.panels import (
    BLUE,
    GREEN,
    GREY,
    NONE_IS_GOOD,
    ORANGE,
    RED,
    RUNS_OUT,
    UTILIZATION,
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
from scripts.grafana.promql import SUBNET, join, last, or_none, subnets

# Every use of an address under what it means for who looks; each in one.
HOLDERS: Mapping[str, tuple[str, tuple[Use, ...]]] = {
    "pods": ("blue", (Use.POD_ASSIGNED, Use.POD_BRANCH, Use.POD_UNKNOWN, Use.FARGATE)),
    "warm for pods": ("light-blue", (Use.POD_WARM, Use.POD_COOLDOWN)),
    "nodes": ("purple", (Use.NODE_PRIMARY, Use.NODE_UNMANAGED)),
    "others": (
        "orange",
        (
            Use.EKS_CONTROL_PLANE,
            Use.OTHER_CLUSTER,
            Use.LOAD_BALANCER,
            Use.NAT_GATEWAY,
            Use.VPC_ENDPOINT,
            Use.LAMBDA,
            Use.DATABASE,
            Use.OTHER,
        ),
    ),
    "leaked, unexplained": ("red", (Use.LEAKED, Use.UNATTRIBUTED)),
    "reserved": (GREY, (Use.AWS_RESERVED, Use.EXPLICIT_RESERVED)),
    "free": ("green", (Use.FREE, Use.PREFIX_RESERVED_FREE)),
}
BLOCKS: Mapping[str, tuple[str, tuple[BlockState, ...]]] = {
    "delegated": ("blue", (BlockState.DELEGATED,)),
    "full": ("purple", (BlockState.FULL,)),
    "fragmented": ("orange", (BlockState.FRAGMENTED,)),
    "reserved": (GREY, (BlockState.RESERVED,)),
    "free": ("green", (BlockState.FREE, BlockState.FREE_RESERVED)),
}
_OTHERS = (*HOLDERS["others"][1], *HOLDERS["leaked, unexplained"][1])
_CHOSEN = subnets("~$zone", "~$subnet")


def _named(value: str, labels: str = "subnet, zone") -> str:
    return join(value, SUBNET, _CHOSEN, labels)


def _regex(states: tuple[Use, ...] | tuple[BlockState, ...]) -> str:
    return "~" + "|".join(it.value for it in states)


_FREE = _named(last("subnet_free_ip_addresses"))
_BLOCKS = f"sum by ({SUBNET.key}) ({last('subnet_prefix_blocks', state='~free|free_reserved')})"
_LEAKED = f"sum by ({SUBNET.key}) ({last('leaked_enis')})"
_RESIDUE = (
    f"abs({last('subnet_accounting_residue_ip_addresses')}) "
    f"/ on ({SUBNET.key}) {last('subnet_size')}"
)
# Of the types in use the one that fits least often.
_ROOM = f"min by ({SUBNET.key}) ({last('subnet_node_headroom')})"
_TOTAL = Look("locale", decimals=0)
_LEFT = Look("locale", ((None, RED), (1, ORANGE), (30, "text")), decimals=0)

_NOW = Row(
    "What is left?",
    (
        stat(
            "Free addresses",
            "What EC2 says is available in the subnets chosen. Runbook: VpcCniSubnetLow.",
            f"sum({_FREE})",
            _LEFT,
        ),
        stat(
            "Free /28 blocks",
            "Whole aligned blocks, those inside prefix reservations too: what prefix delegation "
            "can still take. Runbook: VpcCniFreePrefixesLow.",
            f"sum({_named(_BLOCKS)})",
            replace(_LEFT, steps=((None, "text"),)),
        ),
        stat(
            "First one runs out in",
            "Time until nothing is left for pods, if free addresses go on falling as evenly as "
            "they do. Runbook: VpcCniSubnetExhaustionPredicted.",
            f"min({_named(last('subnet_exhaustion_seconds'))})",
            Look("s", RUNS_OUT, decimals=1),
            none="not in sight",
        ),
        stat(
            "Subnets too full for a node",
            "Subnets of nodes where no node of one of the types in use could start and get its "
            "addresses. Runbook: VpcCniSubnetBelowNodeMinimum.",
            or_none(f"count({_named(_ROOM)} < 1)", last("subnet_info", "subnet_id")),
            Look("locale", NONE_IS_GOOD, decimals=0),
        ),
        stat(
            "Leaked ENIs",
            "ENIs that the CNI made, that nothing has been attached to for ten minutes, and that "
            "hold addresses. Runbook: VpcCniLeakedENIs.",
            f"sum({_named(_LEAKED)})",
            Look("locale", NONE_IS_GOOD, decimals=0),
        ),
        stat(
            "Unexplained share",
            "Addresses that are used by EC2's count and held by no ENI that is visible here, as in "
            "shared subnets, or the other way round: of the subnet with the largest share. "
            "Runbook: VpcCniAccountingResidue.",
            f"max({_named(_RESIDUE)})",
            Look("percentunit", ((None, GREEN), (0.05, ORANGE)), decimals=0),
        ),
    ),
)
_WHO = Row(
    "Who holds what?",
    (
        bars(
            "Addresses by holder",
            "Every address of each subnet. Warm ones can be had back by lower warm targets.",
            "subnet",
            {
                holder: (
                    "sum by (subnet) "
                    f"({_named(last('subnet_ip_addresses', use=_regex(uses)), 'subnet')})",
                    color,
                )
                for holder, (color, uses) in HOLDERS.items()
            },
            "-free",
        ),
        replace(
            bars(
                "/28 blocks by state",
                "Only a free block can become a prefix. Fragmented ones have free addresses, and "
                "scattered used ones among them. Runbook: VpcCniSubnetFragmented.",
                "subnet",
                {
                    name: (
                        "sum by (subnet) "
                        f"({_named(last('subnet_prefix_blocks', state=_regex(states)), 'subnet')})",
                        color,
                    )
                    for name, (color, states) in BLOCKS.items()
                },
                "-free",
            ),
            width=7,
        ),
        replace(
            gauges(
                "Held by others, in all",
                "Addresses that neither this cluster's pods nor its nodes hold, by what does.",
                Query(
                    "sort_desc(sum by (use) "
                    f"({_named(last('subnet_ip_addresses', use=_regex(_OTHERS)))}) > 0)",
                    "{{use}}",
                ),
                Look(steps=BLUE, decimals=0),
            ),
            width=5,
            height=9,
        ),
    ),
)
_EVERY = Row(
    "Which one hurts?",
    (
        replace(
            table(
                "Subnets, fullest first",
                "Whatever the subnet is for. Free ones inside prefix reservations are not counted "
                "as free, nor as used. Nodes fit: how many more of the type that fits least. "
                "Fragmented: the share of the free addresses that no free /28 has. Runbook: "
                "VpcCniSubnetLow, VpcCniSubnetFragmented, VpcCniSubnetBelowNodeMinimum.",
                (
                    _named(last("subnet_utilization_ratio"), "subnet, zone, cidr"),
                    _FREE,
                    _named(_BLOCKS),
                    _named(last("subnet_fragmentation_ratio")),
                    _named(last("subnet_exhaustion_seconds")),
                    _named(_ROOM),
                    _named(_LEAKED),
                ),
                (
                    Column("Cluster", "cluster", width=80),
                    Column("Subnet", "subnet"),
                    Column("Id", "subnet_id"),
                    Column("Zone", "zone"),
                    Column("CIDR", "cidr"),
                    Column(
                        "Used", "#A", Look("percentunit", UTILIZATION, decimals=0, top=1), "gauge"
                    ),
                    Column("Free", "#B", _LEFT, "color-text", 80),
                    Column("Free /28", "#C", _TOTAL, width=80),
                    Column("Fragmented", "#D", Look("percentunit", decimals=0), width=100),
                    Column("Runs out in", "#E", Look("s", RUNS_OUT, 1), "color-text", 110),
                    Column(
                        "Nodes fit",
                        "#F",
                        Look("locale", ((None, RED), (1, ORANGE), (3, "text"))),
                        "color-text",
                        90,
                    ),
                    Column(
                        "Leaked",
                        "#G",
                        Look("locale", ((None, "text"), (1, ORANGE))),
                        "color-text",
                        80,
                    ),
                ),
                "Used",
            ),
            width=24,
            height=9,
        ),
    ),
)
_WHEN = Row(
    "Until when?",
    (
        series(
            "Free addresses",
            "What EC2 says is available in each subnet. Runbook: VpcCniSubnetLow.",
            (Query(_FREE, "{{subnet}}"),),
            _TOTAL,
        ),
        series(
            "Free /28 blocks",
            "Whole aligned blocks, those inside prefix reservations too. Runbook: "
            "VpcCniFreePrefixesLow.",
            (Query(_named(_BLOCKS), "{{subnet}}"),),
            _TOTAL,
        ),
        series(
            "Runs out in",
            "Time until nothing is left for pods, of the subnets whose free addresses fall evenly. "
            "Runbook: VpcCniSubnetExhaustionPredicted.",
            (Query(_named(last("subnet_exhaustion_seconds")), "{{subnet}}"),),
            Look("s"),
        ),
    ),
)
_SUBNET = Variable(
    "subnet", "Subnet", 'vpc_cni_subnet_info{cluster=~"$cluster",zone=~"$zone"}', "subnet_id"
)
BOARD = Board(
    "vpc-cni-subnets",
    "VPC CNI / Subnets",
    "Who holds the addresses of each subnet, what is left whole, and when it ends.",
    (_NOW, _WHO, _EVERY, _WHEN),
    (SUBNET_ZONE, _SUBNET),
)
