from __future__ import annotations

import asyncio
import logging
import selectors
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.counters import ADD_REQUESTS, SERIES, Series
from exporter.core.model import (
    BlockedBy,
    Discovery,
    Ec2Facts,
    InstanceType,
    Outcome,
    Reason,
    SubnetRoom,
    Target,
    Unavailable,
)
from exporter.core.report import Memory, step
from exporter.cycle import Cycle, IpamdLoop, every, next_due
from tests.builders import NOW, node, read, reading, snapshot, subnet_usage, target, unread

ADDS = Series(ADD_REQUESTS, ())


class TestNextDue:
    @pytest.mark.parametrize(
        ("now", "due"),
        [
            pytest.param(100.0, 130.0, id="done at once"),
            pytest.param(129.0, 130.0, id="done just in time"),
            pytest.param(130.0, 160.0, id="done on the beat"),
            pytest.param(131.0, 160.0, id="a beat missed"),
            pytest.param(700.0, 730.0, id="many missed"),
            pytest.param(99.999, 130.0, id="begun a little early"),
        ],
    )
    def test_is_the_first_beat_after_now(self, now: float, due: float) -> None:
        assert next_due(100.0, now, 30.0) == due

    # Steps of 1/64 s, which floats hold exactly.
    @given(due=st.integers(0, 2**30), late=st.integers(0, 2**24), period=st.integers(1, 2**16))
    def test_lies_on_a_beat_and_at_most_one_period_ahead(
        self, due: int, late: int, period: int
    ) -> None:
        now = due + late
        found = Fraction(next_due(due / 64, now / 64, period / 64)) * 64
        assert (found - due) % period == 0
        assert now < found <= now + period

    @given(due=st.floats(0, 1e9), late=st.floats(0, 1e6), period=st.floats(0.01, 3_600))
    def test_never_lies_behind_by_more_than_floats_are_apart(
        self, due: float, late: float, period: float
    ) -> None:
        now = due + late
        assert now - 1e-6 <= next_due(due, now, period) <= now + period + 1e-6


