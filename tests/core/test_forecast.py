"""When subnets run out: told within bounds where they fall evenly, and else not at all."""

from __future__ import annotations

import statistics
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.core.forecast import Forecaster, History, Line, Pace
from tests.core.forecast_histories import (
    BEGIN,
    HOUR,
    MINUTE,
    Shape,
    Told,
    after,
    between,
    errors,
    falling,
    joined,
    noisy,
    ramp,
    said,
    subnets,
    told,
    wandering,
    wave,
)


class TestAnEvenFall:
    @settings(max_examples=60)
    @given(st.floats(60, 2_500), st.floats(3, 24), st.floats(0, 1))
    @example(60, 3, 0.5)
    @example(2_500, 24, 0.0)
    def test_is_told_to_a_twentieth_from_the_least_history_on(
        self, an_hour: float, lasts: float, offset: float
    ) -> None:
        shape = falling(an_hour * (lasts + offset / 60), an_hour)
        moments = told(lambda at: shape(at + offset * MINUTE), hours=min(lasts - 1, 10))
        assert said(between(moments, 0, 1)) == []
        late = between(moments, 1.2, 10)
        assert said(late) == late
        assert max(map(abs, errors(moments, lasts * HOUR)), default=0.0) <= 0.05

    @settings(max_examples=60)
    @given(st.floats(5, 60), st.floats(8, 48), st.floats(0, 1))
    @example(5, 48, 0.5)
    def test_of_a_few_addresses_an_hour_is_told_to_a_quarter_within_six_hours(
        self, an_hour: float, lasts: float, offset: float
    ) -> None:
        """In a short span, whole addresses come in uneven steps."""
        shape = falling(an_hour * (lasts + offset / 60), an_hour)
        moments = told(lambda at: shape(at + offset * MINUTE), hours=min(lasts - 1, 10))
        assert said(between(moments, 0, 1)) == []
        late = between(moments, 6.2, 10)
        assert said(late) == late
        assert max(map(abs, errors(moments, lasts * HOUR)), default=0.0) <= 0.25

    @pytest.mark.parametrize(
        ("share", "worst", "usual", "coverage"),
        [
            pytest.param(0.02, 0.10, 0.05, 0.99, id="a fiftieth of an hour's fall"),
            pytest.param(0.10, 0.30, 0.10, 0.95, id="a tenth"),
            pytest.param(0.40, 0.40, 0.15, 0.80, id="two fifths"),
        ],
    )
    def test_is_told_within_bounds_through_noise(
        self, share: float, worst: float, usual: float, coverage: float
    ) -> None:
        off: list[float] = []
        minutes = 0
        for seed in range(10):
            moments = told(noisy(falling(2400, 100), 100 * share, seed), hours=20)
            later = between(moments, 1, 20)
            minutes += len(later)
            off += errors(later, 24 * HOUR)
        ordered = sorted(map(abs, off))
        assert len(ordered) >= coverage * minutes
        assert ordered[-1] <= worst
        assert ordered[int(0.9 * len(ordered))] <= usual
        assert abs(statistics.median(off)) <= 0.03

    def test_comes_in_whole_blocks_too(self) -> None:
        moments = told(lambda at: 4000 - 16 * (at // 600), hours=20)
        assert errors(between(moments, 1.2, 20), 4000 / 96 * HOUR) != []
        assert max(map(abs, errors(moments, 4000 / 96 * HOUR))) <= 0.10

    def test_that_began_after_a_quiet_time_is_told_an_hour_and_a_quarter_later(self) -> None:
        moments = told(joined(lambda _: 1000, falling(2500, 300), 5), hours=8)
        assert said(between(moments, 0, 5.7)) == []
        late = between(moments, 6.25, 8)
        assert [it for it in late if it.seconds is None] == []
        assert max(map(abs, errors(late, 2500 / 300 * HOUR))) <= 0.10

    def test_that_grows_faster_is_told_by_its_latest_span(self) -> None:
        moments = told(lambda at: 2000 - 20 * (at / HOUR) ** 2, hours=9.8)
        late = between(moments, 5, 9.8)
        assert said(late) == late
        for it in late:
            hour = it.at / HOUR
            assert it.seconds is not None
            assert it.free / (40 * hour) <= it.seconds / HOUR <= it.free / (40 * (hour - 1.75))

    def test_to_nothing_is_told_as_no_time_at_all(self) -> None:
        moments = told(falling(500, 100), hours=5.05)
        assert moments[-1] == Told(moments[-1].at, 0, 0.0)


class TestNothingIsTold:
    def test_before_the_first_reading(self) -> None:
        assert History().exhaustion(0.0) is None

    @settings(max_examples=40)
    @given(st.integers(0, 65_000))
    def test_of_what_stands_still(self, level: int) -> None:
        assert said(told(lambda _: level, hours=8)) == []

    @settings(max_examples=40)
    @given(st.floats(0, 60_000), st.floats(0, 5_000))
    def test_of_what_rises(self, start: float, an_hour: float) -> None:
        assert said(told(falling(start, -an_hour), hours=8)) == []

    @settings(max_examples=80)
    @given(
        st.floats(100, 10_000),
        st.floats(0, 1),
        st.floats(1.5, 7),
        st.floats(0, 40),
    )
    @example(1000, 0.0, 2.0, 0.0)
    @example(1000, 0.01, 6.03, 40.0)
    def test_of_a_step_down_that_takes_forty_minutes_at_most(
        self, high: float, rest: float, start: float, minutes: float
    ) -> None:
        shape = ramp(high, high * rest, start=start, minutes=minutes)
        assert said(told(shape, hours=14)) == []

    @settings(max_examples=60)
    @given(st.floats(100, 10_000), st.floats(1.5, 6), st.floats(45, 400), st.integers(0, 2**16))
    def test_of_two_steps_with_noise_between_them(
        self, high: float, start: float, minutes: float, seed: int
    ) -> None:
        second = ramp(0, -high / 3, start=start + minutes / 60, minutes=5)
        first = ramp(high, high * 2 / 3, start=start, minutes=5)
        shape = noisy(lambda at: first(at) + second(at), high / 300, seed)
        assert [it for it in said(told(shape, hours=14)) if (it.seconds or 0) < 3 * HOUR] == []

    def test_when_a_long_fall_ends_after_a_quarter_of_an_hour_or_an_eighth_of_it(self) -> None:
        for length in (1.5, 3.0, 6.0):
            shape = joined(falling(2000, 200), lambda _, it=length: 2000 - 200 * it, length)  # type: ignore[misc]
            moments = told(shape, hours=length + 7)
            assert said(between(moments, length - 0.2, length)) != []
            assert said(between(moments, length + max(0.25, length / 8), length + 7)) == []


class TestADay:
    @settings(max_examples=25)
    @given(st.floats(200, 20_000), st.floats(0.05, 0.95), st.floats(0, 24))
    @example(500, 0.8, 0.0)
    def test_tells_nothing_from_its_lowest_hour_until_it_falls_again(
        self, mean: float, share: float, highest: float
    ) -> None:
        moments = told(wave(mean, mean * share, highest), hours=48)
        for lowest in (highest - 12, highest + 12, highest + 36):
            assert said(between(moments, lowest, lowest + 12.75)) == []

    def test_with_noise_tells_nothing_either_half_an_hour_after_its_lowest(self) -> None:
        for seed in range(5):
            moments = told(noisy(wave(500, 400), 5, seed), hours=48)
            for lowest in (12, 36):
                assert said(between(moments, lowest + 0.5, lowest + 12.5)) == []

    def test_is_no_cause_for_alarm_while_it_falls(self) -> None:
        """A tenth is left at the lowest; what the line says comes no nearer than two hours."""
        moments = said(told(wave(500, 400), hours=48))
        assert moments != []
        assert min(it.seconds or 0.0 for it in moments) > 2 * HOUR


@pytest.mark.long
class TestNoise:
    @pytest.mark.parametrize(
        ("level", "deviation", "minutes", "share", "nearest"),
        [
            pytest.param(1000, 50, 0.01, 0.0005, 20, id="white"),
            pytest.param(100, 10, 0.01, 0.0005, 8, id="white and near the end"),
            pytest.param(1000, 100, 5, 0.0005, 6, id="for minutes"),
            pytest.param(1000, 100, 30, 0.001, 2, id="for half hours"),
            pytest.param(1000, 100, 120, 0.004, 2, id="for hours"),
        ],
    )
    def test_around_a_level_is_hardly_ever_taken_for_a_fall(
        self, level: float, deviation: float, minutes: float, share: float, nearest: float
    ) -> None:
        count, found = 0, []
        for seed in range(10):
            moments = told(wandering(level, deviation, minutes, seed), hours=72)
            count += len(moments)
            found += said(moments)
        assert len(found) <= share * count
        assert min((it.seconds or 0.0 for it in found), default=HOUR * 99) >= nearest * HOUR


class TestARecovery:
    @settings(max_examples=60)
    @given(
        st.floats(500, 10_000),
        st.floats(2, 8),
        st.floats(1.0, 8.0),
        st.floats(0.0, 1.0),
    )
    @example(1000, 7.9, 1.0, 0.5)
    def test_is_believed_at_its_second_reading_and_then_takes_an_hour(
        self, start: float, hour: float, freed: float, again: float
    ) -> None:
        """Freed is what falls within an hour at least; how much falls afterwards may differ."""
        an_hour = start / 10
        jump = start - an_hour * hour + an_hour * freed
        then = falling(jump + again * an_hour * hour, again * an_hour)
        moments = told(joined(falling(start, an_hour), then, hour), hours=hour + 3)
        assert said(between(moments, hour - 0.1, hour)) != []
        # The reading at the jump, and the one a minute later.
        believed = hour + 2 / 60
        assert said(between(moments, believed, hour + 55 / 60)) == []
        if again >= 0.5:
            assert said(between(moments, hour + 1.5, hour + 3)) != []

    def test_in_a_living_subnet_is_never_followed_by_an_alarm(self) -> None:
        def shape(at: float) -> float:
            """Ten hours to nothing, then freed by half, three times over."""
            return 1000 - 100 * (at / HOUR % 10) if at < 10 * HOUR else 500.0

        moments = told(noisy(shape, 3), hours=20)
        assert said(between(moments, 9, 10)) != []
        alarms = said(between(moments, 10 + 2 / 60, 20))
        assert [it for it in alarms if (it.seconds or 0.0) < 24 * HOUR] == []


class TestGaps:
    FALL: Shape = staticmethod(falling(2400, 100))

    @pytest.mark.parametrize(("minutes", "kept"), [(5, True), (14, True), (21, False), (90, False)])
    def test_of_more_than_two_bins_begin_a_new_history(self, minutes: int, kept: bool) -> None:
        moments = told(
            self.FALL, hours=6, unread=lambda at: 4 * HOUR <= at < 4 * HOUR + minutes * MINUTE
        )
        back = 4 + minutes / 60
        first = between(moments, back, back + 0.25)
        assert (len(said(first)) == len(first)) is kept
        if not kept:
            assert said(between(moments, back, back + 0.9)) == []
            assert said(between(moments, back + 1.2, 6)) == between(moments, back + 1.2, 6)
        assert max(map(abs, errors(moments, 24 * HOUR))) <= 0.05

    def test_that_are_bridged_do_not_bend_the_line(self) -> None:
        moments = told(self.FALL, hours=8, unread=lambda at: int(at // 300) % 3 != 0)
        late = between(moments, 1.5, 8)
        assert said(late) == late
        assert max(map(abs, errors(late, 24 * HOUR))) <= 0.05

    def test_are_what_a_clock_makes_that_goes_back(self) -> None:
        pace, history = Pace(), History()
        for minute in range(120):
            history = history.noted(1000 - minute, BEGIN + minute * MINUTE, pace)
        assert history.exhaustion(BEGIN + 119 * MINUTE) is not None
        back = history.noted(880, BEGIN - HOUR, pace)
        assert back == History(
            number=int((BEGIN - HOUR) // 300), readings=(880,), newest=((BEGIN - HOUR, 880),)
        )


class TestThePace:
    @pytest.mark.parametrize(
        ("pace", "bin", "bins", "scales"),
        [
            pytest.param(Pace(), 300, 72, (2, 4, 6, 8, 12), id="the default"),
            pytest.param(Pace(7200, 60), 300, 72, (4, 6, 8, 12), id="two hours at least"),
            pytest.param(Pace(21_600, 60), 300, 72, (12,), id="all that is kept"),
            pytest.param(Pace(2.4, 0.1), 0.2, 72, (2, 4, 6, 8, 12), id="seconds"),
            pytest.param(Pace(3600, 600), 600, 36, (2, 4, 6), id="a reading each ten minutes"),
            pytest.param(Pace(3600, 1800), 1800, 12, (2,), id="a reading each half hour"),
            pytest.param(Pace(3600, 3600), 3600, 6, (), id="a reading an hour"),
        ],
    )
    def test_follows_the_settings(
        self, pace: Pace, bin: float, bins: int, scales: tuple[int, ...]
    ) -> None:
        assert pace.bin == pytest.approx(bin)
        assert (pace.bins, pace.scales) == (bins, scales)

    @settings(max_examples=30)
    @given(st.floats(600, 21_600), st.floats(1, 900))
    def test_keeps_a_bounded_memory_and_waits_for_the_least_history(
        self, least: float, every: float
    ) -> None:
        pace, history = Pace(least, every), History()
        for number in range(int(9 * HOUR / max(every, 30))):
            at = number * max(every, 30)
            history = history.noted(round(10_000 - at / 10), at, pace)
            assert len(history.bins) <= pace.bins
            assert len(history.readings) <= pace.bin / max(every, 30) + 1
            if at < least:
                assert history.exhaustion(at) is None
        assert (len(history.bins) + 1) * pace.bin <= 6 * HOUR + pace.bin

    @pytest.mark.parametrize("every", [60.0, 180.0, 600.0, 900.0])
    def test_of_slow_readings_tells_as_well(self, every: float) -> None:
        pace = Pace(every=every)
        moments = told(falling(2400, 100), hours=12, pace=pace, every=every)
        late = between(moments, 12 * pace.bin / HOUR + 0.5, 12)
        assert said(late) == late
        assert max(map(abs, errors(late, 24 * HOUR))) <= 0.05


class TestALine:
    LINE = Line(time=100.0, level=50.0, fall=0.5, leeway=5.0)

    @pytest.mark.parametrize(
        ("free", "now", "holds"),
        [
            pytest.param(50, 100.0, True, id="on it"),
            pytest.param(55, 100.0, True, id="within its leeway"),
            pytest.param(55.1, 100.0, False, id="above"),
            pytest.param(10, 100.0, True, id="below"),
            pytest.param(45, 120.0, True, id="on it later"),
            pytest.param(46, 120.0, False, id="above it later"),
        ],
    )
    def test_holds_what_is_on_it_or_below(self, free: float, now: float, holds: bool) -> None:
        assert self.LINE.holds(free, now) is holds

    def test_is_the_first_of_those_that_hold(self) -> None:
        lines = (replace(self.LINE, fall=0.1, level=10), replace(self.LINE, fall=0.25), self.LINE)
        newest = ((80.0, 40), (90.0, 42), (100.0, 41))
        history = History(newest=newest, lines=lines)
        assert history.exhaustion(100.0) == 41 / 0.25
        above = ((90.0, 80), (95.0, 80), (100.0, 10))
        assert replace(history, newest=above).exhaustion(100.0) is None


class TestSeveralSubnets:
    def test_have_a_history_each(self) -> None:
        falls = [(4000 - 2 * minute, 3000, 1000 + minute) for minute in range(80)]
        forecaster, usages = after(Forecaster(), falls).after(
            subnets(3840, 3000, 1080), 80 * MINUTE
        )
        first, *others = (usage.exhaustion_seconds for usage in usages)
        assert first == pytest.approx(3840 / 2 * MINUTE, rel=0.02)
        assert others == [None, None]
        assert set(forecaster.histories) == {"subnet-0", "subnet-1", "subnet-2"}

    def test_are_told_beside_all_else_that_is_known_of_them(self) -> None:
        (before,) = subnets(100)
        _, (told_of,) = Forecaster().after([replace(before, exhaustion_seconds=5.0)], 0.0)
        assert told_of == before

    def test_that_are_gone_are_forgotten(self) -> None:
        remembered = after(Forecaster(), [(100, 200), (100,)])
        assert set(remembered.histories) == {"subnet-0"}

    def test_count_what_pods_can_still_have(self) -> None:
        (usage,) = subnets(3333)
        assert usage.left == 3333
        assert Forecaster().after([usage], 0.0)[0].histories["subnet-0"].readings == (3333,)


@settings(max_examples=40)
@given(st.lists(st.integers(0, 500), min_size=2, max_size=120), st.integers(0, 400))
def test_a_forecast_is_a_time_that_is_still_to_come(walk: list[int], start: int) -> None:
    """Whatever the addresses do: absent, or the addresses left over a fall that was seen."""
    pace, history = Pace(least=720, every=60), History()
    seen: list[int] = []
    for minute, free in enumerate([start, *walk]):
        seen.append(free)
        history = history.noted(free, minute * MINUTE, pace)
        seconds = history.exhaustion(minute * MINUTE)
        if seconds is not None:
            steepest = max(before - now for before, now in pairwise(seen))
            assert seconds >= statistics.median(seen[-3:]) / steepest * MINUTE - 1e-6
