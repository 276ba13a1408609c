"""Turns what was found into rows: the budgets of the design, and what each figure means. Pure.

A budget is for one core of the machine that the exporter is developed on; a ratio holds anywhere.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from bench.figures import Baseline, Row, Unit
from bench.found import Cycles, Found, Lags, Load
from bench.lag import felt
from bench.notes import HOURLY
from bench.trend import percentile

CYCLE_SECONDS = {1_000: 0.5, 5_000: 2.5, 10_000: 5.0}
PEAK_MIB = {1_000: 160, 5_000: 250, 10_000: 350}
LAG_P99_MS, LAG_MAX_MS = 20, 60
ANSWER_P99_MS = 25
FIRST_LIST_SECONDS, FIRST_METRICS_SECONDS = 1.5, 4.0
IDLE_PERCENT = 1.0
ENI_CPU_SECONDS = 3.0
RENDER_MS = 80
# What drawing is held to is told in ADR 0020.
PARSE_TIMES, RENDER_TIMES = 20, 5
# boto3's own parser needs about 10 s for what may take 3 s.
ENI_TIMES = 3.0
# Where cost grows as the nodes do the ratio is 1. So much two runs differ by, where a large fleet
# needs the caches that others share, and a small one does not.
GROWTH_TIMES = 0.8
# Where there is a row for each size, this is the one that the others are held to.
MAIN_NODES = 5_000
FIRST_METRICS_NODES = 1_000


def rows(found: Found) -> list[Row]:
    """Return a row for each figure of the design that was measured."""
    return [
        *_cycles(found),
        *_growth(found.cycles),
        *_faulty(found),
        *_parts(found),
        *_answers(found),
        *_lags(found),
        *_works(found),
        *_enis_alone(found),
        *_discovery(found),
        *_peaks(found),
        *_starts(found.cycles),
    ]


def _nodes(count: int) -> str:
    return f"{count:,} nodes"


def _enis(count: int) -> str:
    return f"{count:,} ENIs"


def _cycles(found: Found) -> Iterator[Row]:
    for it in found.cycles:
        baseline = None
        if found.sequential is not None:
            # Measured on a sample, and as much again for each further node.
            scaled = found.sequential.cycle_seconds(it.nodes)
            baseline = Baseline(f"one by one, of {found.sequential.sample}", scaled)
        yield Row(
            what="a cycle: read, parse, aggregate, render",
            at=_nodes(it.nodes),
            figure=statistics.median(it.seconds),
            unit=Unit.SECONDS,
            budget=CYCLE_SECONDS.get(it.nodes),
            baseline=baseline,
        )


def _growth(cycles: Sequence[Cycles]) -> Iterator[Row]:
    """CPU per node, held against the smallest fleet's on a machine that is as fast."""
    if len(cycles) < 2:
        return
    smallest, largest = min(cycles, key=_size), max(cycles, key=_size)
    figure = 1e6 * statistics.median(largest.cpu_seconds) / largest.nodes
    yield Row(
        what="CPU of a cycle, per node",
        at=_nodes(largest.nodes),
        figure=figure,
        unit=Unit.MICROSECONDS,
        baseline=Baseline(f"at {_nodes(smallest.nodes)}", figure * smallest.cost / largest.cost),
        times=GROWTH_TIMES,
    )


def _size(cycles: Cycles) -> int:
    return cycles.nodes


def _faulty(found: Found) -> Iterator[Row]:
    it = found.faulty
    if it is None:
        return
    healthy = {cycles.nodes: statistics.median(cycles.seconds) for cycles in found.cycles}
    budget = CYCLE_SECONDS.get(it.nodes)
    yield Row(
        what=f"the same, {it.faulty:,} of them hang, refuse or send rubbish",
        at=_nodes(it.nodes),
        figure=statistics.median(it.seconds),
        unit=Unit.SECONDS,
        budget=None if budget is None else budget + it.timeout_seconds,
        baseline=Baseline("all in good health", healthy[it.nodes]) if it.nodes in healthy else None,
    )


def _parts(found: Found) -> Iterator[Row]:
    parts: Any = found.parts
    if "parse" in parts:
        it = parts["parse"]
        yield Row(
            what="parse one page",
            at=f"{it['lines']} lines",
            figure=1e6 / it["pages_per_second"],
            unit=Unit.MICROSECONDS,
            baseline=Baseline("prometheus_client", 1e6 / it["prometheus_client_pages_per_second"]),
            times=PARSE_TIMES,
        )
    if "render" in parts:
        it = parts["render"]
        yield Row(
            what="render and gzip, per 60,000 samples, all changed",
            at=f"{it['lines']:,} lines",
            figure=it["milliseconds_per_60000_lines"],
            unit=Unit.MILLISECONDS,
            budget=RENDER_MS,
            baseline=Baseline(
                "generate_latest", it["milliseconds_per_60000_lines"] * it["times_as_fast"]
            ),
            times=RENDER_TIMES,
        )


def _answers(found: Found) -> Iterator[Row]:
    for it in (it for it in found.answers if it.seconds):
        beside = f" and {_enis(it.enis)}" if it.enis else ""
        yield Row(
            what=f"one /metrics during a cycle, p99 of {len(it.seconds)}",
            at=_nodes(it.nodes) + beside,
            figure=1e3 * percentile(it.seconds, 0.99),
            unit=Unit.MILLISECONDS,
            # The design names no EC2 here.
            budget=ANSWER_P99_MS if it.nodes == MAIN_NODES and not it.enis else None,
        )


