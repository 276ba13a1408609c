from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.figures import HeldTo, Row
from bench.found import Answers, Cycles, Faulty, Found, Idle, Load, Sequential, Works
from bench.notes import COLLECTION, CYCLE, HOURLY, Span
from bench.rows import rows, told_apart

PARTS: dict[str, dict[str, Any]] = {
    "parse": {
        "lines": 450,
        "pages_per_second": 10_000,
        "prometheus_client_pages_per_second": 250,
    },
    "render": {"lines": 60_000, "milliseconds_per_60000_lines": 50.0, "times_as_fast": 9.0},
    "enis": {"enis": 20_000, "ours": {"cpu_seconds": 2.0}, "boto3": {"cpu_seconds": 10.0}},
}


def cycles(nodes: int, seconds: float, cpu: float = 0.1) -> Cycles:
    return Cycles(
        nodes=nodes,
        seconds=(2 * seconds, seconds, seconds / 2),
        cpu_seconds=(cpu, 2 * cpu),
        yardsticks=(0.02, 0.04),
        fleet_cpu_seconds=(0.1,),
        first_metrics_seconds=3.0,
        first_list_seconds=1.0,
        read=nodes,
        peak_resident_mib=100.0,
    )


def works(nodes: int) -> Works:
    return Works(
        nodes=nodes,
        enis=4 * nodes,
        subnets=6,
        series=15 * nodes,
        page_bytes=90 * nodes,
        cycles=(0.3, 0.2, 0.4),
        surveys=(3.0, 2.0, 2.5),
        refreshes=(0.03, 0.01, 0.02),
        publishes=(0.004, 0.003, 0.005),
        scrapes=(0.002, 0.001),
    )


def load(*, lags: tuple[tuple[float, float], ...], spans: tuple[Span, ...]) -> Load:
    return Load(nodes=5_000, enis=20_000, lags=lags, spans=spans, peak_resident_mib=240.0)


WHOLE = Found(
    scale="full",
    cycles=(cycles(1_000, 0.25, 0.1), cycles(5_000, 1.25, 0.5), cycles(10_000, 2.5, 1.0)),
    faulty=Faulty(nodes=5_000, faulty=500, unread=500, timeout_seconds=5.0, seconds=(6.0, 7.0)),
    answers=(
        Answers(nodes=5_000, enis=0, bytes=9, seconds=tuple(it / 1e4 for it in range(1, 201))),
        Answers(nodes=5_000, enis=20_000, bytes=9, seconds=(0.5,)),
    ),
    idle=Idle(nodes=5_000, events=510, seconds=30.0, cpu_seconds=0.15),
    load=load(
        lags=((0.0, 0.010), (1.0, 0.002), (9.0, 5.0)),
        spans=(
            Span(work=CYCLE, began=0.0, ended=2.0),
            Span(work=HOURLY, began=8.0, ended=13.0),
        ),
    ),
    peaks={10_000: 300.0, 1_000: 150.0, 5_000: 240.0},
    works=(works(5_000),),
    sequential=Sequential(nodes=5_000, sample=200, list_seconds=1.0, node_seconds=0.002),
    idle_loop=(0.0005, 0.001),
    parts=PARTS,
)


def verdicts(found: Found, held_to: HeldTo = HeldTo.ALL) -> dict[str, str]:
    return {f"{row.what} · {row.at}": row.verdict(held_to).value for row in rows(found)}


def the(found: Found, what: str, at: str = "") -> Row:
    (row,) = (row for row in rows(found) if row.what.startswith(what) and at in row.at)
    return row


