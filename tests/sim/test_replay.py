import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from exporter.sim import Simulation
from exporter.sim.books import Sample
from exporter.sim.replay import StartTimes, polls
from tests.sim.client import name, on_loop, page, read_all

POLLS = Path(__file__).parents[1] / "data" / "polls"
SCENARIOS = sorted(path.name for path in POLLS.iterdir())

GAUGES = {
    "awscni_eni_allocated": "vpc_cni_cluster_enis",
    "awscni_eni_max": "vpc_cni_cluster_eni_capacity",
    "awscni_ip_max": "vpc_cni_cluster_ip_capacity",
    "awscni_total_ipv4_prefixes": "vpc_cni_cluster_delegated_prefixes",
}
COUNTERS = {
    "awscni_add_ip_req_count": "vpc_cni_cluster_add_requests_total",
    "awscni_force_removed_ips": "vpc_cni_cluster_forced_ip_removals_total",
    "awscni_no_available_ip_addresses": "vpc_cni_cluster_ip_assignment_failures_total",
    "awscni_del_ip_req_count": "vpc_cni_cluster_del_requests_total",
    "awscni_ec2api_req_count": "vpc_cni_cluster_aws_api_requests_total",
    "awscni_aws_api_error_count": "vpc_cni_cluster_aws_api_errors_total",
}


def total(sim: Simulation, metric: str, **labels: str) -> float:
    samples: list[Sample] = sim.truth()["samples"].get(metric, [])
    return sum(value for found, value in samples if found.items() >= labels.items())


def gauges(sim: Simulation) -> dict[str, float]:
    assigned = total(sim, "vpc_cni_cluster_ip_addresses", state="assigned")
    return {
        "awscni_assigned_ip_addresses": assigned,
        "awscni_total_ip_addresses": total(sim, "vpc_cni_cluster_ip_addresses"),
        **{family: total(sim, metric) for family, metric in GAUGES.items()},
    }


def counters(sim: Simulation) -> dict[str, float]:
    return {family: total(sim, metric) for family, metric in COUNTERS.items()}


def node_names(sim: Simulation) -> dict[str, str]:
    return {node.pods[0].name: node.name for node in sim.cluster.expected}


@pytest.mark.parametrize("scenario", SCENARIOS)
@on_loop
async def test_the_books_of_a_replay_are_the_golden_answer(scenario: str) -> None:
    expected = json.loads((POLLS / scenario / "expected.json").read_text())["polls"]
    async with Simulation.replay(POLLS / scenario) as sim:
        before = counters(sim)
        for number, poll in enumerate(expected):
            if number:
                await sim.step()
            await read_all(sim)
            # A reader that reads twice in a step learns nothing new.
            await read_all(sim)
            after = counters(sim)
            gained = {family: after[family] - before[family] for family in poll["counter_delta"]}
            assert gained == poll["counter_delta"]
            assert gauges(sim) == poll["gauges_sum"]
            assert read(sim) == {
                "targets_ok": sorted(poll["targets_ok"]),
                "targets_failed": sorted(poll["targets_failed"]),
            }
            before = after


def read(sim: Simulation) -> dict[str, list[str]]:
    pods = node_names(sim)
    ok = [pod for pod, node in pods.items() if total(sim, "vpc_cni_node_read", node=node)]
    return {"targets_ok": sorted(ok), "targets_failed": sorted(pods.keys() - set(ok))}


@on_loop
async def test_a_node_that_failed_to_assign_is_named_by_its_own_counter() -> None:
    async with Simulation.replay(POLLS / "01_two_nodes_steady") as sim:
        nodes = node_names(sim)
        for _ in range(3):
            await read_all(sim)
            await sim.step()
        failures = {
            pod: total(sim, "vpc_cni_node_ip_assignment_failures_total", node=node)
            for pod, node in nodes.items()
        }
        assert failures == {"aws-node-aaaaa": 0, "aws-node-bbbbb": 2}


@on_loop
async def test_what_does_not_answer_is_unread_for_its_own_reason() -> None:
    async with Simulation.replay(POLLS / "03_churn_and_unreachable") as sim:
        await sim.step()
        reasons = {
            labels["reason"]: count
            for labels, count in sim.truth()["samples"]["vpc_cni_cluster_unread_nodes"]
            if count
        }
        assert reasons == {"pending": 1, "unreachable": 1}


@on_loop
async def test_a_replayed_page_is_the_recording_but_for_the_start_time() -> None:
    async with Simulation.replay(POLLS / "01_two_nodes_steady") as sim:
        recorded = (POLLS / "01_two_nodes_steady/poll1/aws-node-aaaaa.prom").read_text()
        served = await page(sim)
        old, new = recorded.splitlines(), served.splitlines()
        assert [line for line in new if line not in old] == [new[-1]]
        assert len(old) == len(new)
        shift = sim.advanced_at - polls(POLLS / "01_two_nodes_steady")[0].time
        assert float(new[-1].split()[1]) == pytest.approx(1787200000 + shift, abs=0.1)


@on_loop
async def test_after_the_last_poll_nothing_moves_and_what_is_not_recorded_is_refused() -> None:
    async with Simulation.replay(POLLS / "01_two_nodes_steady") as sim:
        await sim.step(5)
        assert gauges(sim)["awscni_assigned_ip_addresses"] == 25
        with pytest.raises(ValueError, match="cannot be restarted"):
            await sim.event("restart", [name(sim)])
        with pytest.raises(ValueError, match="no nodes but the recorded ones"):
            await sim.event("join")


@pytest.mark.parametrize(
    ("seen", "moved"),
    [
        pytest.param([(0, 95.0)], [995.0], id="before the first poll keeps its distance"),
        pytest.param([(0, 95.0), (1, 96.5)], [995.0, 996.5], id="a wobble is kept"),
        pytest.param([(0, 95.0), (1, 125.0)], [995.0, 1001.5], id="a restart moves to its step"),
        pytest.param([(2, 125.0)], [1000.5], id="first seen later, started in an earlier interval"),
        pytest.param([(0, 95.0), (2, 125.0)], [995.0, 1000.5], id="a restart in a silent interval"),
        pytest.param(
            [(1, 125.0), (2, 155.0)],
            [1001.5, 1003.51],
            id="restarts in two steps stay more than 2 s apart",
        ),
        pytest.param(
            [(0, 50.0), (1, 60.0)], [950.0, 960.0], id="long before the last reading stays so"
        ),
        pytest.param(
            [(1, 50.0), (2, 115.0)], [950.0, 995.49], id="before the last reading less 5 s stays so"
        ),
    ],
)
def test_start_times_keep_the_relations_that_count(
    seen: list[tuple[int, float]], moved: list[float]
) -> None:
    starts = StartTimes((100.0, 130.0, 160.0))
    clock: Mapping[int, float] = {0: 1000.0, 1: 1000.5, 2: 1001.0}
    wanted: dict[int, Any] = dict(seen)
    found = []
    for poll, now in clock.items():
        starts.steps.append(now)
        if poll in wanted:
            found.append(starts.moved("pod", wanted[poll]))
    assert found == pytest.approx(moved)
