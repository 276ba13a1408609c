"""A simulated day on CloudWatch: what it was told is the truth, minute by minute.

The clock is moved by hand; pages and points go over real HTTP. The world has pods and nodes that
come and go, CloudWatch its outages, and the exporter is started anew now and then.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from exporter.aws import Account, AwsConfig
from exporter.cloudwatch_loop import CloudWatchLoop
from exporter.core.model import Discovery, Node, Pod, Target
from exporter.core.points import Minutes
from exporter.cycle import Cycle, IpamdLoop
from exporter.inputs.nodes import Nodes, NodesConfig, direct
from exporter.outputs.cloudwatch import CloudWatch, CloudWatchConfig
from exporter.sim import Options, Simulation
from exporter.sim.faults import Fault
from exporter.sim.living.story import Living
from exporter.sim.nodes import Phase
from tests.e2e.published import INCUMBENTS, Told, Value, summed, wrong

START = 1_787_184_000  # the beginning of an hour
MINUTES = 24 * 60
QUICK_FAULTS = (Fault.REFUSE, Fault.STATUS_500, Fault.RUBBISH, Fault.TRUNCATED, Fault.EMPTY)
EVENTS = ("restart", "replace_pod", "remove_node", "restart", "begin_rollout", "run")


@pytest.fixture(autouse=True)
def _quick_hand_over() -> Iterator[None]:
    """Let threads take turns often: thousands of calls, each on its own, wait for one another."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0001)
    yield
    sys.setswitchinterval(before)


