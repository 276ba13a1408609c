"""The door to CloudWatch: points go out by PutMetricData, one call at a time, off the event loop.

When they are sent, again or never, is told in `cloudwatch_loop`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from exporter.aws import Account, Requests, Service, Threads, Use
from exporter.core.counters import Timings
from exporter.core.points import Point

SYSTEM = "cloudwatch"
OPERATION = "PutMetricData"
CLUSTER_DIMENSION = "CLUSTER_ID"
SUBNET_DIMENSION = "SubnetId"

# PutMetricData, API reference: metrics a call, and bytes of its body. Whether these are counted
# before or after compression it leaves open, so the body keeps below it as it is.
MAX_METRICS = 1000
MAX_BYTES = 1_000_000
# A datum without its names, with the longest numbers; a name counts as JSON spells it.
_DATUM_BYTES = 400
# A minute's points are some 5 KB, and a tenth of that in gzip.
_COMPRESS_BYTES = 1024
_MINUTE = 60
_CLOSE_SECONDS = 2.0


# A call is tried once, since it is repeated by those who send.
_USE = Use(service=SYSTEM, operations=(OPERATION,), repeated=False, compress_bytes=_COMPRESS_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudWatchConfig:
    """Where points go: the namespace, and the period that they stand for, in seconds."""

    namespace: str = "Kubernetes"
    period: int = _MINUTE
    # One whole call, look-ups of names and renewal of credentials included.
    call_seconds: float = 14.0


class CloudWatch:
    """Publishes points, all under one cluster's name."""

    def __init__(self, account: Account, config: CloudWatchConfig) -> None:
        self._config = config
        self._threads = Threads(SYSTEM)
        self._service = Service(account, _USE)

    @property
    def call_seconds(self) -> float:
        """After so many seconds a call has ended, whatever became of it."""
        return self._config.call_seconds

    @property
    def requests(self) -> Requests:
        """How many requests there were, by service, operation and outcome."""
        return self._service.requests()

    def fitting(self, points: Sequence[Point], cluster: str) -> int:
        """Return how many of the first points fit into one call; one always does."""
        room, name = MAX_BYTES - _DATUM_BYTES, _spelled(cluster)
        for number, point in enumerate(points[:MAX_METRICS]):
            room -= _DATUM_BYTES + len(point.name) + name + len(point.subnet)
            if room < 0:
                return max(number, 1)
        return min(len(points), MAX_METRICS)

    async def send(self, points: Sequence[Point], cluster: str) -> None:
        """Publish points in one call; raises `Unavailable` alone.

        `Invalid` where CloudWatch will not have one of them, `Unanswered` where it may have taken
        them all; otherwise it took none.
        """
        period = self._config.period
        namespace = self._config.namespace

        def put(_stop: object) -> None:
            data = [datum(point, cluster, period=period) for point in points]
            self._service.call(OPERATION, Namespace=namespace, MetricData=data)

        await self._threads.run(put, seconds=self._config.call_seconds)

    async def close(self) -> None:
        """Close idle connections; calls under way are left to end by themselves."""
        await self._threads.run(lambda _: self._service.close(), seconds=_CLOSE_SECONDS)


def datum(point: Point, cluster: str, *, period: int) -> Mapping[str, Any]:
    """Return a point as PutMetricData takes it."""
    dimensions = [{"Name": CLUSTER_DIMENSION, "Value": cluster}]
    if point.subnet:
        dimensions.append({"Name": SUBNET_DIMENSION, "Value": point.subnet})
    said: dict[str, Any] = {
        "MetricName": point.name,
        "Dimensions": dimensions,
        "Timestamp": datetime.fromtimestamp(point.time, UTC),
        "Unit": point.unit,
    }
    if period % _MINUTE:
        # Otherwise all that is stamped within a minute becomes one.
        said["StorageResolution"] = 1
    if isinstance(point.value, Timings):
        said["StatisticValues"] = {
            "SampleCount": point.value.calls,
            "Sum": point.value.milliseconds,
            "Minimum": point.value.quickest,
            "Maximum": point.value.slowest,
        }
    else:
        said["Value"] = point.value
    return said


def _spelled(text: str) -> int:
    return len(json.dumps(text))
