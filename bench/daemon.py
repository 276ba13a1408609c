"""The exporter's daemon under watch: `python -m bench.daemon FILE [options] [-- flags of run]`.

Beside it runs a probe of its event loop. Each piece of work of its loops, each collection of
garbage that is felt, and the probe's lags are noted in FILE (`bench.notes`). With --on-demand each
line of its standard input names a piece of work to be done once more, and there are no cycles but
these: whoever drives it can change the world in between.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any
from unittest import mock

from prometheus_client.parser import text_string_to_metric_families

from bench.lag import Lag, probe
from bench.notes import (
    COLLECTION,
    CYCLE,
    FELT_SECONDS,
    HOURLY,
    PUBLISH,
    REFRESH,
    SURVEY,
    YARDSTICK,
    Notebook,
    Span,
)
from exporter import app, cli, garbage
from exporter.app import aws, running
from exporter.core.health import PointOutcome
from exporter.core.model import Read
from exporter.settings import Settings

_NOTED_EVERY_SECONDS = 0.5
# The loops by their name and where it is made: which of their methods is what work.
LOOPS: Mapping[tuple[ModuleType, str], Mapping[str, str]] = {
    (running, "IpamdLoop"): {"collect": CYCLE},
    (aws, "SubnetLoop"): {"survey": SURVEY, "refresh": REFRESH},
    (aws, "CloudWatchLoop"): {"tend": PUBLISH},
}
# What can be asked for beside cycles, whether it is due or not.
AGAIN: Mapping[str, Callable[[Any], Awaitable[None]]] = {
    SURVEY: lambda loop: loop.survey(loop.latest()),
    REFRESH: lambda loop: loop.refresh(),
}

# The library takes some tens of milliseconds for as many of these, by the machine.
_YARDSTICK = "".join(f'sample{{node="node-{number}"}} {number}\n' for number in range(500))
_YARDSTICKS = 10


def _read(loop: Any) -> Mapping[str, float]:
    """How many nodes the latest cycle has read, and of how many."""
    if loop.latest is None:
        return {}
    outcomes = loop.latest.outcomes
    return {"read": sum(isinstance(it, Read) for it in outcomes), "expected": len(outcomes)}


def _objects(loop: Any) -> Mapping[str, float]:
    """How many objects there are that can refer to others; it takes a while to count them."""
    return {"objects": gc.get_freeze_count() + len(gc.get_objects()), **_read(loop)}


def _accepted(loop: Any) -> Mapping[str, float]:
    """How many points CloudWatch has accepted so far."""
    return {"accepted": loop.outcomes.get(PointOutcome.ACCEPTED, 0)}


@dataclass(slots=True)
class Gate:
    """Whoever drives the daemon, on its standard input: a line lets one cycle pass or asks for
    other work, and its end ends the daemon, which never outlives who started it."""

    permits: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    asked: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    _unfinished: bytes = b""

    def open(self) -> None:
        """Begin to listen; call it on the loop."""
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._readable)

    def _readable(self) -> None:
        told = os.read(sys.stdin.fileno(), 4096)
        if not told:
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            signal.raise_signal(signal.SIGTERM)
        *lines, self._unfinished = (self._unfinished + told).split(b"\n")
        for work in (line.decode() for line in lines):
            if work == CYCLE:
                self.permits.release()
            else:
                self.asked.put_nowait(work)


@dataclass(slots=True)
class Watch:
    """What is noted of a daemon, and how it is held up."""

    notes: Notebook
    gate: Gate
    on_demand: bool
    lag: bool
    # What each kind of work is asked for when it is done.
    told: Mapping[str, Callable[[Any], Mapping[str, float]]]
    _loops: dict[str, Any] = field(default_factory=dict)
    _published: Mapping[str, float] = field(default_factory=lambda: {"accepted": 0})
    _collection_began: float = 0.0

    def loop(self, place: ModuleType, name: str, works: Mapping[str, str]) -> type:
        """Return one of the daemon's loops whose work is noted."""
        base = getattr(place, name)
        return type(name, (base,), {method: self._noted(base, method, works) for method in works})

    def _noted(self, base: type, method: str, works: Mapping[str, str]) -> Callable[..., Any]:
        work, inner = works[method], getattr(base, method)

        async def noted(loop: Any, *arguments: Any) -> None:
            if self.on_demand and work == CYCLE:
                await self.gate.permits.acquire()
            self._loops[work] = loop
            began, cpu = time.monotonic(), time.process_time()
            await inner(loop, *arguments)
            ended, used = time.monotonic(), time.process_time() - cpu
            told = self.told[work](loop) if work in self.told else {}
            if work == PUBLISH and not self._has_published(told):
                return
            tasks = len(asyncio.all_tasks())
            self.notes.span(
                Span(work=work, began=began, ended=ended, cpu=used, tasks=tasks, told=told)
            )

        return noted

    def _has_published(self, told: Mapping[str, float]) -> bool:
        """Whether CloudWatch was told anything: its loop looks for that several times a second."""
        before, self._published = self._published, told
        return told != before

    async def run(self, settings: Settings, stop: asyncio.Event) -> None:
        """Run the daemon's own `run` with the probes beside it."""
        self.notes.started(time.monotonic())
        self.gate.open()
        gc.callbacks.append(self._collected)
        async with asyncio.TaskGroup() as group:
            probes = [group.create_task(self._on_demand())]
            if self.lag:
                probes.append(group.create_task(self._lags()))
            await _run(settings, stop)
            for task in probes:
                task.cancel()

    async def _on_demand(self) -> None:
        """Do what is asked for beside cycles, one piece at a time."""
        while True:
            work = await self.gate.asked.get()
            if work == YARDSTICK:
                self._measure_machine()
            else:
                await AGAIN[work](self._loops[work])

    def _measure_machine(self) -> None:
        began, cpu = time.monotonic(), time.process_time()
        for _ in range(_YARDSTICKS):
            list(text_string_to_metric_families(_YARDSTICK))
        used = time.process_time() - cpu
        self.notes.span(Span(work=YARDSTICK, began=began, ended=time.monotonic(), cpu=used))

    async def _lags(self) -> None:
        lags: list[Lag] = []
        async with asyncio.TaskGroup() as group:
            group.create_task(probe(lags))
            while True:
                await asyncio.sleep(_NOTED_EVERY_SECONDS)
                self.notes.lags(lags)
                lags.clear()

    def _collected(self, phase: str, _: Mapping[str, int]) -> None:
        if phase == "start":
            self._collection_began = time.monotonic()
        elif time.monotonic() - self._collection_began > FELT_SECONDS:
            self._note(COLLECTION, self._collection_began)

    def garbage(self) -> type:
        """Return the daemon's dealings with garbage, of which the full collections are noted."""
        watch = self

        class Noted(garbage.Garbage):
            def after_cycle(self, *, crowded: bool = False) -> None:
                began, before = time.monotonic(), self._collected
                super().after_cycle(crowded=crowded)
                if self._collected != before:
                    watch._note(HOURLY, began)

        return Noted

    def _note(self, work: str, began: float) -> None:
        self.notes.span(Span(work=work, began=began, ended=time.monotonic()))