def _lags(found: Found) -> Iterator[Row]:
    if found.load is None:
        return
    load = found.load
    at = f"{_nodes(load.nodes)} and {_enis(load.enis)}"
    main = load.nodes == MAIN_NODES
    idle = 1e3 * max(found.idle_loop) if found.idle_loop else None
    baseline = None if idle is None else Baseline("a loop without work, longest", idle)
    working, collecting = told_apart(load)
    waits = felt(working)
    yield Row(
        what="event-loop lag, all of it at work, p99",
        at=at,
        figure=1e3 * percentile(waits, 0.99),
        unit=Unit.MILLISECONDS,
        budget=LAG_P99_MS if main else None,
        baseline=baseline,
    )
    yield Row(
        what="the same, longest",
        at=at,
        figure=1e3 * max(waits),
        unit=Unit.MILLISECONDS,
        budget=LAG_MAX_MS if main else None,
        baseline=baseline,
    )
    if any(span.work == HOURLY for span in load.spans):
        yield Row(
            what="event-loop lag, the hour's collection of garbage",
            at=at,
            # Where it ended before the timer was due, nobody has waited.
            figure=1e3 * max(collecting, default=0.0),
            unit=Unit.MILLISECONDS,
            budget=LAG_MAX_MS if main else None,
            baseline=baseline,
        )


def told_apart(load: Load) -> tuple[list[float], list[float]]:
    """Return the lags while there was work, and those of the collection that comes once an hour."""
    hourly = [span for span in load.spans if span.work == HOURLY]
    works = [span for span in load.spans if span.work != HOURLY]
    working, collecting = [], []
    for due, late in load.lags:
        if any(span.overlaps(due, due + late) for span in hourly):
            collecting.append(late)
        elif any(span.overlaps(due, due + late) for span in works):
            working.append(late)
    return working, collecting


def _works(found: Found) -> Iterator[Row]:
    """CPU of each kind of work by itself: docs/SCALE.md is made of these."""
    parts: Any = found.parts
    boto3 = parts.get("enis", {})
    for it in found.works:
        at = f"{_enis(it.enis)} of {_nodes(it.nodes)}"
        yield _cpu("a cycle that takes in what EC2 told", at, it.cycles)
        baseline = None
        if boto3.get("enis") == it.enis:
            baseline = Baseline("boto3's own parser, reading alone", boto3["boto3"]["cpu_seconds"])
        yield Row(
            what="read and account for ENIs",
            at=at,
            figure=statistics.median(it.surveys),
            unit=Unit.CPU_SECONDS,
            budget=ENI_CPU_SECONDS if it.nodes == MAIN_NODES else None,
            baseline=baseline,
        )
        yield _cpu(
            "read subnets again", f"{it.subnets} subnets of {_nodes(it.nodes)}", it.refreshes
        )
        yield _cpu("tell CloudWatch of a minute", _nodes(it.nodes), it.publishes)
        yield _cpu("answer one /metrics", f"{it.series:,} series of {_nodes(it.nodes)}", it.scrapes)


def _cpu(what: str, at: str, seconds: Sequence[float]) -> Row:
    return Row(what=what, at=at, figure=statistics.median(seconds), unit=Unit.CPU_SECONDS)


def _enis_alone(found: Found) -> Iterator[Row]:
    parts: Any = found.parts
    boto3 = parts.get("enis")
    if boto3:
        yield Row(
            what="read ENIs",
            at=_enis(boto3["enis"]),
            figure=boto3["ours"]["cpu_seconds"],
            unit=Unit.CPU_SECONDS,
            baseline=Baseline("boto3's own parser", boto3["boto3"]["cpu_seconds"]),
            times=ENI_TIMES,
        )


def _discovery(found: Found) -> Iterator[Row]:
    for cycles in found.cycles:
        if cycles.nodes == MAIN_NODES or len(found.cycles) == 1:
            yield Row(
                what="first list of pods, nodes and the rest",
                at=_nodes(cycles.nodes),
                figure=cycles.first_list_seconds,
                unit=Unit.SECONDS,
                budget=FIRST_LIST_SECONDS if cycles.nodes == MAIN_NODES else None,
            )
    it = found.idle
    if it is not None:
        yield Row(
            what=f"watching, {it.events / it.seconds:.0f} heartbeats a second",
            at=_nodes(it.nodes),
            figure=100 * it.cpu_seconds / it.seconds,
            unit=Unit.CORE_PERCENT,
            budget=IDLE_PERCENT if it.nodes == MAIN_NODES else None,
        )


def _peaks(found: Found) -> Iterator[Row]:
    for nodes, peak in sorted(found.peaks.items()):
        yield Row(
            what="peak resident memory with EC2",
            at=_nodes(nodes),
            figure=peak,
            unit=Unit.MIB,
            budget=PEAK_MIB.get(nodes),
        )


def _starts(cycles: Sequence[Cycles]) -> Iterator[Row]:
    for it in cycles:
        if it.nodes == FIRST_METRICS_NODES or len(cycles) == 1:
            yield Row(
                what="from the start to the first /metrics with data",
                at=_nodes(it.nodes),
                figure=it.first_metrics_seconds,
                unit=Unit.SECONDS,
                budget=FIRST_METRICS_SECONDS if it.nodes == FIRST_METRICS_NODES else None,
            )


def shown(lags: Lags) -> tuple[list[float], list[float]]:
    """Return seconds since the first lag, and the lags in milliseconds, as they are drawn."""
    began = lags[0][0] if lags else 0.0
    return [due - began for due, _ in lags], [1e3 * late for _, late in lags]
