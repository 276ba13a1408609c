"""What EKS says of the cluster and its add-ons, and how often it is asked.

After a failure it is asked again sooner, and less and less soon the longer it fails.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from exporter.core.eks import EksReader, EksReport
from exporter.core.health import SourceHealth
from exporter.core.model import ControlPlane, Snapshot, Unavailable

# A beat comes a moment early or late; a read is due on the beat that its wait ends on.
_BEAT_SLACK = 0.99
# The first wait after a failure is so small a part of the period; each later one is twice as long.
_FIRST_WAIT = 32
# What EKS told is withdrawn after so many periods without news (DESIGN, promise 2).
_WITHDRAWN_AFTER = 3


@dataclass(slots=True)
class EksLoop:
    """Reads EKS and hands on what it says.

    `clock` dates what is read; `stopwatch` times it and tells when it is due again, so that a
    clock being set leaves both alone.
    """

    reader: EksReader
    latest: Callable[[], Snapshot | None]
    publish: Callable[[EksReport], Awaitable[None]]
    note: Callable[[SourceHealth], None]
    clock: Callable[[], float]
    period: float
    stopwatch: Callable[[], float] = time.monotonic
    report: EksReport = field(default_factory=EksReport)
    cluster: str = ""
    failures: int = 0
    told: float | None = None
    due: float = float("-inf")

    @property
    def beat(self) -> float:
        """Seconds from one look at whether a read is due to the next."""
        return self.period / _FIRST_WAIT

    @property
    def control_plane(self) -> ControlPlane:
        """What EKS was given for the control plane, as long as it is not too long ago."""
        young = self.told is not None and (
            self.stopwatch() - self.told <= _WITHDRAWN_AFTER * self.period
        )
        cluster = self.report.cluster
        return cluster.control_plane if young and cluster is not None else ControlPlane()

    async def read_if_due(self) -> None:
        """Read once a period, or when the wait after a failure is over; another cluster at once."""
        snapshot = self.latest()
        if snapshot is None:
            return
        identity = snapshot.discovery.identity
        if not identity.cluster:
            self._note(self.stopwatch(), "the cluster's name is not known")
        elif identity.cluster != self.cluster or self.stopwatch() >= self.due:
            await self._read(identity.cluster, identity.kubernetes_version)

    async def _read(self, cluster: str, version: str) -> None:
        started = self.stopwatch()
        if cluster != self.cluster:
            self.cluster, self.report, self.failures = cluster, EksReport(), 0
        try:
            report = await self.reader.read(cluster, version)
        except Unavailable as error:
            self._ended(started, error.reason)
            return
        self.report, self.told = report, started
        self._ended(started, "; ".join(report.refused))
        await self.publish(report)

    def _ended(self, started: float, reason: str) -> None:
        """Note how a read ended, and when the next one is due."""
        self.failures = self.failures + 1 if reason else 0
        wait = self.period
        if reason:
            wait = min(self.beat * 2 ** min(self.failures - 1, _FIRST_WAIT), self.period)
        self.due = started + wait * _BEAT_SLACK
        self._note(started, reason)

    def _note(self, started: float, reason: str) -> None:
        succeeded = None if reason else self.clock()
        seconds = self.stopwatch() - started
        self.note(SourceHealth(not reason, succeeded, seconds, reason))
