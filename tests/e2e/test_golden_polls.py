"""The golden polls through the whole program: pages on the wire, figures from /metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.world import Samples, daemon, key, simulation

POLLS = Path(__file__).parents[1] / "data" / "polls"
SCENARIOS = ("01_two_nodes_steady", "02_three_nodes_counter_reset", "03_churn_and_unreachable")

# Upstream's family -> ours: the sum over all children.
GAUGES = {
    "awscni_assigned_ip_addresses": "awscni_assigned_ip_addresses",
    "awscni_total_ip_addresses": "awscni_total_ip_addresses",
    "awscni_eni_allocated": "vpc_cni_cluster_enis",
    "awscni_eni_max": "vpc_cni_cluster_eni_capacity",
    "awscni_ip_max": "vpc_cni_cluster_ip_capacity",
    "awscni_total_ipv4_prefixes": "vpc_cni_cluster_delegated_prefixes",
}
COUNTERS = {
    "awscni_add_ip_req_count": "vpc_cni_cluster_add_requests_total",
    "awscni_del_ip_req_count": "vpc_cni_cluster_del_requests_total",
    "awscni_force_removed_ips": "vpc_cni_cluster_forced_ip_removals_total",
    "awscni_no_available_ip_addresses": "vpc_cni_cluster_ip_assignment_failures_total",
    "awscni_ec2api_req_count": "vpc_cni_cluster_aws_api_requests_total",
    "awscni_aws_api_error_count": "vpc_cni_cluster_aws_api_errors_total",
}


def total(samples: Samples, name: str) -> float:
    return sum(value for (found, _), value in samples.items() if found == name)


def told(
    samples: Samples, before: Samples, poll: Mapping[str, Any], nodes: Mapping[str, str]
) -> dict[str, object]:
    def failures(of: Samples, pod: str) -> float:
        return of.get(key("vpc_cni_node_ip_assignment_failures_total", node=nodes[pod]), 0.0)

    return {
        "gauges_sum": {name: total(samples, GAUGES[name]) for name in poll["gauges_sum"]},
        "counter_delta": {
            name: total(samples, COUNTERS[name]) - total(before, COUNTERS[name])
            for name in poll["counter_delta"]
        },
        "failures_per_node": {
            pod: failures(samples, pod) - failures(before, pod) for pod in poll["targets_ok"]
        },
        "read": samples[key("vpc_cni_cluster_nodes", state="read")],
        "unread": samples[key("vpc_cni_cluster_nodes", state="unread")],
    }


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_golden_scenario_gives_its_expected_gauges_and_counters(
    scenario: str, tmp_path: Path
) -> None:
    polls = json.loads((POLLS / scenario / "expected.json").read_text())["polls"]
    results, wanted = [], []
    before: Samples = {}
    with (
        simulation(tmp_path, "--replay", str(POLLS / scenario)) as sim,
        daemon(tmp_path, sim, EXPORTER_LEGACY_METRICS="true") as exporter,
    ):
        for poll in polls:
            if poll["poll"] > 1:
                sim.step()
            samples = exporter.cycle_after(sim.truth()["advanced_at"])
            state = sim.control("/state")["nodes"]
            nodes = {pod["name"]: node["name"] for node in state for pod in node["pods"]}
            results.append(told(samples, before, poll, nodes))
            wanted.append(
                {
                    "gauges_sum": poll["gauges_sum"],
                    "counter_delta": poll["counter_delta"],
                    "failures_per_node": poll["counter_delta_per_node"][
                        "awscni_no_available_ip_addresses"
                    ],
                    "read": len(poll["targets_ok"]),
                    "unread": len(poll["targets_failed"]),
                }
            )
            before = samples
    assert results == wanted
