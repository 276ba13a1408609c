from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import TypeVar

import pytest

from exporter.core.catalog import (
    ALL_SUBNETS_TABLE,
    CLOUDWATCH_GAUGES,
    CLOUDWATCH_SUBNETS,
    CLOUDWATCH_TOTALS,
    EKS_TABLES,
    EXPORTER_METRICS,
    LEGACY_TABLE,
    METRICS,
    NODE_TABLE,
    ON_CLOUDWATCH,
    PROBLEM_TABLE,
    SUBNET_TABLE,
    TABLES,
    Changed,
    Draw,
    Drawn,
    Kind,
    Metric,
    ReportTable,
    Unit,
)
from exporter.core.counters import (
    ASSIGNMENT_FAILURES,
    AWS_API_ERRORS,
    AWS_API_MILLISECONDS,
    AWS_API_TIMED_CALLS,
    OTHER,
    SERIES,
    Series,
)
from exporter.core.eks import ADDON_ISSUES, CLUSTER_ISSUES, EksReport
from exporter.core.headroom import Headroom, Limit
from exporter.core.health import (
    AWS_OPERATIONS,
    AWS_OUTCOMES,
    Health,
    PointOutcome,
    Source,
    SourceHealth,
)
from exporter.core.model import Identity, Outcome, Reason, Target
from exporter.core.owners import ENI_OWNERS, Use
from exporter.core.report import Memory, Report, step
from exporter.core.subnets import Role, SubnetUsage
from tests.builders import (
    NOW,
    addon,
    books,
    eks_cluster,
    eks_report,
    held,
    node,
    pod,
    read,
    reading,
    report,
    snapshot,
    subnet_usage,
    target,
    unread,
    without_enis,
)

# Names, kinds and labels are an interface: whoever changes a line here renames someone's series.
INTERFACE = """
vpc_cni_cluster_info gauge cluster region vpc_id kubernetes_version
vpc_cni_cluster_add_requests_total counter
vpc_cni_cluster_del_requests_total counter reason
vpc_cni_cluster_ip_assignment_failures_total counter
vpc_cni_cluster_ipamd_errors_total counter fn
vpc_cni_cluster_aws_api_requests_total counter api
vpc_cni_cluster_aws_api_errors_total counter api error
vpc_cni_cluster_aws_api_duration_seconds summary api
vpc_cni_cluster_reconciles_total counter fn
vpc_cni_cluster_forced_eni_removals_total counter
vpc_cni_cluster_forced_ip_removals_total counter
vpc_cni_cluster_pod_eni_errors_total counter fn
vpc_cni_cluster_aws_utils_errors_total counter fn
vpc_cni_setting gauge name value
vpc_cni_setting_value gauge name
vpc_cni_cluster_nodes gauge state
vpc_cni_cluster_unread_nodes gauge reason
vpc_cni_cluster_introspected_nodes gauge
vpc_cni_cluster_ip_addresses gauge state
vpc_cni_cluster_ip_capacity gauge
vpc_cni_cluster_enis gauge
vpc_cni_cluster_eni_capacity gauge
vpc_cni_cluster_delegated_prefixes gauge
vpc_cni_cluster_pod_headroom gauge
vpc_cni_cluster_pod_headroom_limit gauge limit
vpc_cni_zone_nodes gauge zone state
vpc_cni_zone_unread_nodes gauge zone reason
vpc_cni_zone_introspected_nodes gauge zone
vpc_cni_zone_ip_addresses gauge zone state
vpc_cni_zone_ip_capacity gauge zone
vpc_cni_zone_enis gauge zone
vpc_cni_zone_eni_capacity gauge zone
vpc_cni_zone_delegated_prefixes gauge zone
vpc_cni_zone_pod_headroom gauge zone
vpc_cni_zone_pod_headroom_limit gauge zone limit
vpc_cni_nodegroup_nodes gauge nodegroup state
vpc_cni_nodegroup_unread_nodes gauge nodegroup reason
vpc_cni_nodegroup_introspected_nodes gauge nodegroup
vpc_cni_nodegroup_ip_addresses gauge nodegroup state
vpc_cni_nodegroup_ip_capacity gauge nodegroup
vpc_cni_nodegroup_enis gauge nodegroup
vpc_cni_nodegroup_eni_capacity gauge nodegroup
vpc_cni_nodegroup_delegated_prefixes gauge nodegroup
vpc_cni_nodegroup_pod_headroom gauge nodegroup
vpc_cni_nodegroup_pod_headroom_limit gauge nodegroup limit
vpc_cni_node_info gauge node instance_id instance_type zone nodegroup subnet_id cni_version ip_mode
vpc_cni_node_read gauge node
vpc_cni_node_ip_addresses gauge node state
vpc_cni_node_drift_ip_addresses gauge node
vpc_cni_node_ec2_drift_ip_addresses gauge node
vpc_cni_node_ip_capacity gauge node
vpc_cni_node_enis gauge node
vpc_cni_node_eni_capacity gauge node
vpc_cni_node_delegated_prefixes gauge node
vpc_cni_node_max_pods gauge node
vpc_cni_node_host_network_pods gauge node
vpc_cni_node_pod_headroom gauge node
vpc_cni_node_pod_headroom_limit gauge node limit
vpc_cni_node_pod_enis gauge node
vpc_cni_node_pod_eni_capacity gauge node
vpc_cni_node_blocked gauge node reason
vpc_cni_node_ip_assignment_failures_total counter node
vpc_cni_subnet_info gauge subnet_id name vpc_id zone zone_id cidr
vpc_cni_subnet_role gauge subnet_id role
vpc_cni_subnet_size gauge subnet_id
vpc_cni_subnet_free_ip_addresses gauge subnet_id
vpc_cni_subnet_utilization_ratio gauge subnet_id
vpc_cni_subnet_ip_addresses gauge subnet_id use
vpc_cni_subnet_accounting_residue_ip_addresses gauge subnet_id
vpc_cni_subnet_prefix_blocks gauge subnet_id state
vpc_cni_subnet_fragmentation_ratio gauge subnet_id
vpc_cni_subnet_node_headroom gauge subnet_id instance_type
vpc_cni_subnet_enis gauge subnet_id owner
vpc_cni_leaked_enis gauge subnet_id owner
vpc_cni_subnet_exhaustion_seconds gauge subnet_id
vpc_cni_cluster_upgrade_addresses_ready gauge
vpc_cni_cluster_health_issues gauge code
vpc_cni_addon_info gauge addon version status latest_version
vpc_cni_addon_update_available gauge addon
vpc_cni_addon_health_issues gauge addon code
vpc_cni_exporter_build_info gauge version
vpc_cni_exporter_source_up gauge source
vpc_cni_exporter_last_success_timestamp_seconds gauge source
vpc_cni_exporter_cycle_duration_seconds gauge source
vpc_cni_exporter_aws_requests_total counter service operation outcome
vpc_cni_exporter_cloudwatch_points_total counter outcome
vpc_cni_exporter_target_failures_total counter reason
awscni_assigned_ip_addresses gauge
awscni_total_ip_addresses gauge
awscni_eni_allocated gauge
awscni_eni_max gauge
awscni_ip_max gauge
awscni_total_ipv4_prefixes gauge
""".strip().splitlines()

