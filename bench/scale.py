"""What the exporter needs at sizes from a hundred nodes to a hundred thousand: docs/SCALE.md.

`python -m bench.scale [FILE]` takes what `make bench` has measured (bench/out/figures.json), counts
series and calls of two small fleets, and prints the table: straight lines through what was
measured, drawn out beyond the largest fleet.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from bench.peers import Size, World, world
from bench.processes import PEER_CORE, pin
from bench.watched import Options, watched
from exporter.checking import bill
from exporter.settings import load

SIZES = (100, 1_000, 10_000, 100_000)
FIGURES = Path(__file__).parent / "out" / "figures.json"
COUNTED = (200, 1_000)
ENIS_PER_NODE = 4
# Amazon EC2 Developer Guide, "Request throttling": of each non-mutating action, by account and
# region, so many calls at once, and so many more each second.
BUCKET_CALLS, REFILL_CALLS = 100, 20
# Amazon CloudWatch pricing, us-east-1: dollars a metric and month, and for a thousand calls.
METRIC_DOLLARS, THOUSAND_CALLS_DOLLARS = 0.30, 0.01
# Kubelet writes a node's status so often though nothing has changed.
_HEARTBEAT_SECONDS = 300
_ENI_CALLS = re.compile(
    r'aws_requests_total\{service="ec2",operation="DescribeNetworkInterfaces",outcome="ok"\} (\d+)'
)


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line: what there is without any, and what each adds."""

    base: float
    each: float

    def at(self, count: float) -> float:
        """Return its height."""
        return self.base + self.each * count


def line(points: Sequence[tuple[float, float]]) -> Line:
    """Return the line of least squares through points.

    It begins at zero where there is but one, and where it would begin below: nothing costs less.
    """
    x, y = (sum(it) / len(points) for it in zip(*points, strict=True))
    spread = sum((a - x) ** 2 for a, _ in points)
    each = sum((a - x) * (b - y) for a, b in points) / spread if spread else y / x
    if each * x > y:
        return Line(0.0, sum(a * b for a, b in points) / sum(a * a for a, _ in points))
    return Line(y - each * x, each)


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What one small fleet was counted to have; calls of a survey with the one that finds VPCs."""

    nodes: int
    series: int
    page_bytes: int
    list_calls: int
    eni_calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Lines by nodes, and by ENIs for surveys; `measured` is the largest fleet of them."""

    measured: int
    cycle_seconds: Line
    survey_seconds: Line
    watch_share: Line
    memory_mib: Line
    series: Line
    page_bytes: Line
    list_calls: Line
    eni_calls: Line


def costs(found: Mapping[str, Any], counts: Sequence[Count]) -> Costs:
    """Return the lines through what a run of the benchmarks found, and what was counted."""
    cycles, idle, surveys = found["cycles"], found["idle"], found["surveys"]

    def counted(read: Callable[[Count], float]) -> Line:
        return line([(it.nodes, read(it)) for it in counts])

    return Costs(
        measured=max(it["nodes"] for it in cycles),
        cycle_seconds=line([(it["nodes"], min(it["cpu_seconds"])) for it in cycles]),
        survey_seconds=line([(surveys["enis"], min(surveys["cpu_seconds"]))]),
        watch_share=line([(idle["nodes"], idle["cpu_seconds"] / idle["seconds"])]),
        memory_mib=line([(int(nodes), mib) for nodes, mib in found["peaks"].items()]),
        series=counted(lambda it: it.series),
        page_bytes=counted(lambda it: it.page_bytes),
        list_calls=counted(lambda it: it.list_calls),
        eni_calls=counted(lambda it: it.eni_calls),
    )


