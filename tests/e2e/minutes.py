"""Real minutes, of some seconds each: the world is moved within them, and what CloudWatch should
have been told of each is noted.

The world moves early in a minute, and the exporter's cycle that saw it is waited for. Where a busy
machine is too late for that, the minute counts together with the next.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.published import GAUGES, Told, Truth, Value, summed, wrong
from tests.e2e.world import Daemon, Simulation, daemon, eventually, key, simulation

PERIOD = 2
UP = key("vpc_cni_exporter_source_up", source="cloudwatch")
_POINTS = "vpc_cni_exporter_cloudwatch_points_total"
_STEP_AT, _NOTE_AT = 0.1, 0.85


def settings(sim: Simulation, **more: str) -> dict[str, str]:
    """Return what publishes to a simulation's CloudWatch, with minutes of two seconds."""
    return {
        "EXPORTER_CLOUDWATCH": "true",
        "EXPORTER_CLOUDWATCH_INTERVAL": str(PERIOD),
        **sim.facts["cloudwatch_environment"],
        **more,
    }


def outcomes(exporter: Daemon) -> dict[str, float]:
    """Return what became of how many points."""
    return {
        dict(labels)["outcome"]: value
        for (name, labels), value in exporter.scrape().items()
        if name == _POINTS
    }


@dataclass
class Group:
    """Minutes that count as one: the gains of all, and the gauges of the last."""

    minutes: list[int] = field(default_factory=list)
    told: list[Mapping[str, Value]] = field(default_factory=list)

    @property
    def truth(self) -> dict[str, Value]:
        """What CloudWatch should know of them."""
        whole: dict[str, Value] = {}
        for part in self.told:
            for name, value in part.items():
                gained = name not in GAUGES and name in whole
                whole[name] = summed([whole[name], value]) if gained else value
        return whole

    def known(self, told: Truth) -> dict[str, Value]:
        """What CloudWatch knows of them."""
        parts = [told[minute] for minute in self.minutes if minute in told]
        gauges = told.get(self.minutes[-1], {})
        found: dict[str, Value] = {it: value for it, value in gauges.items() if it in GAUGES}
        for name in {name for part in parts for name in part} - GAUGES:
            found[name] = summed([part[name] for part in parts if name in part])
        return found


