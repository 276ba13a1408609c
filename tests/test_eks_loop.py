from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import pytest

from exporter.core.eks import EksReport
from exporter.core.health import SourceHealth
from exporter.core.model import ControlPlane, Identity, Snapshot, Unavailable
from exporter.eks_loop import EksLoop
from tests.builders import NOW, addon, eks_cluster, eks_report, read, snapshot

PERIOD = 900.0
BEAT = PERIOD / 32


@dataclass
class Clock:
    now: float

    def __call__(self) -> float:
        return self.now


class FakeEks:
    """What EKS says; a read takes as long as it is told, and fails where it is told."""

    def __init__(self, stopwatch: Clock) -> None:
        self.report = eks_report()
        self.failing = ""
        self.seconds = 0.0
        self.asked: list[tuple[str, str]] = []
        self._stopwatch = stopwatch

    async def read(self, cluster: str, version: str) -> EksReport:
        self.asked.append((cluster, version))
        self._stopwatch.now += self.seconds
        if self.failing:
            raise Unavailable("eks", self.failing)
        return self.report


class World:
    """A loop over one cluster, with clocks that stand still until they are moved."""

    def __init__(self) -> None:
        self.clock = Clock(NOW)
        self.stopwatch = Clock(1_000.0)
        self.eks = FakeEks(self.stopwatch)
        self.snapshot: Snapshot | None = None
        self.called("prod")
        self.published: list[EksReport] = []
        self.notes: list[SourceHealth] = []
        self.loop = EksLoop(
            self.eks,
            lambda: self.snapshot,
            self._publish,
            self.notes.append,
            self.clock,
            PERIOD,
            self.stopwatch,
        )

    async def _publish(self, report: EksReport) -> None:
        self.published.append(report)

    def called(self, cluster: str, version: str = "v1.33.4-eks-1") -> None:
        identity = Identity(cluster, "eu-west-1", "", version)
        self.snapshot = snapshot(read(), identity=identity)

    def beat(self) -> bool:
        """Whether there was a read on this beat; the next is due after it."""
        before, begun = len(self.eks.asked), self.stopwatch.now
        asyncio.run(self.loop.read_if_due())
        self.later(begun + self.loop.beat - self.stopwatch.now)
        return len(self.eks.asked) > before

    def later(self, seconds: float) -> None:
        self.clock.now += seconds
        self.stopwatch.now += seconds

    def reads(self, beats: int) -> list[int]:
        """On which of some beats there was a read."""
        return [number for number in range(beats) if self.beat()]


def down(reason: str, seconds: float = 0.0) -> SourceHealth:
    return SourceHealth(up=False, last_success=None, cycle_seconds=seconds, reason=reason)


def up(at: float, seconds: float = 0.0) -> SourceHealth:
    return SourceHealth(up=True, last_success=at, cycle_seconds=seconds, reason="")


class TestARead:
    def test_is_published_and_noted_with_when_it_succeeded_and_how_long_it_took(self) -> None:
        world = World()
        world.eks.seconds = 2.5
        assert world.beat()
        assert world.eks.asked == [("prod", "v1.33.4-eks-1")]
        assert world.published == [eks_report()]
        assert world.notes == [up(NOW, 2.5)]

    def test_waits_for_the_first_snapshot(self) -> None:
        world = World()
        world.snapshot = None
        assert not world.beat()
        assert (world.published, world.notes) == ([], [])

    def test_that_fails_publishes_nothing_and_is_noted_with_why(self) -> None:
        world = World()
        world.eks.failing, world.eks.seconds = "timed out", 8.0
        assert world.beat()
        assert (world.published, world.notes) == ([], [down("timed out", 8.0)])

    def test_that_was_refused_in_part_is_published_and_the_source_is_down(self) -> None:
        world = World()
        reasons = ("DescribeAddon is not allowed", "DescribeCluster is not allowed")
        world.eks.report = EksReport(None, (), reasons)
        world.beat()
        assert world.published == [world.eks.report]
        assert world.notes == [down("; ".join(reasons))]


