"""When points go out, again, in parts or never: the loop against a door that does as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from exporter.cloudwatch_loop import CloudWatchLoop
from exporter.core.counters import ADD_REQUESTS, Series
from exporter.core.health import PointOutcome, SourceHealth
from exporter.core.model import Invalid, Outcome, Unanswered, Unavailable
from exporter.core.points import Minutes, Point
from exporter.core.report import Memory, Report, step
from tests.builders import read, reading, snapshot, unread, without_enis

T = 1_787_200_020  # the beginning of a minute
ADDS = Series(ADD_REQUESTS, ())
# What one node tells in a minute: its gauges and counters, without calls that could be timed.
A_MINUTE = 24
THROTTLED = Unavailable("cloudwatch", "PutMetricData was throttled (Throttling)")
DENIED = Unavailable("cloudwatch", "PutMetricData is not allowed (AccessDenied)")
LOST = Unanswered("cloudwatch", "the connection was closed")
WRONG = Invalid("cloudwatch", "PutMetricData is not acceptable (InvalidParameterValue)")

Answer = Callable[[Sequence[Point]], Exception | None]


@dataclass
class Door:
    """Takes points, unless `answers` says otherwise call by call; the last one stays."""

    answers: list[Answer | Exception | None] = field(default_factory=list)
    most: int = 1000
    call_seconds: float = 14.0
    calls: list[tuple[Point, ...]] = field(default_factory=list)
    taken: list[Point] = field(default_factory=list)
    clusters: set[str] = field(default_factory=set)
    hold: asyncio.Event | None = None

    def fitting(self, points: Sequence[Point], cluster: str) -> int:
        return min(len(points), self.most)

    async def send(self, points: Sequence[Point], cluster: str) -> None:
        self.calls.append(tuple(points))
        self.clusters.add(cluster)
        if self.hold is not None:
            await self.hold.wait()
        answer = self.answers.pop(0) if self.answers else None
        error = answer(points) if callable(answer) else answer
        if error is None or isinstance(error, Unanswered):
            self.taken += points
        if error is not None:
            raise error


@dataclass
class World:
    """A loop with clocks that stand until they are moved."""

    door: Door = field(default_factory=Door)
    now: float = T
    cluster: str = "prod"
    leads: bool = True
    notes: list[SourceHealth] = field(default_factory=list)
    deadlines: list[float] = field(default_factory=list)
    minutes: list[int] = field(default_factory=list)
    memory: Memory = field(default_factory=Memory)
    jitters: list[float] = field(default_factory=lambda: [1.0])
    adds: int = 0

    def __post_init__(self) -> None:
        self.loop = CloudWatchLoop(
            self.door,
            lambda: self.cluster,
            self.notes.append,
            lambda: self.now,
            Minutes(60),
            stopwatch=lambda: self.now - T + 1000,
            jitter=lambda: self.jitters[-1],
            may_send=self.may_send,
            accepted=self.minutes.append,
        )

    def may_send(self, deadline: float) -> bool:
        self.deadlines.append(deadline)
        return self.leads

    def report(self, *outcomes: Outcome) -> Report:
        self.adds += 1
        one = read(what=reading(time=self.now, said={ADDS: self.adds}))
        self.memory, report = step(self.memory, snapshot(*(outcomes or (one,)), time=self.now))
        return report

    def cycle(self, at: float) -> None:
        self.now = T + at
        self.loop.take(self.report())

    async def tend(self, at: float) -> None:
        self.now = T + at
        await self.loop.tend()

    @property
    def counts(self) -> dict[str, int]:
        return {it.value: n for it, n in self.loop.outcomes.items() if n}

    def gains(self) -> dict[int, float]:
        """What was taken of `addReqCount`, by minute."""
        found: dict[int, float] = {}
        for point in self.door.taken:
            if point.name == "addReqCount":
                assert isinstance(point.value, float | int)
                found[point.time - T] = found.get(point.time - T, 0) + point.value
        return found


def run(scenario: Callable[[World], object], world: World | None = None) -> World:
    """Live through a scenario, and give back the world."""
    world = world or World()

    async def main() -> None:
        living = scenario(world)
        assert asyncio.iscoroutine(living)
        async with asyncio.timeout(10):
            await living

    asyncio.run(main())
    return world


def test_a_minutes_points_are_out_within_fifteen_seconds_of_its_end() -> None:
    async def scenario(world: World) -> None:
        world.cycle(5)
        for second in range(6, 71):
            await world.tend(second - 0.01)
            assert world.door.calls == []
        await world.tend(71)

    world = run(scenario)
    (call,) = world.door.calls
    assert len(call) == A_MINUTE
    assert {point.time for point in call} == {T}
    assert world.door.clusters == {"prod"}
    assert world.counts == {"accepted": A_MINUTE}
    assert world.notes == [SourceHealth(True, T + 71, 0.0, "")]
    assert (world.minutes, world.loop.outbox.points) == ([T], ())


def test_a_cycle_that_ends_late_is_still_in_its_minute() -> None:
    async def scenario(world: World) -> None:
        world.cycle(5)
        world.now = T + 59.5
        late = world.report()
        await world.tend(64)
        world.loop.take(late)
        await world.tend(70)

    assert run(scenario).gains() == {0: 1}


def test_with_nothing_to_send_nothing_is_asked_or_said() -> None:
    async def scenario(world: World) -> None:
        for second in range(0, 300, 7):
            await world.tend(second)

    world = run(scenario)
    assert (world.door.calls, world.notes, world.deadlines) == ([], [], [])


@pytest.mark.parametrize(("period", "beat"), [(60, 1.0), (300, 1.0), (5, 0.5), (1, 0.1)])
def test_it_is_tended_often_enough_for_its_period(period: int, beat: float) -> None:
    world = World()
    world.loop.minutes = Minutes(period)
    assert world.loop.beat == beat


def test_a_period_of_seconds_settles_in_a_part_of_it() -> None:
    async def scenario(world: World) -> None:
        world.loop.minutes = Minutes(6)
        world.cycle(5)
        await world.tend(6.99)
        assert world.door.calls == []
        await world.tend(7)

    assert len(run(scenario).door.calls) == 1


def test_what_does_not_fit_into_one_call_goes_in_several_the_oldest_first() -> None:
    async def scenario(world: World) -> None:
        for minute in range(3):
            world.cycle(60 * minute + 5)
        world.door.most = 50
        await world.tend(200)

    world = run(scenario)
    assert [len(call) for call in world.door.calls] == [50, 22]
    assert [point.time - T for point in world.door.taken[:-1:12]] == [0, 0, 60, 60, 120, 120]
    assert world.minutes == [T, T + 60, T + 120]


class TestARefusedPoint:
    def wrong(self, *names: str) -> Answer:
        return lambda points: WRONG if {point.name for point in points} & set(names) else None

    def told(self, answer: Answer, caplog: pytest.LogCaptureFixture | None = None) -> World:
        async def scenario(world: World) -> None:
            for minute in range(3):
                world.cycle(60 * minute + 5)
            world.door.answers = [answer] * 1000
            await world.tend(200)

        return run(scenario)

    def test_costs_itself_and_nothing_else(self) -> None:
        world = self.told(self.wrong("eniAllocated"))
        assert world.counts == {"accepted": 3 * A_MINUTE - 3, "rejected": 3}
        names = [point.name for point in world.door.taken]
        assert "eniAllocated" not in names
        assert len(names) == 3 * A_MINUTE - 3
        assert world.loop.outbox.points == ()
        assert world.notes[-1].up
        assert sorted(world.minutes) == [T, T + 60, T + 120]

    def test_is_found_by_halves(self) -> None:
        async def scenario(world: World) -> None:
            world.cycle(5)
            world.door.answers = [self.wrong("nodesRead")] * 100
            await world.tend(71)

        world = run(scenario)
        assert [len(call) for call in world.door.calls] == [24, 12, 6, 3, 1, 2, 1, 1, 3, 6, 12]

    def test_is_logged_once_by_name(self, caplog: pytest.LogCaptureFixture) -> None:
        self.told(self.wrong("eniAllocated"))
        (line,) = [it for it in caplog.records if it.levelno >= logging.WARNING]
        reason = "PutMetricData is not acceptable (InvalidParameterValue)"
        assert line.getMessage() == f"CloudWatch rejects a point: {reason}"
        assert (vars(line)["metric"], vars(line)["minute"]) == ("eniAllocated", T)

    def test_that_meets_trouble_meanwhile_is_looked_for_again_in_what_is_left(self) -> None:
        async def scenario(world: World) -> None:
            world.cycle(5)
            wrong = self.wrong("nodesExpected")
            world.door.answers = [wrong, THROTTLED, *[wrong] * 100]
            await world.tend(71)
            await world.tend(80)

        world = run(scenario)
        assert world.counts == {"accepted": A_MINUTE - 1, "rejected": 1}

    def test_may_be_all_there_are(self) -> None:
        world = self.told(lambda _: WRONG)
        assert world.counts == {"rejected": 3 * A_MINUTE}

    def test_that_is_one_of_very_many_is_looked_for_in_several_goes(self) -> None:
        async def scenario(world: World) -> None:
            world.door.answers = [lambda _: WRONG] * 10_000
            for minute in range(10):
                world.cycle(60 * minute + 5)
            await world.tend(700)
            first = len(world.door.calls)
            assert first == 200
            assert world.notes[-1].reason == "too much is rejected to look for it all at once"
            for second in range(701, 1000):
                await world.tend(second)

        world = run(scenario)
        assert world.counts == {"rejected": 10 * A_MINUTE}


class TestARefusedCall:
    @pytest.mark.parametrize(
        "error", [pytest.param(THROTTLED, id="throttled"), pytest.param(DENIED, id="denied")]
    )
    def test_is_not_taken_apart_and_everything_waits(self, error: Unavailable) -> None:
        async def scenario(world: World) -> None:
            world.cycle(5)
            world.door.answers = [error]
            await world.tend(71)

        world = run(scenario)
        assert len(world.door.calls) == 1
        assert world.counts == {}
        assert len(world.loop.outbox.points) == A_MINUTE
        assert world.notes == [SourceHealth(False, None, 0.0, error.reason)]
        assert world.minutes == []

    def test_is_repeated_after_chance_times_an_ever_longer_while(self) -> None:
        async def scenario(world: World) -> None:
            world.cycle(5)
            world.door.answers = [THROTTLED] * 100
            world.jitters = [0.5]
            for tenth in range(700, 4000):
                await world.tend(tenth / 10)
                if world.door.calls[-1:] and len(when) < len(world.door.calls):
                    when.append(tenth / 10)

        when: list[float] = []
        run(scenario)
        gaps = [later - before for before, later in pairwise(when)]
        assert gaps[:8] == pytest.approx([0.5, 1, 2, 4, 8, 16, 30, 30])

    def test_is_repeated_at_once_where_chance_says_so(self) -> None:
        async def scenario(world: World) -> None:
            world.cycle(5)
            world.door.answers = [THROTTLED] * 3
            world.jitters = [0.0]
            for _ in range(4):
                await world.tend(71)

        assert run(scenario).counts == {"accepted": A_MINUTE}

    def test_is_forgotten_with_the_next_success(self) -> None:
        async def scenario(world: World) -> None:
            world.cycle(5)
            world.door.answers = [THROTTLED] * 6
            for second in range(70, 400):
                await world.tend(second)
            world.cycle(400)
            world.door.answers = [THROTTLED]
            await world.tend(500)
            await world.tend(501)

        world = run(scenario)
        assert world.counts == {"accepted": 2 * A_MINUTE}
        assert [note.up for note in world.notes[-3:]] == [True, False, True]

    def test_keeps_the_minutes_that_close_meanwhile(self) -> None:
        async def scenario(world: World) -> None:
            world.door.answers = [THROTTLED] * 1000
            for second in range(0, 3600, 30):
                world.cycle(second)
                await world.tend(second + 1)
            world.door.answers = []
            await world.tend(3700)

        world = run(scenario)
        assert world.gains() == {60 * minute: 2 - (minute == 0) for minute in range(60)}
        assert world.minutes == [T + 60 * minute for minute in range(60)]
        assert world.loop.outbox.points == ()

    def test_for_more_than_a_day_costs_gauges_that_are_counted_and_no_gain(self) -> None:
        async def scenario(world: World) -> None:
            world.door.answers = [DENIED] * 100_000
            for minute in range(0, 26 * 60, 5):
                world.cycle(60 * minute)
                await world.tend(60 * minute + 1)
            world.door.answers = []
            await world.tend(26 * 3600)

        world = run(scenario)
        cycles = 26 * 12
        assert sum(world.gains().values()) == cycles - 1
        assert min(world.gains()) >= 2 * 3600 - 600
        assert world.counts["dropped"] == 12 * (cycles - len(world.gains()))
        assert world.counts["accepted"] == A_MINUTE * len(world.gains())


class TestALostAnswer:
    def test_is_followed_by_a_repetition_that_is_counted(self) -> None:
        async def scenario(world: World) -> None:
            world.cycle(5)
            world.door.answers = [LOST]
            await world.tend(71)
            assert world.counts == {}
            await world.tend(80)

        world = run(scenario)
        assert world.counts == {"accepted": A_MINUTE, "repeated": A_MINUTE}
        assert world.gains() == {0: 0}
        assert len(world.door.taken) == 2 * A_MINUTE

    def test_that_is_lost_again_is_counted_again(self) -> None:
        async def scenario(world: World) -> None:
            world.cycle(5)
            world.door.answers = [LOST, LOST, THROTTLED]
            for second in range(70, 100):
                await world.tend(second)

        world = run(scenario)
        assert len(world.door.taken) == 3 * A_MINUTE
        assert world.counts == {"accepted": A_MINUTE, "repeated": 2 * A_MINUTE}

    def test_costs_only_the_call_it_was_of(self) -> None:
        async def scenario(world: World) -> None:
            world.cycle(5)
            world.door.most = 10
            world.door.answers = [None, LOST]
            await world.tend(71)
            await world.tend(80)

        world = run(scenario)
        assert world.counts == {"accepted": A_MINUTE, "repeated": 10}


class TestTheClustersName:
    def test_is_waited_for_without_a_call(self) -> None:
        async def scenario(world: World) -> None:
            world.cluster = ""
            world.cycle(5)
            await world.tend(71)
            assert world.door.calls == []
            assert world.notes == [SourceHealth(up=False, reason="the cluster's name is not known")]
            world.cluster = "late"
            await world.tend(80)
            assert world.door.calls == []
            await world.tend(81)

        world = run(scenario)
        assert world.door.clusters == {"late"}
        assert world.counts == {"accepted": A_MINUTE}

    def test_that_cannot_be_a_dimension_is_told(self) -> None:
        async def scenario(world: World) -> None:
            world.cluster = "prodüktion"
            world.cycle(5)
            await world.tend(71)

        world = run(scenario)
        assert world.door.calls == []
        assert "ASCII" in world.notes[-1].reason


class TestLeading:
    def test_is_asked_for_before_each_call_until_that_call_has_timed_out(self) -> None:
        async def scenario(world: World) -> None:
            world.cycle(5)
            world.door.most = 20
            await world.tend(71)

        # The stopwatch is at 1071, and a call takes 14 seconds at most.
        assert run(scenario).deadlines == [1085.0, 1085.0]

    def test_that_is_lost_stops_the_calls_and_is_no_failure(self) -> None:
        async def scenario(world: World) -> None:
            def lose(_points: Sequence[Point]) -> None:
                world.leads = False

            world.cycle(5)
            world.door.most = 20
            world.door.answers = [lose]
            await world.tend(71)
            await world.tend(72)

        world = run(scenario)
        assert len(world.door.calls) == 1
        assert len(world.loop.outbox.points) == A_MINUTE - 20
        assert world.notes == []

    def test_is_asked_for_between_the_halves_of_a_refused_batch(self) -> None:
        async def scenario(world: World) -> None:
            def lose(_points: Sequence[Point]) -> Exception:
                world.leads = False
                return WRONG

            world.cycle(5)
            world.door.answers = [lose]
            await world.tend(71)

        assert len(run(scenario).door.calls) == 1

    def test_is_no_question_with_one_replica(self) -> None:
        loop = CloudWatchLoop(Door(), lambda: "prod", lambda _: None, lambda: T + 71.0)
        report = step(Memory(), snapshot(read(), time=T + 5))[1]
        loop.take(report)
        asyncio.run(loop.tend())
        assert loop.outcomes[PointOutcome.ACCEPTED] == A_MINUTE


class TestTheEnd:
    def test_sends_what_is_left_and_the_unfinished_minutes_gains(self) -> None:
        async def scenario(world: World) -> None:
            for second in (5, 35, 65, 95):
                world.cycle(second)
            await world.loop.flush(1.0)

        world = run(scenario)
        assert world.gains() == {0: 1, 60: 2}
        unfinished = [point for point in world.door.taken if point.time == T + 60]
        assert [point.name for point in unfinished] == ["addReqCount"]
        assert world.loop.outbox.points == ()

    def test_closes_a_minute_that_is_over_and_was_to_settle(self) -> None:
        async def scenario(world: World) -> None:
            world.cycle(5)
            world.now = T + 61
            await world.loop.flush(1.0)

        assert run(scenario).counts == {"accepted": A_MINUTE}

    def test_tries_again_within_the_grace(self) -> None:
        async def scenario(world: World) -> None:
            world.cycle(5)
            world.cycle(65)
            world.jitters = [0.0]
            world.door.answers = [THROTTLED, LOST, DENIED]
            await world.loop.flush(5.0)

        world = run(scenario)
        assert world.counts == {"accepted": A_MINUTE + 1, "repeated": A_MINUTE + 1}

    def test_gives_up_when_the_grace_is_over_and_says_what_is_left(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def scenario(world: World) -> None:
            world.cycle(5)
            world.cycle(65)
            world.door.answers = [THROTTLED] * 100
            await world.loop.flush(0.05)

        run(scenario)
        (line,) = [it for it in caplog.records if it.levelno >= logging.WARNING]
        assert "points that CloudWatch has not taken" in line.getMessage()
        assert (vars(line)["points"], vars(line)["gains"]) == (A_MINUTE + 1, 13)

    def test_sends_the_gains_that_found_no_point_to_go_with(self) -> None:
        async def scenario(world: World) -> None:
            for second in (5, 35, 65):
                world.cycle(second)
            # All there was is older than a day by now, and nothing was read since.
            await world.tend(2 * 86_400)
            assert world.loop.outbox.points == ()
            await world.loop.flush(1.0)

        world = run(scenario)
        assert sum(world.gains().values()) == 2
        assert world.counts["dropped"] == 24

    def test_does_not_wait_where_nothing_can_be_sent(self) -> None:
        async def scenario(world: World) -> None:
            world.cycle(5)
            world.cluster = ""
            await world.loop.flush(60.0)

        assert run(scenario).door.calls == []

    def test_of_nothing_is_quick_and_silent(self, caplog: pytest.LogCaptureFixture) -> None:
        async def scenario(world: World) -> None:
            await world.loop.flush(60.0)

        assert run(scenario).door.calls == []
        assert [it for it in caplog.records if it.levelno >= logging.WARNING] == []

    def test_leaves_in_the_log_what_became_of_the_points(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def scenario(world: World) -> None:
            world.cycle(5)
            world.cycle(65)
            world.jitters = [0.0]
            world.door.answers = [LOST]
            await world.loop.flush(5.0)

        caplog.set_level(logging.INFO, logger="exporter.cloudwatch_loop")
        run(scenario)
        (line,) = caplog.records
        assert line.getMessage() == "points for CloudWatch by what became of them"
        assert {it: vars(line)[it] for it in ("accepted", "repeated", "rejected", "dropped")} == {
            "accepted": A_MINUTE + 1,
            "repeated": A_MINUTE + 1,
            "rejected": 0,
            "dropped": 0,
        }

    def test_lets_a_call_under_way_end_so_that_its_answer_is_heard(self) -> None:
        async def scenario(world: World) -> None:
            world.cycle(5)
            world.now = T + 71
            world.door.hold = asyncio.Event()
            tending = asyncio.create_task(world.loop.tend())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            tending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await tending
            asyncio.get_running_loop().call_later(0.01, world.door.hold.set)
            await world.loop.flush(5.0)

        world = run(scenario)
        assert len(world.door.calls) == 1
        assert world.counts == {"accepted": A_MINUTE}


def test_what_is_read_while_a_call_is_under_way_is_kept() -> None:
    async def scenario(world: World) -> None:
        world.cycle(5)
        world.now = T + 71
        world.door.hold = asyncio.Event()
        tending = asyncio.create_task(world.loop.tend())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        world.cycle(75)
        world.cycle(125)
        world.door.hold.set()
        await tending
        await world.tend(200)

    world = run(scenario)
    assert world.gains() == {0: 0, 60: 1, 120: 1}
    assert world.minutes == [T, T + 60, T + 120]


def test_a_bug_in_the_door_is_nobodys_trouble_but_the_programs() -> None:
    async def scenario(world: World) -> None:
        world.cycle(5)
        world.door.answers = [ZeroDivisionError("a bug")]
        with pytest.raises(ZeroDivisionError):
            await world.tend(71)

    run(scenario)


def test_subnets_stand_beside_the_cluster() -> None:
    async def scenario(world: World) -> None:
        world.cycle(5)
        world.now = T + 6
        world.loop.take_subnets([without_enis("subnet-b", free=9)], surveyed=False)
        world.cycle(65)
        world.now = T + 130
        world.loop.take_subnets([without_enis("subnet-b", free=8)], surveyed=True)
        await world.tend(200)

    world = run(scenario)
    free = [(it.time - T, it.value) for it in world.door.taken if it.name == "subnetFreeIPs"]
    assert free == [(0, 9), (120, 8)]


def test_nodes_that_do_not_answer_leave_their_sums_absent() -> None:
    async def scenario(world: World) -> None:
        world.loop.take(world.report(unread()))
        await world.tend(71)

    names = {it.name for it in run(scenario).door.taken}
    assert names == {"nodesExpected", "nodesRead", "coveragePercent"}