def test_every_figure_of_the_design_has_a_row_that_is_held_to_it() -> None:
    assert verdicts(WHOLE) == {
        "a cycle: read, parse, aggregate, render · 1,000 nodes": "ok",
        "a cycle: read, parse, aggregate, render · 5,000 nodes": "ok",
        "a cycle: read, parse, aggregate, render · 10,000 nodes": "ok",
        "CPU of a cycle, per node · 10,000 nodes": "ok",
        "the same, 500 of them hang, refuse or send rubbish · 5,000 nodes": "ok",
        "parse one page · 450 lines": "ok",
        "render and gzip, per 60,000 samples, all changed · 60,000 lines": "ok",
        "one /metrics during a cycle, p99 of 200 · 5,000 nodes": "ok",
        "one /metrics during a cycle, p99 of 1 · 5,000 nodes and 20,000 ENIs": "told",
        "event-loop lag, all of it at work, p99 · 5,000 nodes and 20,000 ENIs": "ok",
        "the same, longest · 5,000 nodes and 20,000 ENIs": "ok",
        "event-loop lag, the hour's collection of garbage · 5,000 nodes and 20,000 ENIs": "OVER",
        "a cycle that takes in what EC2 told · 20,000 ENIs of 5,000 nodes": "told",
        "read and account for ENIs · 20,000 ENIs of 5,000 nodes": "ok",
        "read subnets again · 6 subnets of 5,000 nodes": "told",
        "tell CloudWatch of a minute · 5,000 nodes": "told",
        "answer one /metrics · 75,000 series of 5,000 nodes": "told",
        "read ENIs · 20,000 ENIs": "ok",
        "first list of pods, nodes and the rest · 5,000 nodes": "ok",
        "watching, 17 heartbeats a second · 5,000 nodes": "ok",
        "peak resident memory with EC2 · 1,000 nodes": "ok",
        "peak resident memory with EC2 · 5,000 nodes": "ok",
        "peak resident memory with EC2 · 10,000 nodes": "ok",
        "from the start to the first /metrics with data · 1,000 nodes": "ok",
    }


@pytest.mark.parametrize("speed", [0.5, 1.0, 1.7])
def test_that_the_machine_was_faster_for_one_fleet_is_not_held_against_another(
    speed: float,
) -> None:
    small, large = cycles(1_000, 0.25, 0.1), cycles(10_000, 2.5, 1.25)
    faster = replace(
        small,
        cpu_seconds=tuple(it / speed for it in small.cpu_seconds),
        yardsticks=tuple(it / speed for it in small.yardsticks),
    )
    row = the(Found(scale="full", cycles=(faster, large)), "CPU of a cycle")
    assert (row.figure, row.ratio) == pytest.approx((187.5, 0.8))


def test_how_much_slower_the_machine_became_is_told_by_its_yardsticks() -> None:
    slower = replace(cycles(5_000, 1.25), yardsticks=(0.03, 0.09))
    assert Found(scale="full").slowed == 1.0
    assert Found(scale="full", cycles=(slower, cycles(1_000, 0.25))).slowed == pytest.approx(2.0)


def test_where_only_ratios_count_just_the_rows_with_a_least_ratio_are_held_to_one() -> None:
    held = {what for what, verdict in verdicts(WHOLE, HeldTo.RATIOS).items() if verdict != "told"}
    assert held == {
        "CPU of a cycle, per node · 10,000 nodes",
        "parse one page · 450 lines",
        "render and gzip, per 60,000 samples, all changed · 60,000 lines",
        "read ENIs · 20,000 ENIs",
    }


