"""Runs of the real daemon against a world, each one measurement."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from itertools import cycle

from bench.found import Answers, Cycles, Faulty, Idle, Load, Sequential, Works
from bench.notes import COLLECTION, CYCLE, HOURLY, PUBLISH, REFRESH, SURVEY, YARDSTICK, Span
from bench.peers import FLEET, OTHERS, World, eventually, hurry
from bench.processes import DAEMON_CORE, running
from bench.watched import Options, Scraper, Watched, watched
from exporter.sim.faults import Fault

# Kubelet writes a node's status every five minutes though nothing has changed.
HEARTBEAT_SECONDS = 300.0
_FAULTS = (Fault.HANG, Fault.REFUSE, Fault.RUBBISH, Fault.HANG_CONNECT)
_SETTLE_SECONDS = 2.0
_BEAT_SECONDS = 1.0
_STEP_SECONDS = 3.0
_ON_DEMAND = Options(on_demand=True, lag=False)
_SCRAPES = 5
# EC2 is read when that is asked for, and what it told holds meanwhile; CloudWatch is told of each
# cycle right after it.
_ONE_BY_ONE = {
    "EXPORTER_EC2_ENIS_INTERVAL": "1000",
    "EXPORTER_EC2_SUBNETS_INTERVAL": "1000",
    "EXPORTER_CLOUDWATCH_INTERVAL": "1",
    "EXPORTER_CLOUDWATCH_SUBNETS": "false",
}


def cycles(world: World, rounds: int) -> Cycles:
    """Return so many cycles after the first one, the fleet moving on before each."""
    with watched(world, options=_ON_DEMAND) as daemon:
        daemon.ask(CYCLE)
        ready = daemon.ready()
        spans, yardsticks, fleet = [], [], []
        for _ in range(rounds):
            world.step()
            before = world.fleet_cpu_seconds()
            spans.append(daemon.cycle())
            fleet.append(world.fleet_cpu_seconds() - before)
            yardsticks.append(daemon.again(YARDSTICK))
        assert daemon.notes.started is not None
        return Cycles(
            nodes=world.size.nodes,
            seconds=tuple(span.seconds for span in spans),
            cpu_seconds=_cpu(spans),
            yardsticks=_cpu(yardsticks),
            fleet_cpu_seconds=tuple(fleet),
            first_metrics_seconds=ready,
            first_list_seconds=daemon.notes.of(CYCLE)[0].began - daemon.notes.started,
            read=int(min(span.told["read"] for span in spans)),
            peak_resident_mib=daemon.peak_mib(),
        )


def faulty(world: World, timeout: float, rounds: int) -> Faulty:
    """Return cycles while a tenth of the nodes hangs, refuses or sends rubbish."""
    names = world.nodes()
    chosen = names[::10]
    settings = {"EXPORTER_SCRAPE_TIMEOUT": str(timeout)}
    with _faults(world, chosen), watched(world, options=_ON_DEMAND, **settings) as daemon:
        daemon.ask(CYCLE)
        daemon.ready()
        spans = []
        for _ in range(rounds):
            world.step()
            spans.append(daemon.cycle())
    told = spans[-1].told
    return Faulty(
        nodes=len(names),
        faulty=len(chosen),
        unread=int(told["expected"] - told["read"]),
        timeout_seconds=timeout,
        seconds=tuple(span.seconds for span in spans),
    )


@contextlib.contextmanager
def _faults(world: World, names: list[str]) -> Iterator[None]:
    for number, fault in enumerate(_FAULTS):
        world.control("/faults", {"nodes": names[number :: len(_FAULTS)], "fault": fault.value})
    yield
    world.control("/faults", {"nodes": names, "fault": None})


def answers(world: World, seconds: float, *peers: str) -> Answers:
    """Return how long /metrics takes to answer while cycles run back to back."""
    with watched(world, *peers, options=Options(lag=False), **hurry(*peers)) as daemon:
        daemon.ready()
        size = len(daemon.scrape().body)
        began = daemon.wait_for(CYCLE, 2).ended
        with Scraper(daemon, pause=0.05) as scraper:
            _let_live(world, began + seconds)
        daemon.notes.read()
        spans = daemon.notes.of(CYCLE)
    return Answers(
        nodes=world.size.nodes,
        enis=world.size.enis if peers else 0,
        bytes=size,
        seconds=tuple(
            it.seconds
            for it in scraper.scrapes
            if any(span.began <= it.began <= span.ended for span in spans)
        ),
    )


def load(world: World, seconds: float, *peers: str, full_every: float | None = None) -> Load:
    """Return loop lag and memory while everything is at work, a scrape a second among it.

    After `full_every` seconds garbage is collected in full, as it is once an hour.
    """
    options = Options(full_every=full_every)
    with watched(world, *peers, options=options, **hurry(*peers)) as daemon:
        daemon.ready()
        with Scraper(daemon, pause=_BEAT_SECONDS):
            _let_live(world, time.monotonic() + seconds)
            # What was read before is held while all is read again.
            _live_until(world, daemon, SURVEY, 2)
            if full_every is not None:
                # It is put off while ENIs are held that will soon be gone.
                _live_until(world, daemon, HOURLY, 1)
        daemon.notes.read()
        notes, peak = daemon.notes, daemon.peak_mib()
    first = notes.of(CYCLE)[0].began
    return Load(
        nodes=world.size.nodes,
        enis=world.size.enis,
        lags=tuple(lag for lag in notes.lags if lag[0] >= first),
        spans=tuple(notes.of(CYCLE, SURVEY, REFRESH, PUBLISH, COLLECTION, HOURLY)),
        peak_resident_mib=peak,
    )


def _let_live(world: World, until: float) -> None:
    """Move the fleet on every few seconds until then (monotonic)."""
    while (left := until - time.monotonic()) > 0:
        world.step()
        time.sleep(min(_STEP_SECONDS, max(left, 0.0)))


def _live_until(world: World, daemon: Watched, work: str, count: int) -> None:
    """Move the fleet on until there has been so much of this work; SystemExit if it never comes."""

    def done() -> bool:
        daemon.notes.read()
        if len(daemon.notes.of(work)) >= count:
            return True
        _let_live(world, time.monotonic() + _STEP_SECONDS)
        return False

    eventually(done, daemon.process, f"{count} times: {work}")


def works(world: World, rounds: int) -> Works:
    """Return what each kind of work costs while no other is done, with EC2 and CloudWatch on."""
    with watched(world, *OTHERS, options=_ON_DEMAND, **_ONE_BY_ONE) as daemon:
        daemon.ask(CYCLE)
        daemon.ready()
        # The first of each opens a client, and holds nothing from before.
        for work in (SURVEY, REFRESH, PUBLISH):
            daemon.wait_for(work, 1)
        surveys = [daemon.again(SURVEY) for _ in range(rounds)]
        refreshes = [daemon.again(REFRESH) for _ in range(rounds)]
        # What EC2 told is taken into account from here on.
        _published(daemon)
        cycles, publishes = [], []
        for _ in range(rounds):
            world.step()
            done, told = _published(daemon)
            cycles.append(done)
            publishes.append(told)
        scrapes = []
        for _ in range(_SCRAPES):
            before = daemon.cpu_seconds()
            page = daemon.scrape().body
            scrapes.append(daemon.cpu_seconds() - before)
        lines = daemon.text().splitlines()
    return Works(
        nodes=world.size.nodes,
        enis=world.size.enis,
        subnets=sum(it.startswith("vpc_cni_subnet_info{") for it in lines),
        series=sum(not it.startswith("#") for it in lines if it),
        page_bytes=len(page),
        cycles=_cpu(cycles),
        surveys=_cpu(surveys),
        refreshes=_cpu(refreshes),
        publishes=_cpu(publishes),
        scrapes=tuple(scrapes),
    )


def _published(daemon: Watched) -> tuple[Span, Span]:
    """Run one more cycle; return it, and the telling of CloudWatch that follows it."""
    daemon.notes.read()
    told = len(daemon.notes.of(PUBLISH))
    return daemon.cycle(), daemon.wait_for(PUBLISH, told + 1)


def _cpu(spans: list[Span]) -> tuple[float, ...]:
    return tuple(span.cpu for span in spans)


def idle(world: World, seconds: float) -> Idle:
    """Return the CPU used while nodes only tell the API server that they live."""
    names = cycle(world.nodes())
    each = round(world.size.nodes / HEARTBEAT_SECONDS * _BEAT_SECONDS) or 1
    with watched(world, options=_ON_DEMAND) as daemon:
        daemon.ask(CYCLE)
        daemon.ready()
        time.sleep(_SETTLE_SECONDS)
        events, began, used = 0, time.monotonic(), daemon.cpu_seconds()
        while time.monotonic() - began < seconds:
            beating = [next(names) for _ in range(each)]
            world.control("/events", {"event": "heartbeat", "nodes": beating})
            events += len(beating)
            time.sleep(_BEAT_SECONDS)
        return Idle(
            nodes=world.size.nodes,
            events=events,
            seconds=time.monotonic() - began,
            cpu_seconds=daemon.cpu_seconds() - used,
        )


def sequential(world: World, sample: int) -> Sequential:
    """Return what a reader of one node after another takes, on the daemon's core."""
    facts = world.facts[FLEET]
    token = world.control("/tokens", {"do": "current", "profile": "incumbent"})["token"]
    where = facts["api"], token, facts["namespace"], str(facts["ipamd_port"])
    command = ["bench.incumbent", *where, str(sample)]
    with running(command, {}, core=DAEMON_CORE, log=world.folder / "incumbent.log") as process:
        told = json.loads(process.communicate()[0])
    return Sequential(nodes=world.size.nodes, **told)


def idle_loop(seconds: float) -> tuple[float, ...]:
    """Return the lags of a loop without work on the daemon's core: the machine's own."""
    with running(["bench.lag", str(seconds)], {}, core=DAEMON_CORE) as process:
        return tuple(json.loads(process.communicate()[0]))