class TestTheName:
    def test_that_is_not_known_yet_is_waited_for_on_every_beat(self) -> None:
        world = World()
        world.called("")
        assert world.reads(3) == []
        assert world.notes == [down("the cluster's name is not known")] * 3
        world.called("prod")
        assert world.reads(40) == [0, 32]
        assert world.notes[-1].up

    def test_that_changes_is_asked_for_at_once_and_nothing_of_the_other_is_told(self) -> None:
        world = World()
        world.beat()
        assert world.loop.control_plane.vpc_id == "vpc-1"
        world.called("other")
        world.eks.failing = "timed out"
        assert world.beat()
        assert world.eks.asked[-1][0] == "other"
        assert world.loop.control_plane == ControlPlane()

    def test_that_changes_forgets_how_often_the_other_failed(self) -> None:
        world = World()
        world.eks.failing = "timed out"
        world.reads(40)
        world.called("other")
        assert world.reads(8) == [0, 1, 3, 7]


class TestTheCadence:
    def test_is_a_read_a_period(self) -> None:
        assert World().reads(100) == [0, 32, 64, 96]

    def test_is_kept_however_long_a_read_takes(self) -> None:
        world = World()
        world.eks.seconds = 20.0
        assert world.reads(70) == [0, 32, 64]

    @pytest.mark.parametrize("refused", [False, True])
    def test_is_sooner_after_a_failure_and_less_and_less_soon(self, refused: bool) -> None:
        world = World()
        if refused:
            world.eks.report = EksReport(eks_cluster(), (), ("not allowed",))
        else:
            world.eks.failing = "timed out"
        assert world.reads(130) == [0, 1, 3, 7, 15, 31, 63, 95, 127]
        world.eks.report, world.eks.failing = eks_report(), ""
        assert world.reads(70) == [29, 61]

    def test_begins_anew_after_a_success(self) -> None:
        world = World()
        for _ in range(2):
            world.eks.failing = "timed out"
            assert world.reads(2) == [0, 1]
            world.eks.failing = ""
            assert world.reads(33) == [1]

    @pytest.mark.parametrize("step", [-86_400.0, 86_400.0])
    def test_does_not_heed_a_clock_that_is_set(self, step: float) -> None:
        world = World()
        world.beat()
        world.clock.now += step
        assert world.reads(32) == [31]
        assert world.loop.control_plane == eks_cluster().control_plane


class TestTheControlPlane:
    def test_is_nothing_before_the_first_read(self) -> None:
        assert World().loop.control_plane == ControlPlane()

    def test_is_what_eks_was_given(self) -> None:
        world = World()
        world.beat()
        assert world.loop.control_plane == ControlPlane(
            "vpc-1", frozenset({"subnet-a", "subnet-b"})
        )
        other = eks_cluster(subnets=frozenset({"subnet-c"}))
        world.eks.report = EksReport(other, (addon(),))
        world.reads(32)
        assert world.loop.control_plane == ControlPlane("vpc-1", frozenset({"subnet-c"}))

    def test_is_nothing_where_the_cluster_is_not_told(self) -> None:
        world = World()
        world.eks.report = replace(eks_report("not allowed"), cluster=None)
        world.beat()
        assert world.loop.control_plane == ControlPlane()

    def test_is_kept_through_failures_for_three_periods(self) -> None:
        world = World()
        world.beat()
        world.eks.failing = "timed out"
        given = eks_cluster().control_plane
        seen = []
        for _ in range(4):
            world.reads(32)
            world.later(-BEAT)
            seen.append((world.stopwatch.now - 1_000.0, world.loop.control_plane))
            world.later(BEAT)
        assert [plane for _, plane in seen] == [
            given if at <= 3 * PERIOD else ControlPlane() for at, _ in seen
        ]
        assert [round(at) for at, _ in seen] == [900, 1800, 2700, 3600]
        world.eks.failing = ""
        world.reads(32)
        assert world.loop.control_plane == given