@pytest.mark.parametrize(
    ("worse", "what", "at"),
    [
        ({"cycles": (cycles(1_000, 0.51),)}, "a cycle", "1,000 nodes"),
        ({"cycles": (cycles(5_000, 2.6),)}, "a cycle", "5,000 nodes"),
        ({"cycles": (cycles(10_000, 5.1),)}, "a cycle", "10,000 nodes"),
        (
            {"cycles": (cycles(1_000, 0.1, 0.1), cycles(10_000, 0.1, 1.3))},
            "CPU of a cycle",
            "10,000 nodes",
        ),
        ({"faulty": replace(WHOLE.faulty, seconds=(7.6,))}, "the same, 500", ""),  # type: ignore[type-var]
        ({"parts": {"parse": {**PARTS["parse"], "pages_per_second": 4_900}}}, "parse", ""),
        (
            {"parts": {"render": {**PARTS["render"], "milliseconds_per_60000_lines": 80.1}}},
            "render",
            "",
        ),
        ({"parts": {"render": {**PARTS["render"], "times_as_fast": 4.9}}}, "render", ""),
        ({"parts": {"enis": {**PARTS["enis"], "ours": {"cpu_seconds": 3.4}}}}, "read ENIs", ""),
        ({"answers": (replace(WHOLE.answers[0], seconds=(0.0251,)),)}, "one /metrics", ""),
        ({"works": (replace(WHOLE.works[0], surveys=(2.0, 3.1, 3.2)),)}, "read and", ""),
        ({"idle": replace(WHOLE.idle, cpu_seconds=0.31)}, "watching", ""),  # type: ignore[type-var]
        ({"peaks": {1_000: 161.0}}, "peak", "1,000 nodes"),
        ({"peaks": {5_000: 251.0}}, "peak", "5,000 nodes"),
        ({"peaks": {10_000: 351.0}}, "peak", "10,000 nodes"),
        (
            {"cycles": (replace(WHOLE.cycles[1], first_list_seconds=1.6),)},
            "first list",
            "5,000 nodes",
        ),
        (
            {"cycles": (replace(WHOLE.cycles[0], first_metrics_seconds=4.1),)},
            "from the start",
            "1,000 nodes",
        ),
    ],
)
def test_a_row_is_over_where_its_figure_is(worse: dict[str, object], what: str, at: str) -> None:
    found = Found(scale="full", **worse)  # type: ignore[arg-type]
    assert the(found, what, at).verdict() == "OVER"


def test_what_was_not_measured_has_no_row() -> None:
    assert rows(Found(scale="quick")) == []


def test_a_reader_of_one_node_after_another_takes_as_long_for_each_further_node() -> None:
    assert WHOLE.sequential is not None
    assert WHOLE.sequential.cycle_seconds(10_000) == 21.0
    row = the(WHOLE, "a cycle", "10,000")
    assert row.baseline is not None
    assert (row.baseline.what, row.baseline.figure) == ("one by one, of 200", 21.0)


def test_what_a_kind_of_work_costs_is_the_median_of_its_pieces() -> None:
    assert [(it.figure, it.unit.value) for it in rows(Found(scale="full", works=WHOLE.works))] == [
        (0.3, "s of CPU"),
        (2.5, "s of CPU"),
        (0.02, "s of CPU"),
        (0.004, "s of CPU"),
        (0.0015, "s of CPU"),
    ]


def test_only_at_one_size_is_reading_enis_held_to_a_budget() -> None:
    found = replace(WHOLE, works=(works(1_000), works(5_000)))
    budgets = [row.budget for row in rows(found) if row.what.startswith("read and")]
    assert budgets == [None, 3.0]


def test_boto3_is_the_baseline_of_a_survey_only_where_it_has_read_as_many_enis() -> None:
    assert the(WHOLE, "read and").ratio == 4.0
    other = replace(WHOLE, parts={**PARTS, "enis": {**PARTS["enis"], "enis": 2_000}})
    assert the(other, "read and").ratio is None


def test_lag_counts_while_there_is_work_and_apart_from_the_hours_collection() -> None:
    found = load(
        lags=(
            (0.0, 0.5),  # before any work
            (0.9, 0.2),  # still late when the cycle began
            (1.5, 0.1),
            (4.0, 0.7),  # nothing to do
            (5.0, 0.3),
            (7.9, 0.4),
        ),
        spans=(
            Span(work=CYCLE, began=1.0, ended=2.0),
            Span(work=COLLECTION, began=5.1, ended=5.2),
            Span(work=HOURLY, began=8.0, ended=8.2),
        ),
    )
    assert told_apart(found) == ([0.2, 0.1, 0.3], [0.4])


def test_the_hours_collection_has_its_row_though_nobody_had_to_wait_for_it() -> None:
    spans = (Span(work=CYCLE, began=1.0, ended=2.0), Span(work=HOURLY, began=2.0, ended=2.001))
    found = Found(scale="full", load=load(lags=((1.5, 0.1),), spans=spans))
    assert the(found, "event-loop lag, the hour's").figure == 0.0
    without = Found(scale="full", load=load(lags=((1.5, 0.1),), spans=spans[:1]))
    assert [it.what for it in rows(without) if "hour" in it.what] == []
