"""The simulated CloudWatch as boto3 meets it: what it takes and refuses, and how it fails."""

from __future__ import annotations

import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore import exceptions

from exporter.sim.cloudwatch_api import Trouble, shown
from exporter.sim.cloudwatch_rules import MOST_BYTES
from tests.sim.cloudwatch_parts import NOW, REGION, TONGUES, client, refusal, served, troubled

DAY = 86_400.0
STATISTICS = {"SampleCount": 3.0, "Sum": 30.0, "Minimum": 5.0, "Maximum": 15.0}
tongues = pytest.mark.parametrize("tongue", TONGUES)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(NOW + seconds, UTC)


def datum(**more: Any) -> dict[str, Any]:
    """A datum that is right but for what is said; None leaves a member out."""
    whole = {
        "MetricName": "addReqCount",
        "Dimensions": [{"Name": "CLUSTER_ID", "Value": "prod"}],
        "Timestamp": at(-60),
        "Unit": "Count",
        "Value": 7.0,
        **more,
    }
    return {name: value for name, value in whole.items() if value is not None}


def request(*data: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Namespace": "Kubernetes", "MetricData": list(data) or [datum()], **more}


@tongues
def test_what_is_taken_is_kept_word_for_word(tongue: str) -> None:
    statistics = datum(MetricName="awsAPILatency", Value=None, StatisticValues=STATISTICS)
    fine = datum(MetricName="fine", Unit=None, StorageResolution=1, Dimensions=None)
    with served() as (api, url):
        answer = client(url, tongue).put_metric_data(**request(datum(), statistics, fine))
        kept = shown(api.taken)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    whole = {
        "call": 0,
        "time": NOW,
        "namespace": "Kubernetes",
        "name": "addReqCount",
        "dimensions": {"CLUSTER_ID": "prod"},
        "timestamp": NOW - 60,
        "unit": "Count",
        "value": 7.0,
        "resolution": 60,
    }
    assert kept == [
        whole,
        {**whole, "name": "awsAPILatency", "value": STATISTICS},
        {**whole, "name": "fine", "unit": "None", "resolution": 1, "dimensions": {}},
    ]


@tongues
def test_a_large_request_comes_compressed(tongue: str) -> None:
    with served() as (api, url):
        client(url, tongue).put_metric_data(**request(*[datum()] * 1000))
        client(url, tongue).put_metric_data(**request())
        client(url, tongue, disable_request_compression=True).put_metric_data(
            **request(*[datum()] * 1000)
        )
    large, small, plain = api.taken
    assert large.sent_bytes * 20 < large.bytes == plain.bytes == plain.sent_bytes
    assert small.sent_bytes == small.bytes


@tongues
@pytest.mark.parametrize(
    ("more", "code"),
    [
        pytest.param({"MetricName": "n" * 256}, "InvalidParameterValue", id="a long name"),
        pytest.param({"MetricName": "größe"}, "InvalidParameterValue", id="no ASCII name"),
        pytest.param(
            {"Dimensions": [{"Name": f"d{n}", "Value": "v"} for n in range(31)]},
            "InvalidParameterValue",
            id="31 dimensions",
        ),
        pytest.param(
            {"Dimensions": [{"Name": ":d", "Value": "v"}]},
            "InvalidParameterValue",
            id="a dimension with a colon",
        ),
        pytest.param(
            {"Dimensions": [{"Name": "d", "Value": "  "}]},
            "InvalidParameterValue",
            id="a dimension of blanks",
        ),
        pytest.param(
            {"Dimensions": [{"Name": "d", "Value": "v" * 1025}]},
            "InvalidParameterValue",
            id="a dimension too long",
        ),
        pytest.param({"Unit": "Addresses"}, "InvalidParameterValue", id="no unit"),
        pytest.param({"StorageResolution": 5}, "InvalidParameterValue", id="no resolution"),
        pytest.param(
            {"Timestamp": at(-14 * DAY - 1)}, "InvalidParameterValue", id="older than two weeks"
        ),
        pytest.param({"Timestamp": at(7201)}, "InvalidParameterValue", id="two hours ahead"),
        pytest.param({"Value": None}, "MissingParameter", id="no value"),
        pytest.param({"Value": 2.0**361}, "InvalidParameterValue", id="too large"),
        pytest.param(
            {"StatisticValues": STATISTICS}, "InvalidParameterCombination", id="two kinds of value"
        ),
        pytest.param(
            {"Value": None, "StatisticValues": {**STATISTICS, "SampleCount": 0.0}},
            "InvalidParameterValue",
            id="a set of nothing",
        ),
        pytest.param(
            {"Value": None, "StatisticValues": {**STATISTICS, "Minimum": 20.0}},
            "InvalidParameterValue",
            id="a minimum above the maximum",
        ),
        pytest.param(
            {"Value": None, "Values": [float(n) for n in range(151)]},
            "InvalidParameterValue",
            id="151 values",
        ),
        pytest.param(
            {"Value": None, "Values": [1.0, 2.0], "Counts": [1.0]},
            "InvalidParameterValue",
            id="counts of some values",
        ),
    ],
)
def test_one_wrong_datum_refuses_the_whole_call(
    more: dict[str, Any], code: str, tongue: str
) -> None:
    with served() as (api, url):
        assert refusal(url, tongue, **request(datum(), datum(**more))) == (code, 400)
        assert api.taken == []


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"MetricName": "n" * 255}, id="a name"),
        pytest.param(
            {"Dimensions": [{"Name": f"d{n}", "Value": "v" * 1024} for n in range(30)]},
            id="dimensions",
        ),
        pytest.param({"Timestamp": at(-14 * DAY + 1)}, id="age"),
        pytest.param({"Timestamp": at(7199)}, id="time ahead"),
        pytest.param({"Value": -(2.0**360)}, id="a value"),
        pytest.param(
            {"Value": None, "Values": [float(n) for n in range(150)], "Counts": [2.0] * 150},
            id="values",
        ),
        pytest.param({"Value": None, "StatisticValues": {**STATISTICS, "Minimum": 15.0}}, id="set"),
    ],
)
def test_at_its_limit_a_datum_is_taken(more: dict[str, Any]) -> None:
    with served() as (api, url):
        client(url).put_metric_data(**request(datum(**more)))
        assert len(api.taken) == 1