Row = TypeVar("Row")

BLOCKS = 'vpc_cni_subnet_prefix_blocks{state="free"}'
# The same on CloudWatch: name, unit, what a point is, and the twin. Dashboards and alarms of
# cni-metrics-helper find its 20 names there, all of them Counts (reference 6.1).
CLOUDWATCH_INTERFACE = f"""
nodesExpected|Count|last reading|vpc_cni_cluster_nodes
nodesRead|Count|last reading|vpc_cni_cluster_nodes{{state="read"}}
assignIPAddresses|Count|last reading|vpc_cni_cluster_ip_addresses{{state="assigned"}}
totalAssignedIPv4sPerCidr|Count|last reading|vpc_cni_cluster_ip_addresses{{state="assigned"}}
warmIPAddresses|Count|last reading|vpc_cni_cluster_ip_addresses{{state="warm"}}
maxIPAddresses|Count|last reading|vpc_cni_cluster_ip_capacity
eniAllocated|Count|last reading|vpc_cni_cluster_enis
eniMaxAvailable|Count|last reading|vpc_cni_cluster_eni_capacity
totalIPAddresses|Count|last reading|awscni_total_ip_addresses
totalIPv4Prefixes|Count|last reading|vpc_cni_cluster_delegated_prefixes
ipamdActionInProgress|Count|last reading|
coveragePercent|Percent|last reading|
addReqCount|Count|gain|vpc_cni_cluster_add_requests_total
delReqCount|Count|gain|vpc_cni_cluster_del_requests_total
noAvailableIPs|Count|gain|vpc_cni_cluster_ip_assignment_failures_total
ipamdErr|Count|gain|vpc_cni_cluster_ipamd_errors_total
ec2ApiReqCount|Count|gain|vpc_cni_cluster_aws_api_requests_total
awsAPIErr|Count|gain|vpc_cni_cluster_aws_api_errors_total
awsAPILatency|Count|statistic set|vpc_cni_cluster_aws_api_duration_seconds
awsAPILatencyMilliseconds|Milliseconds|statistic set|vpc_cni_cluster_aws_api_duration_seconds
reconcileCount|Count|gain|vpc_cni_cluster_reconciles_total
forceRemoveENI|Count|gain|vpc_cni_cluster_forced_eni_removals_total
forceRemoveIPs|Count|gain|vpc_cni_cluster_forced_ip_removals_total
podENIErr|Count|gain|vpc_cni_cluster_pod_eni_errors_total
awsUtilErr|Count|gain|vpc_cni_cluster_aws_utils_errors_total
ec2ApiErrCount|Count|gain|
subnetFreeIPs|Count|last reading|vpc_cni_subnet_free_ip_addresses
subnetUtilizationPercent|Percent|last reading|vpc_cni_subnet_utilization_ratio
subnetFreePrefixes|Count|last reading|{BLOCKS} + {BLOCKS.replace("free", "free_reserved")}
""".strip().splitlines()
INCUMBENTS = (
    "assignIPAddresses",
    "totalIPAddresses",
    "totalIPv4Prefixes",
    "totalAssignedIPv4sPerCidr",
    "eniAllocated",
    "eniMaxAvailable",
    "maxIPAddresses",
    "awsAPILatency",
    "awsAPIErr",
    "awsUtilErr",
    "ipamdErr",
    "forceRemoveENI",
    "forceRemoveIPs",
    "ipamdActionInProgress",
    "reconcileCount",
    "addReqCount",
    "delReqCount",
    "podENIErr",
    "ec2ApiReqCount",
    "ec2ApiErrCount",
)

Published = dict[tuple[str, ...], float]


def recorded(drawing: Callable[[Draw], None]) -> Published:
    """Everything that is drawn: name and label values -> value."""
    found: Published = {}

    def record(metric: Metric[Row], changed: Changed[Row]) -> Sequence[str]:
        for row, key in zip(changed.rows, changed.keys, strict=True):
            samples = tuple(metric.samples(row))
            for suffix, extra, value in samples:
                assert len(key + extra) == len(metric.labels), metric.name
                assert (metric.name + suffix, *key, *extra) not in found, metric.name
                found[metric.name + suffix, *key, *extra] = value
            if metric.unit is Unit.INFO:
                # The drawing takes it for granted.
                assert {value for _, _, value in samples} <= {1}
            if metric.value is not None:
                told = metric.value(row)
                assert samples == (() if told is None else (("", (), told),))
            if metric.by_label is not None:
                values = metric.by_label(row).items()
                assert samples == tuple(("", key, it) for key, it in values if it is not None)
        return [""] * len(changed.rows)

    drawing(record)
    return found


