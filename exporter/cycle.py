"""One collection cycle and its cadence: discover, read, one pure step, publish.

What is outside arrives as a door, a clock or a callable; nothing here knows a protocol.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from exporter.core.doors import Discoverer, NodeReader
from exporter.core.model import Ec2Facts, Reason, Snapshot, Unread
from exporter.core.report import Memory, Report, step

log = logging.getLogger(__name__)

# More changes than this in one cycle are an event of the network, not of single nodes.
_NODE_LINES = 20


def next_due(due: float, now: float, period: float) -> float:
    """Return when the next round is due: the next beat after now; missed beats are not made up."""
    missed = max(int((now - due) // period), 0)
    return due + (missed + 1) * period


async def every(
    period: float, work: Callable[[], Awaitable[None]], *, clock: Callable[[], float]
) -> None:
    """Do the work at once and then on every beat, never twice at a time; never returns."""
    due = clock()
    while True:
        await work()
        now = clock()
        due = next_due(due, now, period)
        await asyncio.sleep(due - now)


@dataclass(frozen=True, slots=True)
class Cycle:
    """One finished collection: its snapshot, its report, and how long it took in seconds."""

    snapshot: Snapshot
    report: Report
    seconds: float


class Publish(Protocol):
    """Takes each finished cycle."""

    async def __call__(self, cycle: Cycle) -> None:
        """Publish one cycle."""


def _unknown() -> None:
    return None


@dataclass(slots=True)
class IpamdLoop:
    """Collects from all nodes and hands on what came of it; `memory` is replaced each cycle.

    `clock` dates a cycle; `stopwatch` times it, so that a clock being set leaves durations alone.
    """

    discoverer: Discoverer
    reader: NodeReader
    publish: Publish
    clock: Callable[[], float]
    stopwatch: Callable[[], float] = time.monotonic
    memory: Memory = field(default_factory=Memory)
    unread: Mapping[str, Reason] = field(default_factory=dict)
    ec2: Callable[[], Ec2Facts] = Ec2Facts
    latest: Snapshot | None = None

    async def collect(self) -> None:
        """Run one cycle; without a discovery there is nothing to say yet."""
        discovery = self.discoverer.discover()
        if discovery is None:
            return
        now, started = self.clock(), self.stopwatch()
        outcomes = await self.reader.read(discovery.targets)
        snapshot = Snapshot(now, discovery, outcomes, self.ec2())
        # A fold over thousands of nodes takes longer than the event loop may stand still.
        self.memory, report = await asyncio.to_thread(step, self.memory, snapshot)
        cycle = Cycle(snapshot, report, self.stopwatch() - started)
        self.latest = snapshot
        await self.publish(cycle)
        self._tell(cycle)

    def _tell(self, cycle: Cycle) -> None:
        unread = {outcome.target.node.name: outcome for outcome in _unread(cycle)}
        _log_changes(self.unread, unread)
        self.unread = {name: outcome.reason for name, outcome in unread.items()}
        reasons = Counter(reason.value for reason in self.unread.values())
        log.info(
            "read %d of %d nodes",
            len(cycle.snapshot.outcomes) - len(unread),
            len(cycle.snapshot.outcomes),
            extra={"unread": dict(reasons), "seconds": round(cycle.seconds, 3)},
        )


def _unread(cycle: Cycle) -> Iterable[Unread]:
    return (outcome for outcome in cycle.snapshot.outcomes if isinstance(outcome, Unread))


def _log_changes(before: Mapping[str, Reason], now: Mapping[str, Unread]) -> None:
    """Say which nodes went unread, changed their reason, or came back."""
    lost = [o for name, o in now.items() if before.get(name) is not o.reason]
    back = [name for name in before if name not in now]
    for outcome in lost[:_NODE_LINES]:
        extra = {"node": outcome.target.node.name, "reason": outcome.reason.value}
        log.warning("node is not read: %s", outcome.detail or outcome.reason.value, extra=extra)
    for name in back[:_NODE_LINES]:
        log.info("node is read again or no longer expected", extra={"node": name})
    rest = max(len(lost) - _NODE_LINES, 0) + max(len(back) - _NODE_LINES, 0)
    if rest:
        log.warning("%d more nodes changed between read and unread", rest)
