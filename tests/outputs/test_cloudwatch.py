"""The door to CloudWatch over real HTTP: what it sends, and what it makes of every trouble."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, TypeVar

import botocore.session
import pytest
from botocore.exceptions import HTTPClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.aws import Account
from exporter.aws.errors import Refused, Untrusted
from exporter.core.catalog import Measure
from exporter.core.counters import Timings
from exporter.core.model import Invalid, Unanswered, Unavailable
from exporter.core.points import MAX_DIMENSION, Point
from exporter.outputs.cloudwatch import MAX_BYTES, CloudWatch, CloudWatchConfig, datum
from exporter.sim.cloudwatch_api import CloudWatchApi, shown
from tests.conftest import NetworkRefused
from tests.inputs.aws_answers import SECRET, asked, aws
from tests.inputs.ec2_answers import FakeEc2, serving
from tests.sim.cloudwatch_parts import NOW, REGION, served, troubled

__all__ = ["aws"]

T = TypeVar("T")
MINUTE = int(NOW) // 60 * 60

ADDS = Point("addReqCount", "Count", Measure.GAIN, MINUTE, 7)
TIMES = Point(
    "awsAPILatencyMilliseconds",
    "Milliseconds",
    Measure.TIMINGS,
    MINUTE,
    Timings(calls=3, milliseconds=30, quickest=5, slowest=15),
)
FREE = Point("subnetFreeIPs", "Count", Measure.GAUGE, MINUTE, 151, "subnet-a")


@pytest.fixture
def cloudwatch(aws: pytest.MonkeyPatch) -> Iterator[CloudWatchApi]:
    with served() as (api, url):
        aws.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", url)
        yield api


def use(call: Callable[[CloudWatch], Awaitable[T]], **config: Any) -> T:
    """Return what a call of the door returns."""

    def opened(account: Account, **its_own: Any) -> CloudWatch:
        return CloudWatch(account, CloudWatchConfig(**its_own))

    return asked(opened, call, **{"silence_seconds": 0.5, **config})


def send(points: Sequence[Point] = (ADDS,), cluster: str = "prod", **config: Any) -> None:
    use(lambda door: door.send(points, cluster), **config)


def trouble(points: Sequence[Point] = (ADDS,), **config: Any) -> Unavailable:
    """Return what the door raises."""
    with pytest.raises(Unavailable) as told:
        send(points, **config)
    assert SECRET not in str(told.value)
    assert told.value.system == "cloudwatch"
    return told.value


def test_a_point_goes_out_with_its_time_its_unit_and_its_dimensions(
    cloudwatch: CloudWatchApi,
) -> None:
    send([ADDS, TIMES, FREE])
    whole = {
        "call": 0,
        "time": NOW,
        "namespace": "Kubernetes",
        "name": "addReqCount",
        "dimensions": {"CLUSTER_ID": "prod"},
        "timestamp": MINUTE,
        "unit": "Count",
        "value": 7,
        "resolution": 60,
    }
    assert shown(cloudwatch.taken) == [
        whole,
        {
            **whole,
            "name": "awsAPILatencyMilliseconds",
            "unit": "Milliseconds",
            "value": {"SampleCount": 3, "Sum": 30, "Minimum": 5, "Maximum": 15},
        },
        {
            **whole,
            "name": "subnetFreeIPs",
            "dimensions": {"CLUSTER_ID": "prod", "SubnetId": "subnet-a"},
            "value": 151,
        },
    ]


@pytest.mark.parametrize(("period", "resolution"), [(60, 60), (300, 60), (1, 1), (30, 1), (90, 1)])
def test_points_of_parts_of_a_minute_are_of_high_resolution(
    period: int, resolution: int, cloudwatch: CloudWatchApi
) -> None:
    send(period=period, namespace="Team")
    (kept,) = shown(cloudwatch.taken)
    assert (kept["resolution"], kept["namespace"]) == (resolution, "Team")


def test_a_minutes_points_are_compressed(cloudwatch: CloudWatchApi) -> None:
    send([ADDS] * 26)
    (call,) = cloudwatch.taken
    assert call.sent_bytes * 8 < call.bytes


class TestOneCall:
    def test_has_up_to_a_thousand_points(self, cloudwatch: CloudWatchApi) -> None:
        async def both(door: CloudWatch) -> tuple[int, int]:
            many = [ADDS] * 1500
            fitting = door.fitting(many, "prod")
            await door.send(many[:fitting], "prod")
            return fitting, door.fitting(many[:999], "prod")

        assert use(both) == (1000, 999)
        assert [len(it.data) for it in cloudwatch.taken] == [1000]

    def test_has_up_to_a_megabyte_before_compression(self, cloudwatch: CloudWatchApi) -> None:
        cluster = 'a "\\' * (MAX_DIMENSION // 4)

        async def both(door: CloudWatch) -> int:
            fitting = door.fitting([ADDS] * 1000, cluster)
            await door.send([ADDS] * fitting, cluster)
            return fitting

        assert 400 < use(both) < 600
        assert cloudwatch.taken[0].bytes > MAX_BYTES * 0.8

    def test_has_one_point_however_large(self, aws: pytest.MonkeyPatch) -> None:
        async def fitting(door: CloudWatch) -> tuple[int, int]:
            return door.fitting([ADDS], "c" * MAX_BYTES), door.fitting([], "prod")

        assert use(fitting) == (1, 0)


NUMBERS = st.floats(-(2.0**360), 2.0**360, allow_nan=False)
NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=60)
POINTS = st.builds(
    Point,
    name=NAMES,
    unit=st.sampled_from(["Count", "Percent", "Milliseconds"]),
    measure=st.just(Measure.GAIN),
    time=st.integers(0, 4_000_000_000),
    value=st.one_of(NUMBERS, st.builds(Timings, NUMBERS, NUMBERS, NUMBERS, NUMBERS)),
    subnet=st.sampled_from(["", "subnet-0123456789abcdef0"]),
)


@given(st.lists(POINTS, min_size=1, max_size=30), NAMES, st.integers(1, 60))
@settings(max_examples=60)
def test_a_calls_body_is_never_larger_than_it_was_taken_for(
    points: list[Point], cluster: str, period: int
) -> None:
    """What botocore makes of the points, against what `fitting` counts for them."""
    taken_for = 400 + sum(
        400 + len(it.name) + len(json.dumps(cluster)) + len(it.subnet) for it in points
    )
    data = [datum(it, cluster, period=period) for it in points]
    body = SERIALIZER({"Namespace": "Kubernetes" * 25, "MetricData": data})
    assert len(body) <= taken_for


def _serializer() -> Callable[[dict[str, Any]], bytes]:
    session = botocore.session.Session()
    session.set_credentials("A", "b")
    client = session.create_client("cloudwatch", region_name=REGION)
    operation = client.meta.service_model.operation_model("PutMetricData")

    def body(request: dict[str, Any]) -> bytes:
        made: bytes = client._serializer.serialize_to_request(request, operation)["body"]
        return made

    return body


SERIALIZER = _serializer()


TROUBLES = {
    "throttled": (Unavailable, "PutMetricData was throttled (Throttling)", "throttled"),
    "denied": (Refused, "PutMetricData is not allowed (AccessDenied)", "refused"),
    "expired": (Untrusted, "the credentials have expired (ExpiredToken)", "refused"),
    "skewed": (
        Untrusted,
        "the credentials are not accepted (InvalidSignatureException)",
        "refused",
    ),
    "error_500": (Unavailable, "PutMetricData failed (HTTP 500 InternalServiceError)", "failed"),
    "invalid": (Invalid, "PutMetricData is not acceptable (InvalidParameterValue)", "failed"),
    "hang": (Unanswered, "timed out", "failed"),
    "stalled": (Unanswered, "timed out", "failed"),
    "reset": (Unanswered, "the connection was closed", "failed"),
    "lost": (Unanswered, "the connection was closed", "failed"),
    "cut_off": (Unanswered, "the connection was closed", "failed"),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_trouble_is_told_by_whether_the_points_may_have_been_taken(
    name: str, cloudwatch: CloudWatchApi
) -> None:
    kind, reason, outcome = TROUBLES[name]
    troubled(cloudwatch, name, times=1, metric="addReqCount")

    async def twice(door: CloudWatch) -> dict[tuple[str, str, str], int]:
        with pytest.raises(Unavailable) as told:
            await door.send([ADDS], "prod")
        assert (type(told.value), told.value.reason) == (kind, reason)
        await door.send([ADDS], "prod")
        return dict(door.requests)

    requests = use(twice)
    # Each is tried once: it is the loop that repeats.
    assert requests == {
        ("cloudwatch", "PutMetricData", outcome): 1,
        ("cloudwatch", "PutMetricData", "ok"): 1,
    }
    assert len(cloudwatch.taken) == 1 + (name in ("lost", "cut_off", "stalled"))


def test_a_region_that_is_not_the_endpoints_is_not_accepted(
    cloudwatch: CloudWatchApi, aws: pytest.MonkeyPatch
) -> None:
    aws.setenv("AWS_REGION", "us-east-1")
    told = trouble()
    assert isinstance(told, Untrusted)
    assert told.reason == "the credentials are not accepted (SignatureDoesNotMatch)"


def test_a_request_that_botocore_will_not_send_is_not_acceptable(
    cloudwatch: CloudWatchApi,
) -> None:
    wrong = replace(ADDS, name="")
    assert isinstance(trouble([ADDS, wrong]), Invalid)
    assert cloudwatch.taken == []


def test_an_endpoint_that_is_not_there_has_taken_nothing(aws: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    aws.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", f"http://127.0.0.1:{port}")
    told = trouble()
    assert (type(told), told.reason) == (Unavailable, "the endpoint cannot be reached")


def test_an_endpoint_that_answers_byte_by_byte_is_given_up(aws: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        aws.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", f"http://127.0.0.1:{silent.getsockname()[1]}")
        ended = threading.Event()

        def drip() -> None:
            connection, _ = silent.accept()
            with connection:
                while not ended.wait(0.05):
                    connection.sendall(b"H")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        told = trouble(call_seconds=0.3, silence_seconds=5.0)
        ended.set()
    assert (type(told), told.reason) == (Unanswered, "took too long")


def test_without_credentials_nothing_is_asked(
    cloudwatch: CloudWatchApi, aws: pytest.MonkeyPatch
) -> None:
    aws.delenv("AWS_ACCESS_KEY_ID")
    aws.delenv("AWS_SECRET_ACCESS_KEY")
    assert (type(trouble()), trouble().reason) == (Untrusted, "no credentials")
    assert cloudwatch.requests == {}


def test_without_a_region_there_is_nobody_to_ask(
    cloudwatch: CloudWatchApi, aws: pytest.MonkeyPatch
) -> None:
    aws.delenv("AWS_REGION")
    assert trouble().reason == "no region is known"
    send(region=lambda: REGION)
    assert len(cloudwatch.taken) == 1


class TestCredentials:
    def test_of_a_role_for_a_service_account_are_those_of_the_role(
        self, cloudwatch: CloudWatchApi, aws: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "token").write_text("a token")
        aws.delenv("AWS_ACCESS_KEY_ID")
        aws.delenv("AWS_SECRET_ACCESS_KEY")
        aws.setenv("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/cni-metrics")
        aws.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
        with serving(FakeEc2()) as sts:
            aws.setenv("AWS_ENDPOINT_URL_STS", sts.url)
            send()
        assert [it.key for it in cloudwatch.taken] == ["AKIDROLE"]

    def test_of_pod_identity_are_those_of_the_agent(
        self, cloudwatch: CloudWatchApi, aws: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "token").write_text("a token")
        aws.delenv("AWS_ACCESS_KEY_ID")
        aws.delenv("AWS_SECRET_ACCESS_KEY")
        aws.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
        with HTTPServer(("127.0.0.1", 0), _Agent) as agent:
            threading.Thread(target=agent.handle_request, daemon=True).start()
            url = f"http://127.0.0.1:{agent.server_address[1]}/v1/credentials"
            aws.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
            send()
        assert [it.key for it in cloudwatch.taken] == ["AKIDPOD"]


class _Agent(BaseHTTPRequestHandler):
    """The EKS Pod Identity agent."""

    def do_GET(self) -> None:
        assert self.headers["Authorization"] == "a token"
        said = {
            "AccessKeyId": "AKIDPOD",
            "SecretAccessKey": "pod-secret",
            "Token": "t",
            "Expiration": "2099-01-01T00:00:00Z",
        }
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(
    ("environ", "host"),
    [
        pytest.param({}, "monitoring.eu-central-1.amazonaws.com", id="as it is"),
        pytest.param(
            {"AWS_REGION": "us-east-1", "AWS_USE_FIPS_ENDPOINT": "true"},
            "monitoring-fips.us-east-1.amazonaws.com",
            id="FIPS",
        ),
        pytest.param(
            {"AWS_REGION": "cn-north-1"}, "monitoring.cn-north-1.amazonaws.com.cn", id="China"
        ),
        pytest.param(
            {"AWS_REGION": "us-gov-west-1"}, "monitoring.us-gov-west-1.amazonaws.com", id="GovCloud"
        ),
        pytest.param(
            {"AWS_ENDPOINT_URL": "http://vpce.example"}, "vpce.example", id="an endpoint for all"
        ),
    ],
)
def test_the_endpoint_is_the_one_that_botocores_own_variables_name(
    environ: dict[str, str], host: str, aws: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        aws.setenv(name, value)
    told = trouble()
    # The tests' own network ends the call where it would leave this machine.
    cause = told.__cause__
    assert isinstance(cause, HTTPClientError)
    assert repr(cause.kwargs["error"]) == repr(NetworkRefused(f"name look-up of {host!r}"))