def published(shown: Report, tables: tuple[ReportTable, ...] = TABLES) -> Published:
    """Everything a report publishes."""

    def drawing(draw: Draw) -> None:
        for table in tables:
            table.drawn(shown, draw, Drawn())

    return recorded(drawing)


def published_of(*subnets: SubnetUsage) -> Published:
    """Everything that is published of some subnets."""

    def drawing(draw: Draw) -> None:
        SUBNET_TABLE.drawn(subnets, draw, Drawn())
        ALL_SUBNETS_TABLE.drawn(subnets, draw, Drawn())

    return recorded(drawing)


def published_of_eks(told: EksReport) -> Published:
    """Everything that is published of what EKS told."""

    def drawing(draw: Draw) -> None:
        for table in EKS_TABLES:
            table.drawn(told, draw, Drawn())

    return recorded(drawing)


def beginning(prefix: str, found: Published) -> Published:
    return {key: value for key, value in found.items() if key[0].startswith(prefix)}


def about(name: str, found: Published) -> Published:
    return {key[1:]: value for key, value in found.items() if key[0] == name}


NODE_1 = target(
    node("node-1", zone="a", nodegroup="blue", max_pods=29), pod(cni_version="v1.19.2"), 4
)
READ = read(NODE_1, reading(assigned=5, attached=18, enis=2, eni_max=3, ip_max=27))
UNREAD = unread(target(node("node-2", zone="b", nodegroup="blue", max_pods=None)), Reason.TIMEOUT)


class TestTheInterface:
    def test_is_these_names_kinds_and_labels(self) -> None:
        assert [" ".join((it.name, it.kind.value, *it.labels)) for it in METRICS] == INTERFACE

    def test_has_no_name_twice(self) -> None:
        assert len({it.name for it in METRICS}) == len(METRICS)

    def test_says_of_every_metric_what_it_means_in_whole_sentences(self) -> None:
        assert [it.name for it in METRICS if not re.fullmatch(r"[A-Z0-9].{20,}[.]", it.help)] == []

    def test_needs_no_escapes_in_any_format(self) -> None:
        assert [it.name for it in METRICS if re.search(r'["\\\n|]', it.help)] == []

    def test_ends_counters_and_nothing_else_in_total(self) -> None:
        counters = {it.name for it in METRICS if it.kind is Kind.COUNTER}
        assert counters == {it.name for it in METRICS if it.name.endswith("_total")}

    def test_ends_every_name_in_its_unit(self) -> None:
        assert [it.name for it in METRICS if not it.name.endswith(it.unit.suffix)] == []

    def test_has_no_name_that_openmetrics_keeps_for_itself(self) -> None:
        reserved = ("_created", "_bucket", "_count", "_sum", "_gcount", "_gsum")
        assert [it.name for it in METRICS if it.name.endswith(reserved)] == []

    def test_leaves_labels_legal_and_told_once(self) -> None:
        for metric in METRICS:
            assert len(set(metric.labels)) == len(metric.labels)
            assert all(re.fullmatch(r"[a-z][a-z_]*", label) for label in metric.labels)

    def test_has_no_label_on_a_node_whose_values_are_not_a_closed_list(self) -> None:
        labels = {it.labels[1:] for it in NODE_TABLE.metrics if it.unit is not Unit.INFO}
        assert labels == {(), ("state",), ("reason",), ("limit",)}

    def test_has_no_label_on_a_subnet_whose_values_are_not_a_closed_list(self) -> None:
        labels = {it.labels for it in SUBNET_TABLE.metrics if it.unit is not Unit.INFO}
        assert {it[:1] for it in labels} == {("subnet_id",)}
        closed = {(), ("role",), ("use",), ("state",), ("owner",)}
        # The types in use are few, and EC2's.
        assert {it[1:] for it in labels} == {*closed, ("instance_type",)}

    def test_knows_how_to_draw_every_unit(self) -> None:
        assert {unit: unit.grafana for unit in Unit} == {
            Unit.COUNT: "short",
            Unit.BOOLEAN: "bool",
            Unit.INFO: "none",
            Unit.TOTAL: "short",
            Unit.RATIO: "percentunit",
            Unit.SECONDS: "s",
            Unit.TIMESTAMP: "dateTimeFromNow",
        }

    def test_is_described_by_name_kind_and_help(self) -> None:
        first = NODE_TABLE.metrics[0]
        assert NODE_TABLE.described()[0] == ("vpc_cni_node_info", Kind.GAUGE, first.help)


def test_headroom_is_published_with_the_one_limit_that_binds() -> None:
    shown = report(READ)
    full = replace(shown.cluster, headroom=Headroom(0, Limit.SUBNET))
    roomy = replace(shown.nodes[0], headroom=Headroom(22, Limit.MAX_PODS))
    found = published(replace(shown, cluster=full, nodes=(roomy,)))
    assert {key: value for key, value in found.items() if "headroom" in key[0]} == {
        ("vpc_cni_cluster_pod_headroom",): 0,
        ("vpc_cni_cluster_pod_headroom_limit", "subnet"): 1,
        ("vpc_cni_node_pod_headroom", "node-1"): 22,
        ("vpc_cni_node_pod_headroom_limit", "node-1", "max_pods"): 1,
    }