class Instantly(selectors.DefaultSelector):
    """A selector that does not wait for its timeout but moves a clock on."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            self.now += timeout or 0.0
        return ready


class FakeTime(asyncio.SelectorEventLoop):
    """An event loop on which waiting costs no time."""

    def __init__(self) -> None:
        self.instantly = Instantly()
        super().__init__(self.instantly)

    def time(self) -> float:
        return self.instantly.now


class Enough(Exception):
    """The work has been done as often as the test wants."""


def beats(lengths: list[float], period: float = 30.0) -> list[float]:
    """When work of these lengths begins, until it fails; the clock stands at 0 before."""
    begun: list[float] = []
    working = False

    async def work() -> None:
        nonlocal working
        assert not working
        working = True
        begun.append(asyncio.get_running_loop().time())
        if len(begun) > len(lengths):
            raise Enough
        await asyncio.sleep(lengths[len(begun) - 1])
        working = False

    async def main() -> None:
        await every(period, work, clock=asyncio.get_running_loop().time)

    with asyncio.Runner(loop_factory=FakeTime) as runner, pytest.raises(Enough):
        runner.run(main())
    return [round(it, 6) for it in begun]


class TestEvery:
    @pytest.mark.parametrize(
        ("lengths", "wanted"),
        [
            pytest.param([], [0], id="at once"),
            pytest.param([1, 1, 1], [0, 30, 60, 90], id="on every beat"),
            pytest.param([0.5, 29.5, 0.5], [0, 30, 60, 90], id="whatever the work takes"),
            pytest.param([31, 1], [0, 60, 90], id="leaving out a missed beat"),
            pytest.param([100, 1, 59, 1], [0, 120, 150, 210, 240], id="leaving out several"),
        ],
    )
    def test_begins_the_work(self, lengths: list[float], wanted: list[float]) -> None:
        assert beats(lengths) == wanted

    @given(st.lists(st.integers(0, 100), max_size=6))
    def test_never_overlaps_and_keeps_to_the_beat(self, lengths: list[int]) -> None:
        begun = beats([float(it) for it in lengths])
        assert [it % 30 for it in begun] == [0] * (len(lengths) + 1)
        for start, length, following in zip(begun, lengths, begun[1:], strict=False):
            assert start + length < following <= start + length + 30

    def test_ends_with_the_error_of_the_work(self) -> None:
        async def work() -> None:
            raise Unavailable("kubernetes", "gone")

        with pytest.raises(Unavailable):
            asyncio.run(every(30.0, work, clock=lambda: 0.0))


@dataclass
class Cluster:
    """Both doors: hands out outcomes cycle by cycle, None where nothing is discovered."""

    cycles: list[tuple[Outcome, ...] | None]
    asked: list[tuple[Target, ...]] = field(default_factory=list)

    def discover(self) -> Discovery | None:
        if self.cycles[0] is None:
            self.cycles.pop(0)
            return None
        return Discovery(tuple(it.target for it in self.cycles[0]), nodes_known=True)

    async def read(self, targets: tuple[Target, ...]) -> tuple[Outcome, ...]:
        self.asked.append(targets)
        outcomes = self.cycles.pop(0)
        assert outcomes is not None
        return outcomes


def collected(*cycles: tuple[Outcome, ...] | None) -> tuple[IpamdLoop, list[Cycle]]:
    """A loop after cycles half a minute apart, and what it published.

    The clock is read once per cycle; the stopwatch says that each takes a quarter of a second.
    """
    starts = iter([NOW + 30 * number for number, it in enumerate(cycles) if it is not None])
    laps = iter([100.0, 100.25] * len(cycles))
    published: list[Cycle] = []

    async def publish(cycle: Cycle) -> None:
        published.append(cycle)

    cluster = Cluster(list(cycles))
    loop = IpamdLoop(cluster, cluster, publish, lambda: next(starts), lambda: next(laps))

    async def run() -> None:
        for _ in cycles:
            await loop.collect()

    asyncio.run(run())
    return loop, published


def said(adds: float, at: float) -> Outcome:
    return read(what=reading(time=at, said={ADDS: adds}))


class TestACycle:
    def test_publishes_the_snapshot_its_report_and_how_long_it_took(self) -> None:
        outcomes = (said(100, NOW), unread("node-2"))
        loop, published = collected(outcomes)
        shot = snapshot(*outcomes)
        memory, report = step(Memory(), shot)
        assert published == [Cycle(shot, report, 0.25)]
        assert loop.memory == memory

    def test_reads_the_targets_that_were_discovered(self) -> None:
        outcomes = (read("node-1"), unread("node-2"))
        loop, _ = collected(outcomes)
        assert isinstance(loop.reader, Cluster)
        assert loop.reader.asked == [tuple(it.target for it in outcomes)]

    def test_counts_on_from_the_one_before(self) -> None:
        _, published = collected((said(100, NOW),), (said(107, NOW + 30),))
        totals = [cycle.report.totals.counts[SERIES.index(ADDS)] for cycle in published]
        assert totals == [0.0, 7.0]
        assert [cycle.snapshot.time for cycle in published] == [NOW, NOW + 30]

    def test_without_a_discovery_publishes_and_says_nothing(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        loop, published = collected(None)
        assert published == []
        assert loop.memory == Memory()
        assert [it for it in caplog.records if it.name == "exporter.cycle"] == []

    def test_is_the_latest_from_then_on(self) -> None:
        first, second = (read("node-1"),), (unread("node-1"),)
        assert collected(None)[0].latest is None
        assert collected(first)[0].latest == snapshot(*first)
        assert collected(first, second, None)[0].latest == snapshot(*second, time=NOW + 30)

    def test_has_what_ec2_told_of_the_nodes_meanwhile(self) -> None:
        homes, pod_enis = {"i-1": "subnet-a"}, {"i-1": 4}
        room = SubnetRoom(subnet_usage("subnet-b").subnet, 0)
        rooms: dict[str, SubnetRoom] = {}
        published: list[Cycle] = []

        class Reader(Cluster):
            async def read(self, targets: tuple[Target, ...]) -> tuple[Outcome, ...]:
                homes["i-2"] = "subnet-b"
                pod_enis["i-2"] = 2
                rooms["subnet-b"] = room
                return await super().read(targets)

        async def publish(cycle: Cycle) -> None:
            published.append(cycle)

        outcomes = (
            read(target(node("node-1", instance_id="i-1"))),
            read(target(node("node-2", instance_id="i-2")), reading(assigned=18, attached=18)),
        )
        cluster = Reader([outcomes])
        loop = IpamdLoop(
            cluster,
            cluster,
            publish,
            lambda: NOW,
            ec2=lambda: Ec2Facts(
                homes=homes, pod_enis=pod_enis, types={SMALL.name: SMALL}, rooms=rooms
            ),
        )
        asyncio.run(loop.collect())
        nodes = published[0].report.nodes
        assert [it.subnet_id for it in nodes] == ["subnet-a", "subnet-b"]
        assert [it.pod_enis for it in nodes] == [4, 2]
        assert [it.eni_capacity for it in nodes] == [2, 2]
        assert [it.blocked for it in nodes] == [
            (),
            (BlockedBy.SUBNET_EXHAUSTED, BlockedBy.ENI_LIMIT),
        ]
        assert loop.latest == published[0].snapshot

    def test_has_the_drifts_from_ec2_that_were_told(self) -> None:
        published: list[Cycle] = []

        async def publish(cycle: Cycle) -> None:
            published.append(cycle)

        cluster = Cluster([(read(),)])
        facts = Ec2Facts(drifts={"uid-node-1": -9})
        loop = IpamdLoop(cluster, cluster, publish, lambda: NOW, ec2=lambda: facts)
        asyncio.run(loop.collect())
        assert [it.ec2_drift for it in published[0].report.nodes] == [-9]

    def test_of_an_empty_cluster_is_published_too(self) -> None:
        _, published = collected(())
        assert [cycle.report.cluster.expected for cycle in published] == [0]


SMALL = InstanceType(name="m5.large", enis=2, ipv4_per_eni=10, vcpus=2)


@dataclass(frozen=True)
class Line:
    level: str
    message: str
    extra: dict[str, Any] = field(default_factory=dict)


_EXTRA = ("node", "reason", "unread", "seconds")


def told(caplog: pytest.LogCaptureFixture, *cycles: tuple[Outcome, ...]) -> list[list[Line]]:
    """What was logged, cycle by cycle; each ends with its summary."""
    caplog.set_level(logging.INFO, logger="exporter.cycle")
    collected(*cycles)
    found: list[list[Line]] = [[]]
    for record in caplog.records:
        if record.name == "exporter.cycle":
            extra = {name: vars(record)[name] for name in _EXTRA if name in vars(record)}
            found[-1].append(Line(record.levelname, record.getMessage(), extra))
            if "seconds" in extra:
                found.append([])
    assert found.pop() == []
    return found


def summary(read: int, of: int, **unread: int) -> Line:
    return Line("INFO", f"read {read} of {of} nodes", {"unread": unread, "seconds": 0.25})


def lost(name: str, reason: str, message: str = "") -> Line:
    extra = {"node": name, "reason": reason}
    return Line("WARNING", f"node is not read: {message or reason}", extra)


def back(name: str) -> Line:
    return Line("INFO", "node is read again or no longer expected", {"node": name})


class TestTheLog:
    def test_has_one_line_per_cycle_where_nothing_changes(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        quiet = (read("node-1"), read("node-2"))
        assert told(caplog, quiet, quiet) == [[summary(2, 2)], [summary(2, 2)]]

    def test_tells_a_node_that_is_lost_once_and_again_when_it_is_back(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        failing = (read("node-1"), unread("node-2", Reason.MALFORMED, "line 3: no value"))
        whole = (read("node-1"), read("node-2"))
        assert told(caplog, whole, failing, failing, whole) == [
            [summary(2, 2)],
            [lost("node-2", "malformed", "line 3: no value"), summary(1, 2, malformed=1)],
            [summary(1, 2, malformed=1)],
            [back("node-2"), summary(2, 2)],
        ]

    def test_tells_a_node_that_changes_its_reason(self, caplog: pytest.LogCaptureFixture) -> None:
        first, second = unread(reason=Reason.PENDING), unread(reason=Reason.TIMEOUT)
        assert told(caplog, (first,), (second,)) == [
            [lost("node-1", "pending"), summary(0, 1, pending=1)],
            [lost("node-1", "timeout"), summary(0, 1, timeout=1)],
        ]

    def test_tells_nothing_of_a_new_detail_of_the_same_reason(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        first, second = unread(detail="after 5.0 s"), unread(detail="after 5.1 s")
        assert told(caplog, (first,), (second,))[1] == [summary(0, 1, timeout=1)]

    def test_tells_an_unread_node_that_is_no_longer_expected(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert told(caplog, (unread(),), ())[1] == [back("node-1"), summary(0, 0)]

    @pytest.mark.parametrize(
        ("nodes", "lines", "rest"),
        [
            pytest.param(20, 20, 0, id="as many as are told one by one"),
            pytest.param(21, 20, 1, id="one more"),
            pytest.param(500, 20, 480, id="the whole network"),
        ],
    )
    def test_is_not_flooded_when_many_nodes_change(
        self, caplog: pytest.LogCaptureFixture, nodes: int, lines: int, rest: int
    ) -> None:
        names = [f"node-{i:03}" for i in range(nodes)]
        more = [Line("WARNING", f"{rest} more nodes changed between read and unread")]
        gone, returned = told(caplog, tuple(map(unread, names)), tuple(map(read, names)))
        assert gone == [
            *(lost(name, "timeout") for name in names[:lines]),
            *more[: min(rest, 1)],
            summary(0, nodes, timeout=nodes),
        ]
        assert returned == [
            *(back(name) for name in names[:lines]),
            *more[: min(rest, 1)],
            summary(nodes, nodes),
        ]