@dataclass
class Minutes:
    """The minutes of one simulation and the exporter beside it, which may be another later on."""

    sim: Simulation
    exporter: Daemon
    period: int
    groups: list[Group] = field(default_factory=list)
    open: Group = field(default_factory=Group)
    parts: set[int] = field(default_factory=set)
    repeated: int = 0
    _last: int = 0

    def begin(self) -> None:
        """Begin with the minute that comes; what was before is not compared."""
        self.exporter.cycle_after(time.time())
        self._last = self._now()
        _sleep_until(self._last + _NOTE_AT * self.period)
        self.sim.control("/minute", {})

    def pass_by(self, count: int, happen: Callable[[int], object]) -> Iterator[int]:
        """Live through so many minutes; yield in each after all that happens in it."""
        for number in range(count):
            begins = self._now() + self.period
            _sleep_until(begins + _STEP_AT * self.period)
            in_time = self._now() == begins
            happen(number)
            self.sim.step()
            self.exporter.cycle_after(self.sim.truth()["advanced_at"])
            in_time &= self._now() == begins
            _sleep_until(begins + _NOTE_AT * self.period)
            self.open.told.append(self.sim.control("/minute", {}))
            now = self._now()
            self.open.minutes += range(self._last + self.period, now + 1, self.period)
            self._last = now
            if in_time and now == begins:
                self.groups.append(self.open)
                self.open = Group()
            yield number

    def replace(self, start: Callable[[], Daemon]) -> None:
        """End the exporter, and start another that knows of nothing before it."""
        first = self._now()
        self.stop()
        # What it had not finished has no gauges, and may have more gains by the next.
        self.parts |= {first, self._now()}
        self.sim.control("/books/forget", {})
        self.exporter = start()
        self.exporter.cycle_after(time.time())

    def end(self) -> None:
        """Let the last minute be over, and its points be due."""
        _sleep_until(self._last + self.period * 1.5)

    def stop(self) -> None:
        """End the exporter, and note how many of its points it repeated."""
        assert self.exporter.stop() == 0
        (line,) = self.exporter.logged("by what became of them")
        self.repeated += line["repeated"]

    def wrong(self, told: Told) -> list[object]:
        """Return what differs of the groups that are whole."""
        known = told.by_minute(self.parts)
        found: list[object] = []
        for group in self.groups:
            for _, name, want, got in wrong({0: group.truth}, {0: group.known(known)}):
                # An unfinished minute's gauges are not told, and of its gains those there are.
                unfinished = group.minutes[-1] in self.parts and got is None
                if not (unfinished and (name in GAUGES or not want)):
                    found.append((group.minutes, name, want, got))
        return found

    def _now(self) -> int:
        """The minute that it is."""
        return int(time.time() // self.period) * self.period


def taken(sim: Simulation, cluster: str) -> tuple[Told, Mapping[str, Any]]:
    """Return what CloudWatch took of a cluster, and all that it says."""
    state = sim.control("/cloudwatch")
    return Told.of(state["data"], cluster), state


def _sleep_until(instant: float) -> None:
    time.sleep(max(instant - time.time(), 0.0))


class Story:
    """What goes wrong in a run: nodes, ipamd and CloudWatch, a little in each minute."""

    TROUBLES: Mapping[int, str | None] = {
        1: "throttled",
        2: None,
        3: "lost",
        4: None,
        6: "down",
        7: None,
        8: "denied",
        9: None,
        11: "error_500",
        12: None,
        14: "stalled",
        15: None,
    }

    def __init__(self, sim: Simulation, seed: int = 5) -> None:
        self._sim = sim
        self._random = random.Random(seed)

    def happen(self, number: int) -> None:
        """Let a minute's trouble begin or end; every sixteen minutes all of it comes again."""
        turn = number % 16
        if turn in self.TROUBLES:
            self._sim.control("/cloudwatch", {"trouble": self.TROUBLES[turn]})
        state = self._sim.control("/state")["nodes"]
        nodes = [node["name"] for node in state if node["kind"] == "regular"]
        self._sim.control("/faults", {"nodes": "all", "fault": None})
        if number % 3 == 1:
            self._sim.control("/faults", {"nodes": [self._random.choice(nodes)], "fault": "refuse"})
        if number % 2:
            event = self._random.choice(["restart", "replace_pod", "delete_pod"])
            self._sim.control("/events", {"event": event, "nodes": [self._random.choice(nodes)]})


@dataclass(frozen=True, slots=True)
class Lived:
    """What there is to say of the minutes that were lived through."""

    wrong: list[object]
    """What differs from the truth."""
    alone: int
    """How many minutes, or groups of them, were compared."""
    unexplained: int
    """How many copies CloudWatch has beyond those that the exporter knows to have repeated."""
    names: set[str]
    resolutions: set[object]


def live(folder: Path, minutes: int, restarts: frozenset[int]) -> Lived:
    """Run for so many minutes of two seconds, with restarts, and compare all of it."""
    with (
        contextlib.ExitStack() as stack,
        simulation(folder, "--nodes", "8", "--startup", "0.05") as sim,
    ):

        def start() -> Daemon:
            return stack.enter_context(daemon(folder, sim, **settings(sim)))

        story, passing = Story(sim), Minutes(sim, start(), PERIOD)
        passing.begin()
        for number in passing.pass_by(minutes, story.happen):
            if number in restarts:
                passing.replace(start)
        sim.control("/cloudwatch", {"trouble": None})
        passing.end()
        eventually(lambda: passing.exporter.scrape()[UP] == 1, "CloudWatch takes points")
        passing.stop()
        told, state = taken(sim, "sim")
    split = sum(len(values) - 1 for (at, _), values in told.values.items() if at in passing.parts)
    return Lived(
        wrong=passing.wrong(told),
        alone=len(passing.groups),
        unexplained=max(told.copies - split - passing.repeated, 0),
        names={name for _, name in told.values},
        resolutions={it["resolution"] for it in state["data"]},
    )