class TestOnCloudWatch:
    def test_the_interface_is_these_names_units_and_twins(self) -> None:
        assert [
            f"{it.name}|{it.unit}|{it.measure.value}|{it.twin}" for it in ON_CLOUDWATCH
        ] == CLOUDWATCH_INTERFACE

    def test_the_incumbents_twenty_names_are_all_there_and_count(self) -> None:
        units = {it.name: it.unit for it in ON_CLOUDWATCH}
        assert {name: units[name] for name in INCUMBENTS} == dict.fromkeys(INCUMBENTS, "Count")
        assert len(set(INCUMBENTS)) == 20

    def test_no_zone_group_or_node_has_a_name_there_since_each_would_be_billed(self) -> None:
        named = {it.scope.name for it in METRICS if it.cloudwatch}
        assert named == {"cluster", "legacy", "subnet"}

    def test_a_twin_is_catalogued(self) -> None:
        names = {it.name for it in METRICS} | {""}
        parts = [part for it in ON_CLOUDWATCH for part in it.twin.split(" + ")]
        found = {re.sub(r"\{.*\}", "", part) for part in parts}
        assert found <= names

    def test_a_gauge_is_its_twin_and_absent_where_that_is(self) -> None:
        shown = report(READ, UNREAD)
        assert {it.name: it.value(shown.cluster) for it in CLOUDWATCH_GAUGES} == {
            "nodesExpected": 2,
            "nodesRead": 1,
            "assignIPAddresses": 5,
            "totalAssignedIPv4sPerCidr": 5,
            "warmIPAddresses": 13,
            "maxIPAddresses": 27,
            "eniAllocated": 2,
            "eniMaxAvailable": 3,
            "totalIPAddresses": 18,
            "totalIPv4Prefixes": 0,
            "ipamdActionInProgress": 0,
            "coveragePercent": 50,
        }
        nothing = {it.name: it.value(report(UNREAD).cluster) for it in CLOUDWATCH_GAUGES}
        assert {name: value for name, value in nothing.items() if value is not None} == {
            "nodesExpected": 1,
            "nodesRead": 0,
            "coveragePercent": 0,
        }

    def test_the_coverage_of_nothing_is_no_figure(self) -> None:
        (coverage,) = [it for it in CLOUDWATCH_GAUGES if it.name == "coveragePercent"]
        assert coverage.value(report().cluster) is None

    def test_prefixes_of_ipv6_are_no_ipv4_prefixes(self) -> None:
        six = target(node("node-6"), pod("six", env={"ENABLE_IPv6": "true"}))
        said = reading(assigned=7, attached=2 * 2**48, enis=1, eni_max=3, ip_max=0)
        (prefixes,) = [it for it in CLOUDWATCH_GAUGES if it.name == "totalIPv4Prefixes"]
        four = read("node-4", reading(prefixes=1))
        assert prefixes.value(report(four, read(six, said)).cluster) == 1
        assert prefixes.value(report(read(six, said)).cluster) is None

    def test_a_counter_is_the_sum_of_its_children(self) -> None:
        said = {child: 1.0 for child in SERIES}
        memory, _ = step(Memory(), snapshot(read()))
        later = snapshot(read(what=reading(time=NOW + 30, said=said)), time=NOW + 30)
        totals = step(memory, later)[1].totals
        gains = {
            it.name: it.value(totals) for it in CLOUDWATCH_TOTALS if it.measure.value == "gain"
        }
        assert gains == {
            "addReqCount": 1,
            "delReqCount": 3,
            "noAvailableIPs": 1,
            "ipamdErr": 20,
            "ec2ApiReqCount": 15,
            "awsAPIErr": 160,
            "reconcileCount": 4,
            "forceRemoveENI": 1,
            "forceRemoveIPs": 1,
            "podENIErr": 3,
            "awsUtilErr": 3,
            "ec2ApiErrCount": 1,
        }

    def test_a_subnet_tells_what_is_free_and_how_full_it_is(self) -> None:
        assert {it.name: it.value(subnet_usage()) for it in CLOUDWATCH_SUBNETS} == {
            "subnetFreeIPs": 151,
            "subnetUtilizationPercent": pytest.approx(100 * (1 - 167 / 251)),
            "subnetFreePrefixes": 7,
        }
        assert [it.value(without_enis()) for it in CLOUDWATCH_SUBNETS][2] is None


def test_a_node_that_was_read_is_published_with_all_its_figures() -> None:
    found = published(report(READ, subnets={"i-1": "subnet-a"}), (NODE_TABLE,))
    info = ("node-1", "i-1", "m5.large", "a", "blue", "subnet-a", "v1.19.2", "secondary")
    assert found == {
        ("vpc_cni_node_info", *info): 1,
        ("vpc_cni_node_read", "node-1"): 1,
        ("vpc_cni_node_ip_addresses", "node-1", "assigned"): 5,
        ("vpc_cni_node_ip_addresses", "node-1", "warm"): 13,
        ("vpc_cni_node_ip_capacity", "node-1"): 27,
        ("vpc_cni_node_enis", "node-1"): 2,
        ("vpc_cni_node_eni_capacity", "node-1"): 3,
        ("vpc_cni_node_delegated_prefixes", "node-1"): 0,
        ("vpc_cni_node_max_pods", "node-1"): 29,
        ("vpc_cni_node_host_network_pods", "node-1"): 4,
        ("vpc_cni_node_ip_assignment_failures_total", "node-1"): 0,
    }


INTROSPECTED = reading(introspection=books(held(attached=18, assigned=5, cooldown=3)))


def test_a_node_that_was_introspected_is_published_with_what_is_in_cooldown() -> None:
    drifts = snapshot(read(NODE_1, INTROSPECTED), ec2_drifts={"pod-1": -9})
    found = published(step(Memory(), drifts)[1], (NODE_TABLE,))
    assert about("vpc_cni_node_ip_addresses", found) == {
        ("node-1", "assigned"): 5,
        ("node-1", "warm"): 10,
        ("node-1", "cooldown"): 3,
    }
    assert about("vpc_cni_node_drift_ip_addresses", found) == {("node-1",): 0}
    assert about("vpc_cni_node_ec2_drift_ip_addresses", found) == {("node-1",): -9}


def test_each_scope_tells_what_is_in_cooldown_and_of_how_many_nodes() -> None:
    found = published(report(read(NODE_1, INTROSPECTED), read("node-3")))
    for scope, key in (("cluster", ()), ("zone", ("a",)), ("nodegroup", ("blue",))):
        addresses = about(f"vpc_cni_{scope}_ip_addresses", found)
        assert addresses[*key, "cooldown"] == 3
        assert about(f"vpc_cni_{scope}_introspected_nodes", found)[key] == 1
    assert about("vpc_cni_zone_ip_addresses", found) == {
        ("a", "assigned"): 5,
        ("a", "warm"): 10,
        ("a", "cooldown"): 3,
        ("eu-west-1a", "assigned"): 5,
        ("eu-west-1a", "warm"): 13,
    }