def rows(costs: Costs, sizes: Sequence[int]) -> Iterator[tuple[str, ...]]:
    """Yield what there is at each size, as text, by the settings' defaults."""
    settings = load({"cloudwatch": "yes"}, {}).settings
    cycle, enis, subnets = (
        settings.interval,
        settings.ec2_enis_interval,
        settings.ec2_subnets_interval,
    )

    def row(what: str, read: Callable[[int], str]) -> tuple[str, ...]:
        return (what, *map(read, sizes))

    def cycles(nodes: int) -> float:
        return costs.cycle_seconds.at(nodes) / cycle

    def surveys(nodes: int) -> float:
        return costs.survey_seconds.at(nodes * ENIS_PER_NODE) / enis

    def eni_calls(nodes: int) -> int:
        return ceil(costs.eni_calls.at(nodes))

    def dollars(nodes: int) -> float:
        billed = bill(settings, 0)
        return METRIC_DOLLARS * billed.metrics + THOUSAND_CALLS_DOLLARS * billed.calls / 1000

    yield row("CPU of one cycle", lambda n: f"{costs.cycle_seconds.at(n):,.2f} s")
    yield row(f"a cycle every {cycle:.0f} s", lambda n: _share(cycles(n)))
    yield row(f"EC2's ENIs every {enis:.0f} s", lambda n: _share(surveys(n)))
    yield row("the watch of the API server", lambda n: _share(costs.watch_share.at(n)))
    yield row(
        "CPU in all",
        lambda n: f"**{_share(cycles(n) + surveys(n) + costs.watch_share.at(n))}**",
    )
    yield row("resident memory, at most", lambda n: f"**{costs.memory_mib.at(n):,.0f} MiB**")
    yield row("calls of the API server at the start", lambda n: f"{costs.list_calls.at(n):,.0f}")
    yield row("events of its watches", lambda n: f"{n / _HEARTBEAT_SECONDS:,.1f}/s and pods")
    yield row("DescribeNetworkInterfaces at a time", lambda n: f"{eni_calls(n):,}")
    yield row(f"of a bucket of {BUCKET_CALLS}", lambda n: _share(eni_calls(n) / BUCKET_CALLS))
    yield row(
        f"of its {REFILL_CALLS} calls a second",
        lambda n: _share(eni_calls(n) / enis / REFILL_CALLS),
    )
    yield row(
        "DescribeSubnets, of the same", lambda _: _share((1 / subnets + 1 / enis) / REFILL_CALLS)
    )
    yield row("series in Prometheus", lambda n: f"{costs.series.at(n):,.0f}")
    yield row("one scrape, gzipped", lambda n: f"{costs.page_bytes.at(n) / 1024:,.0f} KiB")
    yield row("CloudWatch, where it is on", lambda n: f"${dollars(n):,.2f} a month")


def _share(share: float) -> str:
    return f"{100 * share:,.1f} %"


def table(costs: Costs, sizes: Sequence[int] = SIZES) -> str:
    """Return the rows as a table of Markdown; sizes beyond what was measured say so."""
    heads = [f"{it:,} nodes" + (" (drawn out)" if it > costs.measured else "") for it in sizes]
    lines = [("", *heads), ("---", *("---:" for _ in sizes)), *rows(costs, sizes)]
    return "".join("| " + " | ".join(it) + " |\n" for it in lines)


def count(peers: World) -> Count:
    """Return what a fleet has, and the calls that a daemon makes until it knows all of it."""
    peers.control("/requests/clear", {})
    with watched(peers, "ec2", options=Options(on_demand=True, lag=False)) as daemon:
        daemon.permit()
        daemon.ready()
        daemon.wait_for("survey", 1)
        # What the survey found is on the page once another cycle has drawn it.
        daemon.cycle()
        text = daemon.text()
        page = len(daemon.scrape().body)
    asked = peers.control("/requests")
    calls = _ENI_CALLS.search(text)
    assert calls is not None, "the survey has asked EC2"
    return Count(
        nodes=peers.size.nodes,
        series=sum(1 for it in text.splitlines() if it and not it.startswith("#")),
        page_bytes=page,
        list_calls=Counter(asked["list_pages"]).total() + Counter(asked["watches"]).total(),
        eni_calls=int(calls[1]),
    )


def main() -> None:
    """Print the table."""
    told = json.loads(Path(sys.argv[1] if sys.argv[1:] else FIGURES).read_text())
    pin(0, PEER_CORE)
    counts = []
    for nodes in COUNTED:
        size = Size(nodes=nodes, enis=ENIS_PER_NODE * nodes)
        with tempfile.TemporaryDirectory() as folder, world(size, Path(folder), "ec2") as peers:
            counts.append(count(peers))
    print(table(costs(told["found"], counts)), end="")


if __name__ == "__main__":
    main()
