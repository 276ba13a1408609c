"""The books' minutes, and CloudWatch as a part of every simulation."""

from __future__ import annotations

import asyncio

from botocore.exceptions import BotoCoreError, ClientError

from exporter.sim.facts import Facts, Gauges, series
from exporter.sim.ledger import Ledger, Reader
from exporter.sim.minutes import Minute
from tests.sim.client import name, on_loop, page, read_all, small
from tests.sim.cloudwatch_parts import client
from tests.sim.test_control import Remote

POD = Reader("pod-1", "node-1", 0.0)
NOTHING = dict.fromkeys(
    (
        "addReqCount",
        "awsAPIErr",
        "awsUtilErr",
        "delReqCount",
        "ec2ApiErrCount",
        "ec2ApiReqCount",
        "forceRemoveENI",
        "forceRemoveIPs",
        "ipamdErr",
        "noAvailableIPs",
        "podENIErr",
        "reconcileCount",
    ),
    0.0,
)


def facts(started: float = 5.0, **counts: float) -> Facts:
    """A page that counts so many requests, repairs and calls by now."""
    labels = {"api": "CreateTags", "error": "false", "status": "200"}
    failed = {**labels, "error": "true", "status": "RequestLimitExceeded"}
    counters = {
        series("awscni_add_ip_req_count"): counts.get("adds", 0),
        series("awscni_reconcile_count", fn="eniReconcileAdd"): counts.get("repairs", 0),
        series("awscni_reconcile_count", fn="eniDataStorePoolReconcileAdd"): counts.get("cidrs", 0),
        series("awscni_ec2api_error_count", fn="CreateTags"): counts.get("refused", 0),
        series("awscni_aws_api_latency_ms_count", **labels): counts.get("calls", 0),
        series("awscni_aws_api_latency_ms_sum", **labels): counts.get("spent", 0),
        series("awscni_aws_api_latency_ms_count", **failed): counts.get("refused", 0),
        series("awscni_aws_api_latency_ms_sum", **failed): 100 * counts.get("refused", 0),
    }
    return Facts(Gauges(5, 18, 2, 3, 27, 0), counters, started)


def ledger() -> Ledger:
    return Ledger(lambda: 100.0)


def test_a_minute_tells_what_its_pages_showed_first() -> None:
    books = ledger()
    books.served(POD, facts(adds=100, cidrs=5))
    assert books.minute().told() == NOTHING
    books.served(POD, facts(adds=103, cidrs=9, repairs=2))
    books.served(POD, facts(adds=104, cidrs=9, repairs=2))
    assert books.minute().told() == {**NOTHING, "addReqCount": 4, "reconcileCount": 2}


def test_a_minute_without_a_page_tells_nothing() -> None:
    assert ledger().minute().told() == {}
    assert Minute().told() == {}


def test_calls_of_one_api_are_one_mean_whether_they_failed_or_not() -> None:
    books = ledger()
    books.served(POD, facts())
    other = Reader("pod-2", "node-2", 0.0)
    books.served(other, facts())
    books.served(POD, facts(calls=3, spent=20, refused=1))
    books.served(other, facts(calls=2, spent=4))
    statistics = {"SampleCount": 6, "Sum": 124, "Minimum": 2, "Maximum": 30}
    assert books.minute().told() == {
        **NOTHING,
        "ec2ApiErrCount": 1,
        "awsAPILatency": statistics,
        "awsAPILatencyMilliseconds": statistics,
    }


def test_a_reader_that_begins_anew_begins_a_minute() -> None:
    books = ledger()
    books.served(POD, facts(adds=100))
    books.served(POD, facts(adds=103))
    books.forget()
    assert books.minute().told() == {}


@on_loop
async def test_the_gauges_are_those_of_the_nodes_that_answer() -> None:
    async with small(3) as sim:
        await sim.set_fault([name(sim)], "refuse")
        await read_all(sim)
        told = sim.minute()
    assert {it: told[it] for it in ("nodesExpected", "nodesRead", "ipamdActionInProgress")} == {
        "nodesExpected": 3,
        "nodesRead": 2,
        "ipamdActionInProgress": 0,
    }
    assert told["coveragePercent"] == 100 * 2 / 3
    assert told["assignIPAddresses"] == told["totalAssignedIPv4sPerCidr"]


@on_loop
async def test_every_simulation_has_a_cloudwatch_that_control_can_look_into_and_trouble() -> None:
    async with small(2) as sim, Remote(sim) as remote:
        environment = sim.cloudwatch.environment()
        put = client(environment["AWS_ENDPOINT_URL_CLOUDWATCH"]).put_metric_data
        datum = {"MetricName": "m", "Value": 1.0}

        async def published() -> bool:
            # It blocks, so it runs beside the loop.
            try:
                await asyncio.to_thread(put, Namespace="Kubernetes", MetricData=[datum])
            except (BotoCoreError, ClientError):
                return False
            return True

        ended = [await published()]
        for trouble in ("throttled", None, "down", None):
            assert await remote.call("POST", "/cloudwatch", trouble=trouble) == (200, {})
            ended.append(await published())
        status, state = await remote.call("GET", "/cloudwatch")
    assert ended == [True, False, True, False, True]
    assert (status, len(state["data"]), len(state["calls"])) == (200, 3, 3)
    assert state["requests"] == {"ok": 3, "Throttling": 1}
    assert set(environment) == {
        "AWS_ENDPOINT_URL_CLOUDWATCH",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_EC2_METADATA_DISABLED",
    }


@on_loop
async def test_a_trouble_that_does_not_exist_is_refused() -> None:
    async with small(1) as sim, Remote(sim) as remote:
        status, said = await remote.call("POST", "/cloudwatch", trouble="sulking")
    assert (status, "sulking" in said["error"]) == (400, True)


@on_loop
async def test_control_ends_a_minute_and_begins_the_next() -> None:
    async with small(1) as sim, Remote(sim) as remote:
        await page(sim)
        _, first = await remote.call("POST", "/minute")
        _, second = await remote.call("POST", "/minute")
    assert first["addReqCount"] == 0
    assert "addReqCount" not in second
    assert first["nodesExpected"] == second["nodesExpected"] == 1