def test_a_node_that_was_not_read_is_absent_not_zero() -> None:
    bare = Target(node("node-2", instance_id="", instance_type="", zone="", max_pods=None))
    found = published(report(unread(bare, Reason.NO_POD)), (NODE_TABLE,))
    assert found == {
        ("vpc_cni_node_info", "node-2", "", "", "none", "blue", "", "", ""): 1,
        ("vpc_cni_node_read", "node-2"): 0,
        ("vpc_cni_node_ip_assignment_failures_total", "node-2"): 0,
    }


@pytest.mark.parametrize("seen", [read, unread], ids=["read", "not read"])
def test_a_node_that_offers_branch_enis_is_published_with_these_read_or_not(
    seen: Callable[[Target], Outcome],
) -> None:
    where = target(node(pod_eni_capacity=9))
    told = step(Memory(), snapshot(seen(where), pod_enis={"i-1": 3}))[1]
    found = published(told, (NODE_TABLE,))
    assert about("vpc_cni_node_pod_eni_capacity", found) == {("node-1",): 9}
    assert about("vpc_cni_node_pod_enis", found) == {("node-1",): 3}


def test_a_node_is_blocked_for_the_reasons_that_hold_and_has_no_sample_for_others() -> None:
    full = read(target(node("node-7", max_pods=20)), reading(assigned=27, attached=27))
    found = published(report(full, READ), (NODE_TABLE,))
    assert about("vpc_cni_node_blocked", found) == {
        ("node-7", "eni_limit"): 1,
        ("node-7", "max_pods"): 1,
    }


def test_a_node_without_a_pod_has_no_cni_version() -> None:
    assert about("vpc_cni_node_info", published(report(unread(Target(node()))))) == {
        ("node-1", "i-1", "m5.large", "eu-west-1a", "blue", "", "", ""): 1
    }


def usage_of(scope: str, *key: str, nodes: int, timed_out: int) -> Published:
    """What is published of one scope whose one read node is node-1."""
    reasons = {reason.value: 0 for reason in Reason} | {"timeout": timed_out}
    figures = {"ip_capacity": 27, "enis": 2, "eni_capacity": 3, "delegated_prefixes": 0}
    read = nodes - timed_out
    return {
        (f"vpc_cni_{scope}_nodes", *key, "read"): read,
        (f"vpc_cni_{scope}_nodes", *key, "unread"): timed_out,
        **{(f"vpc_cni_{scope}_unread_nodes", *key, why): n for why, n in reasons.items()},
        (f"vpc_cni_{scope}_introspected_nodes", *key): 0,
        **(
            {
                (f"vpc_cni_{scope}_ip_addresses", *key, "assigned"): 5,
                (f"vpc_cni_{scope}_ip_addresses", *key, "warm"): 13,
                **{(f"vpc_cni_{scope}_{name}", *key): n for name, n in figures.items()},
            }
            if read
            else {}
        ),
    }


def test_each_scope_tells_the_same_figures_beside_how_many_nodes_they_stand_for() -> None:
    found = published(report(READ, UNREAD))
    assert beginning("vpc_cni_zone_", found) == {
        **usage_of("zone", "a", nodes=1, timed_out=0),
        **usage_of("zone", "b", nodes=1, timed_out=1),
    }
    assert beginning("vpc_cni_nodegroup_", found) == usage_of(
        "nodegroup", "blue", nodes=2, timed_out=1
    )
    cluster = usage_of("cluster", nodes=2, timed_out=1)
    assert {key: found[key] for key in cluster} == cluster


def test_a_scope_without_a_read_node_tells_only_that() -> None:
    found = published(report(UNREAD))
    assert beginning("vpc_cni_zone_", found) == usage_of("zone", "b", nodes=1, timed_out=1)


def test_an_empty_cluster_has_nodes_and_addresses_of_zero() -> None:
    found = published(report())
    assert about("vpc_cni_cluster_nodes", found) == {("read",): 0, ("unread",): 0}
    assert about("vpc_cni_cluster_ip_addresses", found) == {("assigned",): 0, ("warm",): 0}
    assert about("vpc_cni_cluster_ip_capacity", found) == {(): 0}


def test_the_cluster_is_told_by_what_identifies_it() -> None:
    identity = Identity("prod", "eu-west-1", "vpc-1", "1.33")
    found = published(report(identity=identity))
    assert about("vpc_cni_cluster_info", found) == {("prod", "eu-west-1", "vpc-1", "1.33"): 1}


def test_every_child_of_every_counter_is_at_zero_in_the_first_report() -> None:
    found = published(report())
    counters = {
        it.name for table in TABLES for it in table.metrics if it.kind is not Kind.GAUGE
    } - {"vpc_cni_node_ip_assignment_failures_total"}
    children = {key: value for key, value in found.items() if {key[0]} & counters}
    durations = beginning("vpc_cni_cluster_aws_api_duration_seconds", found)
    assert set((children | durations).values()) == {0}
    assert len(children | durations) == len(SERIES) - 1  # one is for CloudWatch alone


def test_a_counter_is_read_off_its_own_child() -> None:
    said = {child: float(number) for number, child in enumerate(SERIES, start=1)}
    memory, _ = step(Memory(), snapshot(read()))
    _, shown = step(memory, snapshot(read(what=reading(time=NOW + 30, said=said)), time=NOW + 30))
    found = published(shown)
    prefix = "vpc_cni_cluster_"
    for child, value in said.items():
        match child.family.name:
            case "aws_api_milliseconds":
                key = (f"{prefix}aws_api_duration_seconds_sum", *child.values)
                assert found[key] == pytest.approx(value / 1000)
            case "aws_api_timed_calls":
                assert found[f"{prefix}aws_api_duration_seconds_count", *child.values] == value
            case "ec2_api_failures":
                (metric,) = [it for it in CLOUDWATCH_TOTALS if it.name == "ec2ApiErrCount"]
                assert metric.value(shown.totals) == value
            case name:
                assert found[f"{prefix}{name}_total", *child.values] == value


