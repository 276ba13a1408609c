"""Plays recorded polls again: each step shows the pods and pages of one poll, start times moved to
our clock.

In a recording polls lie 30 s apart, here a test steps at once, so distances cannot be kept; the
relations that the counter rules look at are:

- a start at or before the first poll keeps its distance to it;
- a start between two polls lies between their steps: shown at once it is a second after its step,
  so that it is later than a reader's latest poll; shown later it is the moment of its step;
- a process that was seen before keeps its moved start, and the wobble of up to 2 s upon it;
- a later start stays later by more than 2 s, and a start more than 5 s before the pod's previous
  reading stays so.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from exporter.sim import exposition
from exporter.sim.cluster import LATEST, Cluster
from exporter.sim.facts import Page, whole_hundredths
from exporter.sim.faults import Fault
from exporter.sim.ledger import LATER, WOBBLE
from exporter.sim.nodes import Machine, Node, Phase

_HOUR = 3600.0
_ZONES = ("eu-central-1a", "eu-central-1b", "eu-central-1c")
_A_LITTLE = 0.01
_AFTER_ITS_STEP = 1.0


class NotRecorded(ValueError):
    """The recording does not say what would follow."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A process of which only a page is known."""

    recorded: Page

    def page(self) -> Page:
        """Return the recorded page."""
        return self.recorded

    def holding(self) -> None:
        """Return nothing: only pages were recorded."""

    def restarted(self, now: float, version: str) -> NoReturn:
        """Refuse: a recording knows no other process than its own."""
        raise NotRecorded("a recorded process cannot be restarted")


@dataclass(frozen=True, slots=True)
class Seen:
    """The start of a pod's process in the recording and here, and the poll it was last read in."""

    start: float
    moved: float
    poll: int


@dataclass(frozen=True, slots=True)
class Poll:
    """One recorded poll: its time, and what each listed pod answered, if anything."""

    time: float
    pages: Mapping[str, bytes | None]


def polls(directory: Path) -> tuple[Poll, ...]:
    """Read a scenario and its pages."""
    scenario: dict[str, Any] = json.loads((directory / "scenario.json").read_text())
    return tuple(
        Poll(
            poll["time"],
            {name: _bytes(directory / poll["dir"] / f"{name}.prom") for name in poll["targets"]},
        )
        for poll in scenario["polls"]
    )


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


@dataclass(slots=True)
class StartTimes:
    """Moves start times to our clock; `steps` are our times of the polls shown so far."""

    times: tuple[float, ...]
    steps: list[float] = field(default_factory=list)
    _seen: dict[str, Seen] = field(default_factory=dict)

    def moved(self, pod: str, start: float) -> float:
        """Return when this pod's process started, on our clock."""
        before = self._seen.get(pod)
        if before is not None and abs(start - before.start) <= LATER:
            moved = before.moved + (start - before.start)
        else:
            moved = self._kept_in_relation(before, start)
        self._seen[pod] = Seen(start, moved, len(self.steps) - 1)
        return moved

    def _kept_in_relation(self, before: Seen | None, start: float) -> float:
        moved = self._in_order(start)
        if before is None:
            return moved
        if start > before.start:
            moved = max(moved, before.moved + LATER + _A_LITTLE)
        if start < self.times[before.poll] - WOBBLE:
            moved = min(moved, self.steps[before.poll] - WOBBLE - _A_LITTLE)
        return moved

    def _in_order(self, start: float) -> float:
        if start <= self.times[0]:
            return self.steps[0] - (self.times[0] - start)
        shown = zip(self.times, self.steps[:-1], strict=False)
        earlier = (step for time, step in shown if start <= time)
        return whole_hundredths(next(earlier, self.steps[-1] + _AFTER_ITS_STEP))


@dataclass(slots=True)
class Replay:
    """A recorded scenario as a cluster: one node per pod, which comes and goes with it."""

    directory: Path
    _polls: tuple[Poll, ...] = ()
    _starts: StartTimes = field(default_factory=lambda: StartTimes(()))
    _nodes: dict[str, Node] = field(default_factory=dict)

    def begin(self, cluster: Cluster) -> None:
        """Show the first poll."""
        self._polls = polls(self.directory)
        self._starts = StartTimes(tuple(poll.time for poll in self._polls))
        self.step(cluster)
        cluster.settle()

    def step(self, cluster: Cluster) -> None:
        """Show the next poll; after the last one nothing moves any more."""
        if len(self._starts.steps) == len(self._polls):
            return
        self._starts.steps.append(cluster.clock())
        poll = self._polls[len(self._starts.steps) - 1]
        for name in [name for name in self._nodes if name not in poll.pages]:
            cluster.remove(self._nodes.pop(name))
        for name, body in poll.pages.items():
            self._show(cluster, name, body=body)

    def join(self, cluster: Cluster) -> Node:
        """Refuse: a recording knows no other nodes than its own."""
        raise NotRecorded("a replay has no nodes but the recorded ones")

    def _show(self, cluster: Cluster, name: str, *, body: bytes | None) -> None:
        node = self._nodes.get(name) or self._new(cluster, name, pending=body is None)
        node.fault = Fault.REFUSE if body is None else None
        if body is not None:
            node.process = Recorded(self._page(name, body))
            node.pods[0].phase = Phase.RUNNING
        cluster.publish(node)

    def _new(self, cluster: Cluster, name: str, *, pending: bool) -> Node:
        zone = _ZONES[len(self._nodes) % len(_ZONES)]
        node = cluster.new_node(Machine("m5.large", zone, 29, group="recorded"), age=_HOUR)
        phase = Phase.PENDING if pending else Phase.RUNNING
        pod = replace(cluster.new_pod(LATEST), name=name, phase=phase)
        node.pods.append(pod)
        cluster.add(node, None)
        self._nodes[name] = node
        return node

    def _page(self, name: str, body: bytes) -> Page:
        facts = exposition.read(body.decode())
        moved = self._starts.moved(name, facts.started)
        return Page(exposition.with_start(body, moved), replace(facts, started=moved))
