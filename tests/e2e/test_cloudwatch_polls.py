"""The golden polls on CloudWatch: what they should give, beside what cni-metrics-helper gives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.aws import Account, AwsConfig
from exporter.cloudwatch_loop import CloudWatchLoop
from exporter.core.model import (
    Discovery,
    Node,
    Outcome,
    Pod,
    Read,
    Reason,
    Snapshot,
    Target,
    Unread,
)
from exporter.core.points import Minutes
from exporter.core.report import Memory, step
from exporter.inputs.ipamd_page import parse_page
from exporter.outputs.cloudwatch import CloudWatch, CloudWatchConfig
from exporter.sim.cloudwatch_api import shown
from tests.e2e.published import Told, Value
from tests.sim.cloudwatch_parts import REGION, served

POLLS = Path(__file__).parents[1] / "data" / "polls"
SCENARIOS = sorted(path.name for path in POLLS.iterdir())
# The polls are 30 s apart, the first at the tenth second of a minute.
FIRST = 1_787_200_020

GAUGES = {
    "awscni_assigned_ip_addresses": ("assignIPAddresses", "totalAssignedIPv4sPerCidr"),
    "awscni_total_ip_addresses": ("totalIPAddresses",),
    "awscni_eni_allocated": ("eniAllocated",),
    "awscni_eni_max": ("eniMaxAvailable",),
    "awscni_ip_max": ("maxIPAddresses",),
    "awscni_total_ipv4_prefixes": ("totalIPv4Prefixes",),
}
GAINS = {
    "awscni_add_ip_req_count": "addReqCount",
    "awscni_del_ip_req_count": "delReqCount",
    "awscni_force_removed_ips": "forceRemoveIPs",
    "awscni_no_available_ip_addresses": "noAvailableIPs",
    "awscni_ec2api_req_count": "ec2ApiReqCount",
    "awscni_aws_api_error_count": "awsAPIErr",
}


def scenario(name: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the polls of a scenario, and what is expected of each."""
    folder = POLLS / name
    polls = json.loads((folder / "scenario.json").read_text())["polls"]
    return polls, json.loads((folder / "expected.json").read_text())["polls"]