def test_the_labels_of_a_counter_are_closed_lists_and_other() -> None:
    found = about("vpc_cni_cluster_aws_api_errors_total", published(report()))
    assert {error for _, error in found} == {*AWS_API_ERRORS.labels[1][1], OTHER}
    assert AWS_API_MILLISECONDS.labels == AWS_API_TIMED_CALLS.labels


def test_the_failures_of_a_node_are_its_own_counter() -> None:
    failures = Series(ASSIGNMENT_FAILURES, ())
    memory, _ = step(Memory(), snapshot(read(), read("node-2")))
    later = read(what=reading(time=NOW + 30, said={failures: 3}))
    _, shown = step(memory, snapshot(later, read("node-2"), time=NOW + 30))
    assert about("vpc_cni_node_ip_assignment_failures_total", published(shown)) == {
        ("node-1",): 3,
        ("node-2",): 0,
    }


NO_USES = {use.value: 0 for use in Use}
NO_ENIS = {owner.value: 0 for owner in ENI_OWNERS}


def test_a_subnet_is_published_with_all_its_figures_at_0_where_there_is_none() -> None:
    uses = {
        **NO_USES,
        "free": 151,
        "prefix_reserved_free": 16,
        "aws_reserved": 5,
        "node_primary": 4,
        "pod_assigned": 40,
        "pod_warm": 20,
        "pod_cooldown": 2,
        "leaked": 10,
        "eks_control_plane": 2,
        "load_balancer": 3,
        "unattributed": 3,
    }
    enis = {**NO_ENIS, "node_primary": 4, "leaked": 1, "eks_control_plane": 2, "load_balancer": 3}
    blocks = {
        "free": 6,
        "free_reserved": 1,
        "delegated": 2,
        "fragmented": 5,
        "full": 2,
        "reserved": 0,
    }
    subnet = "vpc_cni_subnet_{}".format
    info = ("subnet-a", "pods-a", "vpc-1", "eu-west-1a", "euw1-az1", "10.0.0.0/24")
    wanted: Published = {
        (subnet("info"), *info): 1,
        (subnet("role"), "subnet-a", "node"): 1,
        (subnet("role"), "subnet-a", "pod"): 1,
        (subnet("role"), "subnet-a", "control_plane"): 1,
        (subnet("size"), "subnet-a"): 256,
        (subnet("free_ip_addresses"), "subnet-a"): 151,
        (subnet("utilization_ratio"), "subnet-a"): 1 - 167 / 251,
        **{(subnet("ip_addresses"), "subnet-a", use): n for use, n in uses.items()},
        (subnet("accounting_residue_ip_addresses"), "subnet-a"): 3,
        **{(subnet("prefix_blocks"), "subnet-a", state): n for state, n in blocks.items()},
        (subnet("fragmentation_ratio"), "subnet-a"): 31 / 143,
        (subnet("node_headroom"), "subnet-a", "m5.large"): 15,
        (subnet("node_headroom"), "subnet-a", "r6i.2xlarge"): 4,
        **{(subnet("enis"), "subnet-a", owner): n for owner, n in enis.items()},
        ("vpc_cni_leaked_enis", "subnet-a", "this_cluster"): 1,
        ("vpc_cni_leaked_enis", "subnet-a", "unknown"): 0,
    }
    assert published_of(subnet_usage("subnet-a")) == wanted
    assert sum(uses.values()) == 256
    assert sum(blocks.values()) == 256 / 16


def test_of_a_subnet_whose_enis_were_not_read_only_what_ec2_says_is_published() -> None:
    bare = without_enis("subnet-b", free=10, roles=(Role.CNI_DISCOVERY,))
    assert published_of(bare) == {
        (
            "vpc_cni_subnet_info",
            *("subnet-b", "", "vpc-1", "eu-west-1b", "euw1-az2", "10.0.1.0/26"),
        ): 1,
        ("vpc_cni_subnet_role", "subnet-b", "cni_discovery"): 1,
        ("vpc_cni_subnet_size", "subnet-b"): 64,
        ("vpc_cni_subnet_free_ip_addresses", "subnet-b"): 10,
        ("vpc_cni_subnet_utilization_ratio", "subnet-b"): 1 - 10 / 59,
    }


def test_a_subnet_with_nothing_free_has_no_fragmentation_and_a_residue_can_be_negative() -> None:
    odd = replace(subnet_usage("subnet-a"), fragmentation=None, residue=-2)
    found = published_of(odd)
    assert about("vpc_cni_subnet_fragmentation_ratio", found) == {}
    assert about("vpc_cni_subnet_accounting_residue_ip_addresses", found) == {("subnet-a",): -2}


def own(health: Health) -> Published:
    """Everything that is published of the exporter itself."""
    return {
        (metric.name + suffix, *labels): value
        for metric in EXPORTER_METRICS
        for suffix, labels, value in metric.samples(health)
    }


REQUESTS = "vpc_cni_exporter_aws_requests_total"


def test_the_exporters_own_metrics_tell_its_health() -> None:
    up = SourceHealth(up=True, last_success=NOW, cycle_seconds=0.25, reason="")
    health = Health("1.2.3").with_source(Source.IPAMD, up).with_failures((UNREAD,))
    failures = "vpc_cni_exporter_target_failures_total"
    assert own(health) == {
        ("vpc_cni_exporter_build_info", "1.2.3"): 1,
        ("vpc_cni_exporter_source_up", "ipamd"): 1,
        ("vpc_cni_exporter_source_up", "kubernetes"): 0,
        ("vpc_cni_exporter_source_up", "nodes"): 0,
        ("vpc_cni_exporter_source_up", "daemonsets"): 0,
        ("vpc_cni_exporter_source_up", "pods"): 0,
        ("vpc_cni_exporter_source_up", "eniconfigs"): 0,
        ("vpc_cni_exporter_source_up", "cninodes"): 0,
        ("vpc_cni_exporter_last_success_timestamp_seconds", "ipamd"): NOW,
        ("vpc_cni_exporter_cycle_duration_seconds", "ipamd"): 0.25,
        **{(failures, reason.value): 0 for reason in Reason},
        (failures, "timeout"): 1,
    }