@pytest.mark.parametrize(
    ("namespace", "code"),
    [
        pytest.param("AWS/EKS", "InvalidParameterValue", id="of AWS's"),
        pytest.param(":own", "InvalidParameterValue", id="with a colon"),
        pytest.param("n" * 256, "InvalidParameterValue", id="too long"),
    ],
)
def test_a_namespace_may_not_be(namespace: str, code: str) -> None:
    with served() as (_, url):
        assert refusal(url, **request(Namespace=namespace)) == (code, 400)


@tongues
def test_a_call_has_up_to_a_thousand_data(tongue: str) -> None:
    with served() as (api, url):
        client(url, tongue).put_metric_data(**request(*[datum()] * 1000))
        too_many = refusal(url, tongue, **request(*[datum()] * 1001))
        assert too_many == ("InvalidParameterValue", 400)
        none = refusal(url, tongue, Namespace="Kubernetes", MetricData=[])
        assert none == ("MissingParameter", 400)
        assert len(api.taken) == 1


@tongues
def test_a_call_has_up_to_a_megabyte_however_small_it_is_in_gzip(tongue: str) -> None:
    wide = datum(Dimensions=[{"Name": f"d{n}", "Value": "v" * 1000} for n in range(30)])
    with served() as (api, url):
        client(url, tongue).put_metric_data(**request(*[wide] * 30))
        assert 900_000 < api.taken[0].bytes < MOST_BYTES
        assert refusal(url, tongue, **request(*[wide] * 40)) == ("RequestEntityTooLarge", 413)


@tongues
@pytest.mark.parametrize(
    ("trouble", "code", "status"),
    [
        ("throttled", "Throttling", 400),
        ("denied", "AccessDenied", 403),
        ("expired", "ExpiredToken", 403),
        ("skewed", "InvalidSignatureException", 403),
        ("error_500", "InternalServiceError", 500),
    ],
)
def test_a_refusal_takes_nothing(trouble: str, code: str, status: int, tongue: str) -> None:
    with served() as (api, url):
        troubled(api, trouble)
        assert refusal(url, tongue, **request()) == (code, status)
        assert api.taken == []


