"""Points in a moto server, asked for as dashboards and alarms ask CloudWatch."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest

from exporter.aws import Account, AwsConfig
from exporter.cloudwatch_loop import CloudWatchLoop
from exporter.core.counters import (
    ADD_REQUESTS,
    AWS_API_MILLISECONDS,
    AWS_API_TIMED_CALLS,
    DEL_REQUESTS,
    Series,
)
from exporter.core.points import Minutes
from exporter.core.report import Memory, step
from exporter.outputs.cloudwatch import CloudWatch, CloudWatchConfig
from tests.builders import read, reading, snapshot, subnet_usage
from tests.contracts.test_cloudwatch_dashboards import ALL, DASHBOARD
from tests.inputs.aws_answers import REGION, aws

__all__ = ["aws"]

pytestmark = pytest.mark.real

try:
    from moto.server import ThreadedMotoServer
except ImportError:
    if os.environ.get("CI"):
        raise
    pytest.skip("moto is not on this machine", allow_module_level=True)

ADDS, DELS = Series(ADD_REQUESTS, ()), Series(DEL_REQUESTS, ("PodDeleted",))
CALLS, SPENT = (
    Series(family, ("CreateTags",)) for family in (AWS_API_TIMED_CALLS, AWS_API_MILLISECONDS)
)
# Two cycles in each of two minutes: second, pods, requests, calls and their milliseconds.
CYCLES = (
    (5, 5, 100, 40, 10, 900),
    (35, 7, 103, 40, 12, 1000),
    (65, 9, 110, 44, 13, 1010),
    (95, 8, 112, 45, 16, 1600),
)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


async def publish(minute: int) -> None:
    """Publish two minutes, the second of them with all of one subnet."""
    now = [float(minute)]
    door = CloudWatch(Account(AwsConfig()), CloudWatchConfig())
    loop = CloudWatchLoop(door, lambda: "prod", lambda _: None, lambda: now[0], Minutes(60))
    memory = Memory()
    for second, pods, adds, dels, calls, spent in CYCLES:
        now[0] = float(minute + second)
        said = {ADDS: adds, DELS: dels, CALLS: calls, SPENT: spent}
        what = reading(time=now[0], assigned=pods, said=said)
        memory, report = step(memory, snapshot(read(what=what), time=now[0]))
        loop.take(report)
        await loop.tend()
    loop.take_subnets([subnet_usage("subnet-a")], surveyed=True)
    now[0] = float(minute + 131)
    await loop.tend()
    assert loop.outbox.points == ()
    await door.close()


class Asker:
    """Asks a CloudWatch for statistics over one minute."""

    def __init__(self, url: str) -> None:
        session = botocore.session.get_session()
        self._client: Any = session.create_client(
            "cloudwatch", region_name=REGION, endpoint_url=url
        )

    def over(self, minute: int, name: str, unit: str, **more: str) -> Mapping[str, float]:
        """Return all statistics of the one minute."""
        dimensions = {"CLUSTER_ID": "prod", **more}
        statistics = ["Sum", "Average", "Maximum", "Minimum", "SampleCount"]
        said = self._client.get_metric_statistics(
            Namespace="Kubernetes",
            MetricName=name,
            Dimensions=[{"Name": it, "Value": value} for it, value in dimensions.items()],
            StartTime=datetime.fromtimestamp(minute, UTC),
            EndTime=datetime.fromtimestamp(minute + 60, UTC),
            Period=60,
            Statistics=statistics,
            Unit=unit,
        )
        (point,) = said["Datapoints"]
        return {name: point[name] for name in statistics}


def test_sum_average_and_maximum_over_a_minute_are_all_right(
    moto: str, aws: pytest.MonkeyPatch
) -> None:
    aws.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", moto)
    minute = int(time.time()) // 60 * 60 - 600
    asyncio.run(publish(minute))
    asker = Asker(moto)

    def once(value: float) -> dict[str, float]:
        return {**dict.fromkeys(("Sum", "Average", "Maximum", "Minimum"), value), "SampleCount": 1}

    found = {
        (name, number): asker.over(minute + 60 * number, name, "Count")
        for name in ("assignIPAddresses", "addReqCount", "delReqCount", "nodesRead")
        for number in (0, 1)
    }
    assert found == {
        ("assignIPAddresses", 0): once(7),
        ("assignIPAddresses", 1): once(8),
        ("addReqCount", 0): once(3),
        ("addReqCount", 1): once(9),
        ("delReqCount", 0): once(0),
        ("delReqCount", 1): once(5),
        ("nodesRead", 0): once(1),
        ("nodesRead", 1): once(1),
    }
    # 2 calls of 50 ms; then one of 10 ms, and 3 of 590 ms together.
    for name, unit in (("awsAPILatency", "Count"), ("awsAPILatencyMilliseconds", "Milliseconds")):
        assert asker.over(minute, name, unit) == {
            "Sum": 100,
            "Average": 50,
            "Maximum": 50,
            "Minimum": 50,
            "SampleCount": 2,
        }
        assert asker.over(minute + 60, name, unit) == {
            "Sum": 600,
            "Average": 150,
            "Maximum": 590 / 3,
            "Minimum": 10,
            "SampleCount": 4,
        }
    assert asker.over(minute + 60, "subnetFreeIPs", "Count", SubnetId="subnet-a") == once(151)
    percent = asker.over(minute + 60, "subnetUtilizationPercent", "Percent", SubnetId="subnet-a")
    assert percent["Average"] == pytest.approx(100 * (1 - 167 / 251))


def test_a_cloudwatch_takes_the_dashboard_and_every_alarm_as_they_are(
    moto: str, aws: pytest.MonkeyPatch
) -> None:
    aws.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", moto)
    client: Any = botocore.session.get_session().create_client("cloudwatch", region_name=REGION)
    for alarm in ALL.values():
        client.put_metric_alarm(**alarm)
    kept = {it["AlarmName"]: it for it in client.describe_alarms()["MetricAlarms"]}
    for alarm in ALL.values():
        assert {name: kept[alarm["AlarmName"]].get(name) for name in alarm} == alarm
    assert len(kept) == len(ALL)
    body = json.dumps(DASHBOARD)
    client.put_dashboard(DashboardName="vpc-cni", DashboardBody=body)
    assert client.get_dashboard(DashboardName="vpc-cni")["DashboardBody"] == body