def test_a_source_has_samples_from_when_it_is_switched_on() -> None:
    off = Health("1.2.3")
    on = off.with_source(Source.EC2_ENIS, SourceHealth())
    failed = SourceHealth(last_success=NOW, cycle_seconds=2.5, reason="timed out")
    for name, states in {
        "vpc_cni_exporter_source_up": (None, 0, 0),
        "vpc_cni_exporter_last_success_timestamp_seconds": (None, None, NOW),
        "vpc_cni_exporter_cycle_duration_seconds": (None, None, 2.5),
    }.items():
        healths = (off, on, off.with_source(Source.EC2_ENIS, failed))
        assert tuple(about(name, own(it)).get(("ec2_enis",)) for it in healths) == states


@pytest.mark.parametrize(
    ("source", "service", "count"),
    [
        pytest.param(Source.EC2_ENIS, "ec2", 16, id="EC2"),
        pytest.param(Source.EKS, "eks", 12, id="EKS"),
        pytest.param(Source.CLOUDWATCH, "cloudwatch", 4, id="CloudWatch"),
    ],
)
def test_requests_to_a_service_are_all_there_at_0_where_it_is_on_and_not_at_all_elsewhere(
    source: Source, service: str, count: int
) -> None:
    children = {
        (*it, outcome) for it in AWS_OPERATIONS for outcome in AWS_OUTCOMES if it[0] == service
    }
    on = Health("1.2.3").with_source(source, SourceHealth())
    assert about(REQUESTS, own(on)) == dict.fromkeys(children, 0)
    assert about(REQUESTS, own(Health("1.2.3"))) == {}
    assert len(children) == count


def test_points_are_told_by_outcome_where_cloudwatch_is_on_and_not_at_all_elsewhere() -> None:
    name = "vpc_cni_exporter_cloudwatch_points_total"
    counted = Health("1.2.3", points={PointOutcome.ACCEPTED: 26, PointOutcome.REJECTED: 1})
    on = counted.with_source(Source.CLOUDWATCH, SourceHealth())
    assert about(name, own(counted)) == {}
    assert about(name, own(on)) == {
        ("accepted",): 26,
        ("repeated",): 0,
        ("rejected",): 1,
        ("dropped",): 0,
    }


def test_requests_to_aws_are_told_as_counted_and_by_closed_lists_alone() -> None:
    on = Health("1.2.3").with_source(Source.EC2_ENIS, SourceHealth())
    counted = {
        ("ec2", "DescribeSubnets", "ok"): 7,
        ("ec2", "DescribeNetworkInterfaces", "throttled"): 2,
        ("ec2", "DescribeVpcs", "ok"): 1,
    }
    found = about(REQUESTS, own(replace(on, aws_requests=counted)))
    assert {labels: value for labels, value in found.items() if value} == {
        ("ec2", "DescribeSubnets", "ok"): 7,
        ("ec2", "DescribeNetworkInterfaces", "throttled"): 2,
    }


def test_the_incumbents_gauges_are_the_clusters_sums() -> None:
    assert published(report(READ, UNREAD), (LEGACY_TABLE,)) == {
        ("awscni_assigned_ip_addresses",): 5,
        ("awscni_total_ip_addresses",): 18,
        ("awscni_eni_allocated",): 2,
        ("awscni_eni_max",): 3,
        ("awscni_ip_max",): 27,
        ("awscni_total_ipv4_prefixes",): 0,
    }


def test_the_table_of_problems_has_the_nodes_that_someone_should_look_at() -> None:
    full = read("node-3", reading(assigned=18, attached=18))
    found = published(report(READ, UNREAD, full), (PROBLEM_TABLE,))
    assert about("vpc_cni_node_read", found) == {("node-2",): 0, ("node-3",): 1}
    assert PROBLEM_TABLE.metrics == NODE_TABLE.metrics


def test_a_table_can_be_narrowed_to_some_names() -> None:
    enis = NODE_TABLE.only(lambda name: "node_eni" in name)
    assert [it.name for it in enis.metrics] == ["vpc_cni_node_enis", "vpc_cni_node_eni_capacity"]
    assert enis.scope is NODE_TABLE.scope