def snapshot(name: str, poll: Mapping[str, Any]) -> Snapshot:
    """Return what a cycle over one poll's pages reads."""
    outcomes: list[Outcome] = []
    for pod in poll["targets"]:
        found = Pod(uid=pod, name=pod, namespace="kube-system", node=pod)
        target = Target(Node(name=pod, addresses=("10.0.0.1",)), found)
        page = POLLS / name / poll["dir"] / f"{pod}.prom"
        if page.exists():
            outcomes.append(Read(target, parse_page(page.read_bytes(), poll["time"])))
        else:
            outcomes.append(Unread(target, Reason.UNREACHABLE))
    targets = tuple(outcome.target for outcome in outcomes)
    return Snapshot(poll["time"], Discovery(targets, nodes_known=True), tuple(outcomes))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function from scenario and period to what CloudWatch was told."""

    def publish(name: str, period: int) -> dict[int, dict[str, Value]]:
        with served(clock=lambda: FIRST + 120) as (api, url):
            monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", url)
            monkeypatch.setenv("AWS_REGION", REGION)
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
            asyncio.run(played(name, period))
            found = Told.of(shown(api.taken), "golden")
        assert found.copies == 0
        return found.by_minute()

    return publish


async def played(name: str, period: int) -> None:
    now = [float(FIRST)]
    door = CloudWatch(Account(AwsConfig()), CloudWatchConfig(period=period))
    loop = CloudWatchLoop(door, lambda: "golden", lambda _: None, lambda: now[0], Minutes(period))
    memory = Memory()
    for poll in scenario(name)[0]:
        now[0] = poll["time"]
        memory, report = step(memory, snapshot(name, poll))
        loop.take(report)
        await loop.tend()
    now[0] = FIRST + 120.0
    await loop.flush(5.0)
    await door.close()


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_poll_is_right_where_each_has_a_point_of_its_own(name: str, told: Any) -> None:
    wanted: dict[int, dict[str, float]] = {}
    polls, expected = scenario(name)
    for poll, answers in zip(polls, expected, strict=True):
        values = {GAINS[it]: gain for it, gain in answers["counter_delta"].items()}
        for family, names in GAUGES.items():
            values |= dict.fromkeys(names, answers["gauges_sum"][family])
        values["nodesRead"] = len(answers["targets_ok"])
        values["nodesExpected"] = len(answers["targets_ok"]) + len(answers["targets_failed"])
        wanted[int(poll["time"]) // 30 * 30] = values
    found = told(name, 30)
    assert wanted == {
        minute: {it: found[minute][it] for it in values} for minute, values in wanted.items()
    }


@pytest.mark.parametrize("name", SCENARIOS)
def test_of_two_polls_in_a_minute_gains_add_up_and_the_last_gauges_stand(
    name: str, told: Any
) -> None:
    first, second, third = scenario(name)[1]
    found = told(name, 60)
    assert sorted(found) == [FIRST, FIRST + 60]
    for family, gain in GAINS.items():
        both = [poll["counter_delta"].get(family, 0) for poll in (first, second)]
        assert found[FIRST][gain] == sum(both), gain
        assert found[FIRST + 60][gain] == third["counter_delta"].get(family, 0), gain
    for family, names in GAUGES.items():
        for gauge in names:
            assert found[FIRST][gauge] == second["gauges_sum"][family]
            assert found[FIRST + 60][gauge] == third["gauges_sum"][family]


# By scenario and poll, what cni-metrics-helper publishes over the same pages and what is right.
WRONG_THERE = {
    "01_two_nodes_steady": {
        "addReqCount": ([40, 45, 52], [0, 8, 7]),
        "delReqCount": ([30, 33, 33], [0, 4, 5]),
        "ec2ApiReqCount": ([6, 6, 9], [0, 1, 3]),
    },
    "02_three_nodes_counter_reset": {
        "addReqCount": ([10, 7, 9], [0, 8, 40]),
        "delReqCount": ([3, 3, 6], [0, 3, 13]),
    },
    "03_churn_and_unreachable": {
        "addReqCount": ([60, 12, 10], [0, 3, 38]),
        "delReqCount": ([56, 4, 5], [0, 1, 21]),
    },
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_where_cni_metrics_helper_is_wrong_the_points_are_right(name: str, told: Any) -> None:
    theirs = json.loads((POLLS / name / "cni_metrics_helper_gives.json").read_text())
    found = told(name, 30)
    ours = [found[minute] for minute in sorted(found)]
    assert {
        metric: ([it["published"][metric] for it in theirs], [it[metric] for it in ours])
        for metric in WRONG_THERE[name]
    } == WRONG_THERE[name]


def pages(name: str, poll: Mapping[str, Any]) -> dict[tuple[str, str], tuple[float, float]]:
    """Calls and milliseconds by pod and API, as prometheus_client's parser reads the pages."""
    found: dict[tuple[str, str], tuple[float, float]] = {}
    for pod in poll["targets"]:
        text = (POLLS / name / poll["dir"] / f"{pod}.prom").read_text()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                place = pod, sample.labels.get("api", "")
                calls, spent = found.get(place, (0.0, 0.0))
                if sample.name == "awscni_aws_api_latency_ms_count":
                    found[place] = calls + sample.value, spent
                elif sample.name == "awscni_aws_api_latency_ms_sum":
                    found[place] = calls, spent + sample.value
    return found


def test_the_times_of_calls_are_the_means_of_each_node_and_api(told: Any) -> None:
    name = "01_two_nodes_steady"  # nothing restarts there
    polls, _ = scenario(name)
    found = told(name, 30)
    assert any("awsAPILatency" in minute for minute in found.values())
    for before, now in pairwise(polls):
        was = pages(name, before)
        gained = [
            (calls - was.get(place, (0, 0))[0], spent - was.get(place, (0, 0))[1])
            for place, (calls, spent) in pages(name, now).items()
        ]
        means = [spent / calls for calls, spent in gained if calls]
        minute = found[int(now["time"]) // 30 * 30]
        if not means:
            assert "awsAPILatency" not in minute
            continue
        assert minute["awsAPILatency"] == minute["awsAPILatencyMilliseconds"]
        assert minute["awsAPILatency"] == pytest.approx(
            {
                "SampleCount": sum(calls for calls, _ in gained),
                "Sum": sum(spent for _, spent in gained),
                "Minimum": min(means),
                "Maximum": max(means),
            }
        )
    # The incumbent's is the largest 99th percentile, which no CNI since v1.8 tells: always 0.
    gives = json.loads((POLLS / SCENARIOS[1] / "cni_metrics_helper_gives.json").read_text())
    assert {it["published"]["awsAPILatency"] for it in gives} == {0}
