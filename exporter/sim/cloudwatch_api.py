"""CloudWatch over HTTP on loopback: it keeps what it took, and has every trouble of the way there.

What is spoken is told in `cloudwatch_protocol`, what is taken in `cloudwatch_rules`.
"""

import asyncio
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from aiohttp import web

from exporter.sim.cloudwatch_protocol import Call, call, scope
from exporter.sim.cloudwatch_rules import Datum, check
from exporter.sim.ec2_protocol import Refused

_OPERATION = "PutMetricData"
# More than a call may have, so that a larger one is refused in CloudWatch's words.
_MOST_READ = 64 * 1024 * 1024


class Trouble(StrEnum):
    """Every trouble a call can meet."""

    THROTTLED = "throttled"
    DENIED = "denied"
    EXPIRED = "expired"
    SKEWED = "skewed"
    ERROR_500 = "error_500"
    INVALID = "invalid"  # of the data of one metric
    SLOW = "slow"
    HANG = "hang"  # never taken and never answered
    RESET = "reset"  # before it is read
    LOST = "lost"  # taken, and the connection gone before the answer
    CUT_OFF = "cut_off"  # taken, and the first bytes of the answer sent
    STALLED = "stalled"  # taken, and never answered


_REFUSALS: Mapping[Trouble, tuple[int, str, str]] = {
    Trouble.THROTTLED: (400, "Throttling", "Rate exceeded"),
    Trouble.DENIED: (403, "AccessDenied", "User is not authorized to perform PutMetricData"),
    Trouble.EXPIRED: (403, "ExpiredToken", "The security token included in the request is expired"),
    Trouble.SKEWED: (403, "InvalidSignatureException", "Signature not yet current"),
    Trouble.ERROR_500: (500, "InternalServiceError", "An internal error has occurred"),
}


@dataclass(slots=True)
class Plan:
    """A trouble: after so many good calls, so often (none is for ever), of one metric's data."""

    trouble: Trouble
    times: int | None = None
    after: int = 0
    seconds: float = 1.0
    metric: str = ""

    def next(self) -> bool:
        """Whether this call meets it; counts the call."""
        if self.after:
            self.after -= 1
            return False
        if self.times is not None:
            self.times -= 1
            return self.times >= 0
        return True


@dataclass(frozen=True, slots=True)
class Taken:
    """One call whose data were taken: when, whose, how many bytes came and were meant, and what."""

    time: float
    key: str
    sent_bytes: int
    bytes: int
    namespace: str
    data: list[Datum]


@dataclass(slots=True)
class CloudWatchApi:
    """One CloudWatch in one region; `clock` is what timestamps are held against."""

    region: str
    clock: Callable[[], float] = time.time
    plan: Plan | None = None
    taken: list[Taken] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)

    def application(self) -> web.Application:
        """Return CloudWatch as an aiohttp application."""
        app = web.Application(client_max_size=_MOST_READ)
        app.add_routes([web.post("/{path:.*}", self._answer)])
        return app

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            asked = call(request.path, request.headers)
        except ValueError as error:
            return web.Response(status=404, text=str(error))
        plan = self.plan if self.plan is not None and self.plan.next() else None
        trouble = plan.trouble if plan is not None else None
        if trouble is Trouble.RESET:
            self.requests[trouble] += 1
            return self._reset(request)
        body = await request.read()
        if plan is not None and trouble is Trouble.SLOW:
            await asyncio.sleep(plan.seconds)
        if trouble is Trouble.HANG:
            self.requests[trouble] += 1
            await asyncio.Event().wait()
        try:
            self._take(request, asked, body, plan=plan)
        except Refused as refused:
            self.requests[refused.code] += 1
            headers, said = asked.refused(refused)
            return web.Response(status=refused.status, headers=headers, body=said)
        self.requests[trouble or "ok"] += 1
        if trouble is Trouble.LOST:
            return self._reset(request)
        if trouble is Trouble.CUT_OFF:
            return self._cut_off(request)
        if trouble is Trouble.STALLED:
            await asyncio.Event().wait()
        return web.Response(headers=asked.headers, body=asked.done())

    def _take(self, request: web.Request, asked: Call, body: bytes, *, plan: Plan | None) -> None:
        """Keep the data of a call, or raise `Refused`."""
        key, region = scope(request.headers.get("Authorization", ""))
        if not key:
            message = "Request is missing Authentication Token"
            raise Refused("MissingAuthenticationToken", message, status=403)
        if region != self.region:
            message = "Credential should be scoped to a valid region."
            raise Refused("SignatureDoesNotMatch", message, status=403)
        if plan is not None and plan.trouble in _REFUSALS:
            status, code, message = _REFUSALS[plan.trouble]
            raise Refused(code, message, status=status)
        if asked.operation != _OPERATION:
            raise Refused("InvalidAction", f"The action {asked.operation} is not valid here")
        members = asked.read(body)
        now = self.clock()
        data = check(members, len(body), now)
        if plan is not None and plan.trouble is Trouble.INVALID:
            _refuse_metric(data, plan.metric)
        sent = request.content_length or len(body)
        self.taken.append(Taken(now, key, sent, len(body), members["Namespace"], data))

    def _reset(self, request: web.Request) -> web.StreamResponse:
        """Reset the connection; what is returned is never sent."""
        if request.transport is not None:
            sock = request.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.transport.abort()
        return web.Response()

    def _cut_off(self, request: web.Request) -> web.StreamResponse:
        """Send the beginning of an answer, and close; what is returned is never sent."""
        if isinstance(request.transport, asyncio.WriteTransport):
            request.transport.write(b"HTTP/1.1 2")
            request.transport.close()
        return web.Response()


def _refuse_metric(data: list[Datum], metric: str) -> None:
    for number, datum in enumerate(data, 1):
        if datum["MetricName"] == metric:
            message = f"The parameter MetricData.member.{number}.Value is not acceptable."
            raise Refused("InvalidParameterValue", message)


def shown(taken: list[Taken]) -> list[dict[str, Any]]:
    """Return every datum that was taken, as plain values, with the number of its call."""
    return [
        {
            "call": number,
            "time": one.time,
            "namespace": one.namespace,
            "name": datum["MetricName"],
            "dimensions": {it["Name"]: it["Value"] for it in datum.get("Dimensions", [])},
            "timestamp": datum.get("Timestamp"),
            "unit": datum.get("Unit", "None"),
            "value": datum.get("StatisticValues", datum.get("Value")),
            "resolution": datum.get("StorageResolution", 60),
        }
        for number, one in enumerate(taken)
        for datum in one.data
    ]