@dataclass
class Day:
    """One day: its clock, its world, the exporter of now, and what should have been published."""

    monkeypatch: pytest.MonkeyPatch
    now: float = START
    rng: random.Random = field(default_factory=lambda: random.Random(8))
    truth: dict[int, dict[str, Value]] = field(default_factory=dict)
    restarts: list[int] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    heard: list[int] = field(default_factory=list)
    _victim: str = ""

    def __post_init__(self) -> None:
        story = Living(4, seed=3, scenario="day", seconds=60.0)
        options = Options(seed=3, startup=0.0, told=0.0, base="127.77.0.0")
        self.sim = Simulation(story, options, clock=lambda: self.now)

    def discover(self) -> Discovery:
        """Return the nodes as the simulation has them now."""
        targets = []
        for node in self.sim.cluster.expected:
            place = Node(
                name=node.name,
                created=node.created,
                addresses=(node.address,),
                pod_eni_capacity=node.machine.pod_eni or None,
            )
            pod = node.target
            found = None
            if pod is not None:
                found = Pod(
                    uid=pod.uid,
                    name=pod.name,
                    namespace="kube-system",
                    node=node.name,
                    ip=node.address,
                    pending=pod.phase is Phase.PENDING,
                    env=self.sim.cluster.plan.env,
                )
            targets.append(Target(place, found))
        return Discovery(tuple(targets), nodes_known=True)

    def start(self) -> None:
        """Start an exporter that knows of nothing before it."""
        config = NodesConfig(port=self.sim.ipamd_port, timeout=2.0, allow_loopback=True)
        self.door = CloudWatch(
            Account(AwsConfig(connect_seconds=1.0, silence_seconds=0.3)), CloudWatchConfig()
        )
        self.cloudwatch = CloudWatchLoop(
            self.door,
            lambda: "day",
            lambda _: None,
            lambda: self.now,
            Minutes(60),
            stopwatch=lambda: self.now,
            jitter=self.rng.random,
            accepted=self.heard.append,
        )

        async def publish(cycle: Cycle) -> None:
            self.cloudwatch.take(cycle.report)

        nodes = Nodes(config, direct(config), clock=lambda: self.now)
        self.ipamd = IpamdLoop(self, nodes, publish, lambda: self.now)

    async def restart(self) -> None:
        """End the exporter as SIGTERM does, and start another; this minute has two parts."""
        minute = int(self.now // 60) * 60
        self.note(minute, self.sim.minute(), gauges=False)
        await self.cloudwatch.flush(5.0)
        assert self.cloudwatch.outbox.points == ()
        self.end()
        await self.door.close()
        self.sim.ledger.forget()
        self.restarts.append(minute)
        self.start()

    def end(self) -> None:
        """Count what became of the exporter's points."""
        self.counts += Counter({it.value: n for it, n in self.cloudwatch.outcomes.items()})

    def note(self, minute: int, told: Mapping[str, Value], *, gauges: bool = True) -> None:
        """Note the truth of a minute, or of a part of it that only gains are told of."""
        known = self.truth.setdefault(minute, {})
        for name, value in told.items():
            if name in GAINS:
                known[name] = summed([known[name], value]) if name in known else value
            elif gauges:
                known[name] = value

    async def happen(self, minute: int) -> None:
        """Let a minute pass for pods and pools, and now and then something befall a node."""
        await self.sim.step()
        names = [node.name for node in self.sim.cluster.expected]
        await self.sim.set_fault(names, None)
        if self.rng.random() < 0.3:
            fault = QUICK_FAULTS[minute % len(QUICK_FAULTS)]
            await self.sim.set_fault([self.rng.choice(names)], fault)
        if minute % 7 == 3:
            event = EVENTS[minute // 7 % len(EVENTS)]
            if event != "run" or self._victim not in names:
                self._victim = self.rng.choice(names)
            if event != "remove_node" or len(names) > 3:
                await self.sim.event(event, [self._victim])


GAINS = frozenset(
    {
        "addReqCount",
        "awsAPIErr",
        "awsAPILatency",
        "awsAPILatencyMilliseconds",
        "awsUtilErr",
        "delReqCount",
        "ec2ApiErrCount",
        "ec2ApiReqCount",
        "forceRemoveENI",
        "forceRemoveIPs",
        "ipamdErr",
        "noAvailableIPs",
        "podENIErr",
        "reconcileCount",
    }
)
# When CloudWatch does not work: from minute, to minute, and how. Those that keep a caller waiting
# are short, since they cost real time.
OUTAGES: tuple[tuple[int, int, str], ...] = (
    (60, 75, "throttled"),
    (150, 150, "lost"),
    (180, 180, "stalled"),
    (200, 220, "denied"),
    (300, 300, "hang"),
    (330, 335, "reset"),
    (400, 460, "down"),
    (600, 605, "expired"),
    (640, 640, "cut_off"),
    (700, 703, "skewed"),
    (760, 764, "lost"),
    (900, 910, "error_500"),
    (1100, 1104, "invalid"),
    (1200, 1290, "throttled"),
)
RESTARTS = frozenset({45, 130, 290, 560, 561, 820, 1010, 1180, 1400})
# Minutes in which nothing is read: the exporter itself is held up.
UNREAD = frozenset({20, 21, 22, 110, 620, 621, 850})


def outage(minute: int) -> str | None:
    return next((how for begin, end, how in OUTAGES if begin <= minute <= end), None)


async def live(day: Day) -> Told:
    """Live through the day, and return what CloudWatch took."""
    async with day.sim as sim:
        for name, value in sim.cloudwatch.environment().items():
            day.monkeypatch.setenv(name, value)
        day.start()
        how: str | None = None
        for minute in range(MINUTES):
            begins = START + 60 * minute
            if outage(minute) != how:
                how = outage(minute)
                await sim.cloudwatch.set_trouble(how, metric="eniAllocated")
            day.now = begins + 1
            await day.happen(minute)
            for second in (2,) if minute % 4 else (2, 31):
                day.now = begins + second
                if minute not in UNREAD:
                    await day.ipamd.collect()
            # The minute before has settled; what it could not send is tried again.
            for second in (33, 55):
                day.now = begins + second
                await day.cloudwatch.tend()
            if minute in RESTARTS:
                await day.restart()
                day.now = begins + 50
                await day.ipamd.collect()
            if minute not in UNREAD:
                day.note(begins, sim.minute())
        day.now = START + 60 * MINUTES + 30
        await day.cloudwatch.flush(5.0)
        day.end()
        await day.door.close()
        return Told.of(sim.cloudwatch.state()["data"], "day")  # type: ignore[arg-type]


def test_a_day_of_points_is_the_truth_minute_by_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    day = Day(monkeypatch)
    told = asyncio.run(live(day))
    minutes = told.by_minute(day.restarts)
    rejected = {START + 60 * minute for minute in range(MINUTES) if outage(minute) == "invalid"}
    differences = wrong(day.truth, minutes)
    refused = [it for it in differences if it[1] == "eniAllocated" and it[3] is None]
    assert [it for it in differences if it not in refused] == []
    # Refused points are those that CloudWatch refused when their minute came up, and no others.
    assert {it[0] for it in refused} <= {it - 60 for it in rejected} | rejected
    assert day.counts["rejected"] == len(refused) >= 4
    # Nothing was told twice but what went into calls whose answer was lost.
    restarted = sum(
        len(values) - 1 for (minute, _), values in told.values.items() if minute in day.restarts
    )
    assert 0 < told.copies - restarted <= day.counts["repeated"]
    assert day.counts["dropped"] == 0
    # Whatever is counted in the day is there, and all of the incumbent's names are.
    assert {name for point in minutes.values() for name in point} >= INCUMBENTS
    assert len(minutes) == MINUTES - len(UNREAD)
    for name in ("addReqCount", "delReqCount", "noAvailableIPs", "reconcileCount"):
        gained = [it.get(name, 0.0) for it in day.truth.values()]
        assert sum(it for it in gained if isinstance(it, float | int)) > 0
    assert len(set(day.heard)) == MINUTES - len(UNREAD)