@pytest.mark.parametrize(
    ("trouble", "error", "taken"),
    [
        ("hang", exceptions.ReadTimeoutError, 0),
        ("stalled", exceptions.ReadTimeoutError, 1),
        ("reset", exceptions.ConnectionClosedError, 0),
        ("lost", exceptions.ConnectionClosedError, 1),
        ("cut_off", exceptions.ConnectionClosedError, 1),
    ],
)
def test_without_an_answer_nobody_knows_whether_it_was_taken(
    trouble: str, error: type[Exception], taken: int
) -> None:
    with served() as (api, url):
        troubled(api, trouble)
        with pytest.raises(error):
            client(url).put_metric_data(**request())
        assert len(api.taken) == taken
        assert api.requests == {trouble: 1}


def test_a_slow_answer_comes() -> None:
    with served() as (api, url):
        troubled(api, "slow", seconds=0.05)
        client(url).put_metric_data(**request())
        assert len(api.taken) == 1


def test_one_metrics_data_can_be_unwelcome() -> None:
    with served() as (api, url):
        troubled(api, "invalid", metric="bad")
        client(url).put_metric_data(**request(datum()))
        both = refusal(url, **request(datum(), datum(MetricName="bad")))
        assert both == ("InvalidParameterValue", 400)
        assert len(api.taken) == 1


def test_a_trouble_comes_after_some_calls_and_goes_after_some() -> None:
    with served() as (api, url):
        troubled(api, "throttled", after=1, times=2)
        told = client(url)
        for refused in (False, True, True, False, False):
            if refused:
                with pytest.raises(exceptions.ClientError):
                    told.put_metric_data(**request())
            else:
                told.put_metric_data(**request())
        assert api.requests == {"ok": 3, "Throttling": 2}


def test_a_call_must_be_signed_for_this_region() -> None:
    with served() as (api, url):
        with pytest.raises(exceptions.ClientError) as error:
            client(url, region="us-east-1").put_metric_data(**request())
        assert error.value.response["Error"]["Code"] == "SignatureDoesNotMatch"
        bare = urllib.request.Request(url, b"{}", method="POST")
        bare.add_header("X-Amz-Target", "GraniteServiceVersion20100801.PutMetricData")
        with pytest.raises(urllib.error.HTTPError) as unsigned:
            urllib.request.urlopen(bare, timeout=5)
        with unsigned.value as answer:
            assert (answer.code, b"MissingAuthenticationToken" in answer.read()) == (403, True)
        assert (api.taken, api.region) == ([], REGION)


@pytest.mark.parametrize(
    ("target", "body", "status"),
    [
        pytest.param("GraniteServiceVersion20100801.PutMetricData", b"{", 400, id="half an object"),
        pytest.param("GraniteServiceVersion20100801.PutMetricData", b"[]", 400, id="no object"),
        pytest.param("GraniteServiceVersion20100801.ListMetrics", b"{}", 400, id="another action"),
        pytest.param("DynamoDB_20120810.PutItem", b"{}", 404, id="another service"),
    ],
)
def test_what_is_no_call_is_refused(target: str, body: bytes, status: int) -> None:
    scope = f"Credential=A/20260101/{REGION}/monitoring/aws4_request, SignedHeaders=host"
    with served() as (api, url):
        call = urllib.request.Request(url, body, method="POST")
        call.add_header("X-Amz-Target", target)
        call.add_header("Authorization", f"AWS4-HMAC-SHA256 {scope}")
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(call, timeout=5)
        with error.value as answer:
            assert answer.code == status
        assert api.taken == []


def test_every_trouble_has_been_met() -> None:
    met = {"throttled", "denied", "expired", "skewed", "error_500", "invalid", "slow"}
    assert {it.value for it in Trouble} == met | {"hang", "stalled", "reset", "lost", "cut_off"}
