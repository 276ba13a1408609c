"""CloudWatch and its cadence: readings are noted, minutes close, and their points go out.

Each point is sent until CloudWatch has taken or refused it. What is outside arrives as a door, a
clock or a callable.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from random import SystemRandom

from exporter.core.catalog import Measure
from exporter.core.health import PointOutcome, SourceHealth
from exporter.core.model import Invalid, Unanswered, Unavailable
from exporter.core.outbox import Outbox
from exporter.core.points import (
    Minutes,
    Points,
    PointWriter,
    close,
    finish,
    take,
    take_subnets,
    unusable,
)
from exporter.core.report import Report
from exporter.core.subnets import SubnetUsage

log = logging.getLogger(__name__)

# A cycle that began at a minute's very end is over by then, and points are out within 15 s.
_SETTLE_SECONDS = 10.0
_BEAT_SECONDS = 1.0
_FIRST_RETRY_SECONDS = 1.0
_NAMELESS_SECONDS = 10.0
# Calls that a batch may cost at once; a point that is refused costs some twenty of them.
_MOST_CALLS = 200


def _always(_deadline: float) -> bool:
    return True


def _unheard(_minute: int) -> None:
    """Tell nobody."""


@dataclass(slots=True)
class CloudWatchLoop:
    """Publishes minute by minute, each once; what is not taken waits.

    `clock` tells minutes; `stopwatch` when something is to be tried again, so that a clock being
    set leaves that alone. Before each call `may_send` is asked whether nobody else will send until
    the stopwatch shows the given time; `accepted` hears of each minute of which nothing is left.
    """

    writer: PointWriter
    cluster: Callable[[], str]
    note: Callable[[SourceHealth], None]
    clock: Callable[[], float]
    minutes: Minutes = field(default_factory=Minutes)
    stopwatch: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = field(default_factory=lambda: SystemRandom().random)
    may_send: Callable[[float], bool] = _always
    accepted: Callable[[int], None] = _unheard
    outbox: Outbox = field(default_factory=Outbox)
    counts: Counter[PointOutcome] = field(default_factory=Counter)
    _failures: int = 0
    _due: float = float("-inf")
    _refused: set[str] = field(default_factory=set)
    _sending: asyncio.Task[bool] | None = None

    @property
    def outcomes(self) -> Mapping[PointOutcome, int]:
        """What became of how many points so far."""
        return dict(self.counts)

    @property
    def beat(self) -> float:
        """How often to tend, in seconds."""
        return min(_BEAT_SECONDS, self.minutes.period / 10)

    def take(self, report: Report) -> None:
        """Note a finished cycle over the nodes."""
        self.minutes, points = take(self.minutes, report)
        self.outbox = self.outbox.put(points)

    def take_subnets(self, usages: Iterable[SubnetUsage], *, surveyed: bool) -> None:
        """Note the subnets' accounts; `surveyed` where their ENIs were read for them."""
        now = self.clock()
        self.minutes, points = take_subnets(self.minutes, usages, now, surveyed=surveyed)
        self.outbox = self.outbox.put(points)

    async def tend(self) -> None:
        """Close the minute that is over, and send what is due."""
        self._close(self.clock() - min(_SETTLE_SECONDS, self.minutes.period / 6))
        if self.outbox.points and self.stopwatch() >= self._due:
            await self._sent()

    async def flush(self, seconds: float) -> None:
        """Send what is left within so many seconds, the gains of the unfinished minute with it."""
        now = self.clock()
        self._close(now)
        self.outbox = self.outbox.put(finish(self.minutes)).released(now)
        self.minutes = Minutes(self.minutes.period)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.outbox.points:
                    if not await self._sent():
                        break
                    await asyncio.sleep(max(self._due - self.stopwatch(), 0.0))
        # Nobody can ask the metrics any more.
        log.info("points for CloudWatch by what became of them", extra=_by_name(self.outcomes))
        if self.outbox.points:
            gains = sum(point.measure is not Measure.GAUGE for point in self.outbox.points)
            extra = {"points": len(self.outbox.points), "gains": gains}
            log.warning("the program ends with points that CloudWatch has not taken", extra=extra)

    def _close(self, now: float) -> None:
        self.minutes, points = close(self.minutes, now)
        self.outbox = self.outbox.put(points)

    async def _sent(self) -> bool:
        """Send, or wait for the sending under way; return whether to try again.

        It goes on where who waits is cancelled: a call given up on is an answer lost.
        """
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send(), name="send to CloudWatch")
        return await asyncio.shield(self._sending)

    async def _send(self) -> bool:
        cluster, started = self.cluster(), self.stopwatch()
        self.outbox, dropped = self.outbox.bounded(self.clock())
        self.counts[PointOutcome.DROPPED] += dropped
        trouble = unusable(cluster)
        if trouble:
            self._due = started + min(_NAMELESS_SECONDS, self.minutes.period)
            self.note(SourceHealth(up=False, reason=trouble))
            return False
        try:
            while self.outbox.points:
                points = self.outbox.points
                batch = points[: self.writer.fitting(points, cluster)]
                if not await self._deliver(batch, cluster):
                    return False
        except Unavailable as error:
            self._wait()
            seconds = self.stopwatch() - started
            self.note(SourceHealth(False, None, seconds, error.reason))
            return True
        self._failures = 0
        self.note(SourceHealth(True, self.clock(), self.stopwatch() - started, ""))
        return False

    def _wait(self) -> None:
        """Try again after a while that is all chance, twice as long at most each time."""
        doubled = _FIRST_RETRY_SECONDS * 2 ** min(self._failures, 10)
        longest = min(doubled, float(self.minutes.period))
        self._failures += 1
        self._due = self.stopwatch() + self.jitter() * longest

    async def _deliver(self, batch: Points, cluster: str) -> bool:
        """Send a batch, in ever smaller parts where something in it is refused.

        Return whether this one may send.
        """
        parts, calls = [batch], 0
        while parts:
            if (calls := calls + 1) > _MOST_CALLS:
                raise Unavailable("cloudwatch", "too much is rejected to look for it all at once")
            part = parts.pop()
            if not self.may_send(self.stopwatch() + self.writer.call_seconds):
                return False
            try:
                await self.writer.send(part, cluster)
            except Invalid as error:
                if len(part) == 1:
                    self._reject(part, error)
                else:
                    middle = len(part) // 2
                    parts += [part[middle:], part[:middle]]
            except Unanswered:
                self._count_repeated(part)
                self.outbox = self.outbox.doubting(part)
                raise
            else:
                self._count_repeated(part)
                self._done(part, PointOutcome.ACCEPTED)
        return True

    def _reject(self, part: Points, error: Invalid) -> None:
        self._done(part, PointOutcome.REJECTED)
        (point,) = part
        if point.name not in self._refused:
            self._refused.add(point.name)
            extra = {"metric": point.name, "minute": point.time, "subnet": point.subnet}
            log.warning("CloudWatch rejects a point: %s", error.reason, extra=extra)

    def _count_repeated(self, part: Points) -> None:
        self.counts[PointOutcome.REPEATED] += sum(point.doubted for point in part)

    def _done(self, part: Points, outcome: PointOutcome) -> None:
        self.counts[outcome] += len(part)
        self.outbox = self.outbox.without(part)
        left = {point.time for point in self.outbox.points}
        for minute in sorted({point.time for point in part} - left):
            self.accepted(minute)


def _by_name(outcomes: Mapping[PointOutcome, int]) -> dict[str, int]:
    return {outcome.value: outcomes.get(outcome, 0) for outcome in PointOutcome}