_run = app.run


@contextlib.contextmanager
def _watched(watch: Watch, full_every: float | None) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for (place, name), works in LOOPS.items():
            stack.enter_context(mock.patch.object(place, name, watch.loop(place, name, works)))
        stack.enter_context(mock.patch.object(running, "Garbage", watch.garbage()))
        stack.enter_context(mock.patch.object(app, "run", watch.run))
        if full_every is not None:
            stack.enter_context(mock.patch.object(garbage, "_FULL_SECONDS", full_every))
        yield


def main() -> None:
    """Run the daemon as `vpc-cni-exporter run` does, and note what it does."""
    parser = argparse.ArgumentParser(prog="python -m bench.daemon", description=__doc__)
    parser.add_argument("file", help="where the notes go")
    parser.add_argument("--on-demand", action="store_true", help="work as lines of input name it")
    parser.add_argument("--no-lag", action="store_true", help="leave the loop alone")
    parser.add_argument("--objects", action="store_true", help="count objects after each cycle")
    parser.add_argument(
        "--full-every", type=float, help="seconds between two full collections, which is an hour"
    )
    parser.add_argument("flags", nargs="*", help="what `vpc-cni-exporter run` is given")
    options = parser.parse_args()
    with open(options.file, "w", encoding="utf-8") as file:
        told = {CYCLE: _objects if options.objects else _read, PUBLISH: _accepted}
        watch = Watch(Notebook(file), Gate(), options.on_demand, not options.no_lag, told)
        with _watched(watch, options.full_every):
            cli.main(["run", *options.flags])


if __name__ == "__main__":
    main()