class TestDrawing:
    @staticmethod
    def draw(metric: Metric[Row], changed: Changed[Row]) -> Sequence[str]:
        drawn = []
        for row, key, known in zip(changed.rows, changed.keys, changed.texts, strict=True):
            known[key, ()] = "a text"
            told = (str(value) for _, _, value in metric.samples(row))
            drawn.append(" ".join((metric.name, *key, *told)))
        return drawn

    table = NODE_TABLE.only(lambda name: name.endswith(("_node_enis", "_read")))

    def test_gives_a_text_per_metric_and_row(self) -> None:
        shown = report(READ, UNREAD)
        assert self.table.drawn(shown, self.draw, Drawn()) == Drawn(
            list(shown.nodes),
            [("node-1",), ("node-2",)],
            [{(("node-1",), ()): "a text"}, {(("node-2",), ()): "a text"}],
            [
                ["vpc_cni_node_read node-1 1", "vpc_cni_node_read node-2 0"],
                ["vpc_cni_node_enis node-1 2", "vpc_cni_node_enis node-2"],
            ],
        )

    def test_reuses_the_rows_that_did_not_change_and_only_those(self) -> None:
        first = self.table.drawn(report(READ, UNREAD), self.draw, Drawn())
        changed = read(NODE_1, replace(READ.reading, enis=3))
        second = self.table.drawn(report(changed, UNREAD), self.draw, first)
        assert second.columns == [
            ["vpc_cni_node_read node-1 1", "vpc_cni_node_read node-2 0"],
            ["vpc_cni_node_enis node-1 3", "vpc_cni_node_enis node-2"],
        ]
        assert second.columns[1][1] is first.columns[1][1]

    def test_draws_nothing_where_nothing_changed(self) -> None:
        first = self.table.drawn(report(READ, UNREAD), self.draw, Drawn())
        drawn: list[int] = []

        def draw(metric: Metric[Row], changed: Changed[Row]) -> Sequence[str]:
            drawn.append(len(changed.rows))
            return self.draw(metric, changed)

        assert self.table.drawn(report(READ, UNREAD), draw, first) == first
        assert drawn == [0, 0]

    def test_has_the_rows_in_the_reports_order_wherever_they_were(self) -> None:
        first = self.table.drawn(report(READ, UNREAD), self.draw, Drawn())
        between = read("node-3", reading(enis=7))
        second = self.table.drawn(report(UNREAD, between, READ), self.draw, first)
        assert second.columns[1] == [
            "vpc_cni_node_enis node-2",
            "vpc_cni_node_enis node-3 7",
            "vpc_cni_node_enis node-1 2",
        ]
        assert [*second.labels] == [first.labels[1], {(("node-3",), ()): "a text"}, first.labels[0]]

    def test_keeps_the_label_texts_of_a_row_that_changed(self) -> None:
        first = self.table.drawn(report(READ), self.draw, Drawn())
        changed = read(NODE_1, replace(READ.reading, enis=3))
        second = self.table.drawn(report(changed), self.draw, first)
        assert second.labels[0] is first.labels[0]

    def test_forgets_the_rows_that_are_gone(self) -> None:
        first = self.table.drawn(report(READ, UNREAD), self.draw, Drawn())
        second = self.table.drawn(report(UNREAD), self.draw, first)
        assert second == self.table.drawn(report(UNREAD), self.draw, Drawn())
        assert second.keys == [("node-2",)]

    def test_a_table_without_metrics_has_rows_without_texts(self) -> None:
        shown = report(READ)
        assert self.table.only(lambda _: False).drawn(shown, self.draw, Drawn()) == Drawn(
            list(shown.nodes), [("node-1",)], [{}], []
        )

    def test_leaves_what_was_drawn_before_as_it_was(self) -> None:
        first = self.table.drawn(report(READ, UNREAD), self.draw, Drawn())
        kept = deepcopy(first)
        changed = read(NODE_1, replace(READ.reading, enis=3))
        self.table.drawn(report(UNREAD, changed), self.draw, first)
        assert first == kept


def test_the_end_of_a_subnet_is_published_where_it_can_be_told() -> None:
    soon = replace(subnet_usage("subnet-a"), exhaustion_seconds=5400.0)
    found = published_of(soon, without_enis("subnet-b"))
    assert about("vpc_cni_subnet_exhaustion_seconds", found) == {("subnet-a",): 5400.0}


READY = "vpc_cni_cluster_upgrade_addresses_ready"


def test_whether_an_upgrade_finds_addresses_is_published_once_for_all_subnets() -> None:
    zones = (replace(subnet_usage("subnet-a"), of_eks=True), without_enis("subnet-b", free=99))
    assert about(READY, published_of(*zones)) == {(): 0}
    both = (zones[0], replace(zones[1], of_eks=True))
    assert about(READY, published_of(*both)) == {(): 1}
    assert about(READY, published_of(subnet_usage("subnet-a"))) == {}
    assert about(READY, published_of()) == {}


def test_what_eks_tells_is_published_with_every_code_at_0_where_there_is_no_issue() -> None:
    prefix = "vpc_cni_addon"
    degraded = {"AccessDenied": 2, "other": 1}
    wanted: Published = {
        **{("vpc_cni_cluster_health_issues", code): 0 for code in CLUSTER_ISSUES},
        ("vpc_cni_cluster_health_issues", "Ec2SubnetNotFound"): 1,
        (
            f"{prefix}_info",
            *("vpc-cni", "v1.19.2-eksbuild.1", "DEGRADED", "v1.20.4-eksbuild.2"),
        ): 1,
        (
            f"{prefix}_info",
            *("coredns", "v1.11.4-eksbuild.2", "ACTIVE", "v1.11.4-eksbuild.2"),
        ): 1,
        (f"{prefix}_update_available", "vpc-cni"): 1,
        (f"{prefix}_update_available", "coredns"): 0,
        **{
            (f"{prefix}_health_issues", "vpc-cni", code): degraded.get(code, 0)
            for code in ADDON_ISSUES
        },
        **{(f"{prefix}_health_issues", "coredns", code): 0 for code in ADDON_ISSUES},
    }
    assert published_of_eks(eks_report()) == wanted


def test_what_eks_did_not_tell_is_absent() -> None:
    assert published_of_eks(EksReport()) == {}
    alone = published_of_eks(EksReport(eks_cluster()))
    assert {name for name, *_ in alone} == {"vpc_cni_cluster_health_issues"}
    unknown = published_of_eks(EksReport(None, (addon(latest=""),)))
    assert about("vpc_cni_addon_info", unknown) == {
        ("vpc-cni", "v1.19.2-eksbuild.1", "ACTIVE", ""): 1
    }
    assert about("vpc_cni_addon_update_available", unknown) == {}


def test_the_settings_of_the_cni_are_published_as_they_are_written() -> None:
    settings = {"WARM_IP_TARGET": "5", "MAX_ENI": "many", "ENABLE_IPv4": "TRUE", "SECRET": "x"}
    _, shown = step(Memory(), snapshot(settings=settings))
    found = published(shown)
    assert about("vpc_cni_setting", found) == {
        ("WARM_IP_TARGET", "5"): 1,
        ("MAX_ENI", "many"): 1,
        ("ENABLE_IPv4", "TRUE"): 1,
    }
    assert about("vpc_cni_setting_value", found) == {("WARM_IP_TARGET",): 5}
    assert beginning("vpc_cni_setting", published(report())) == {}
