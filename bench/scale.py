"""What the exporter needs at sizes from a hundred nodes to a hundred thousand: docs/SCALE.md.

`python -m bench.scale [FILE]` takes what a full `make bench` has measured (bench/out/figures.json)
and prints the table; `--write` puts it into the page. Sizes that were measured show what was, and
others stand on straight lines through that. Calls are counted by what the code asks for.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from bench.full_run import FullRunError, full_run
from bench.machine import described, warning
from bench.peers import ENIS_PER_NODE
from bench.runs import HEARTBEAT_SECONDS
from bench.sizes import FIGURES
from exporter.checking import ASSUMED_SUBNETS, bill
from exporter.inputs.ec2.calls import PAGE_SIZE as ENIS_PAGE
from exporter.inputs.kube.collection import PAGE_SIZE as OBJECTS_PAGE
from exporter.settings import Settings, load

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "SCALE.md"
MARK, END = "<!-- table: python -m bench.scale --write -->\n", "<!-- end of table -->\n"
# Amazon EC2 Developer Guide, "Request throttling": of each non-mutating action, by account and
# region, so many calls at once, and so many more each second.
BUCKET_CALLS, REFILL_CALLS = 100, 20
# Amazon CloudWatch pricing, us-east-1: dollars a metric and month, and for a thousand calls.
METRIC_DOLLARS, THOUSAND_CALLS_DOLLARS = 0.30, 0.01
# Subnets are read by id, and by VPC and tag; up to 200 of them in one call (exporter/inputs/ec2).
SUBNETS_CALLS = 2
# Reservations of a subnet are kept so long (exporter/inputs/ec2), and are a call each.
RESERVATIONS_SECONDS = 300
# What would be shown as nothing.
_SMALLEST_SHARE = 0.0005
# Objects that are listed and watched, by their source: so many for each node, and so many besides.
# hostNetwork pods are aws-node, kube-proxy, the EKS Pod Identity Agent and one of the user's own.
LISTED: Mapping[str, tuple[int, int]] = {
    "kubernetes": (1, 0),
    "nodes": (1, 0),
    "daemonsets": (0, 1),
    "pods": (4, 0),
    "eniconfigs": (0, 3),
    "cninodes": (1, 0),
}


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
    Where it would fall it is level: nothing costs less for more.
    """
    x, y = (sum(it) / len(points) for it in zip(*points, strict=True))
    spread = sum((a - x) ** 2 for a, _ in points)
    each = sum((a - x) * (b - y) for a, b in points) / spread if spread else y / x
    if each < 0:
        return Line(y, 0.0)
    if each * x > y:
        return Line(0.0, sum(a * b for a, b in points) / sum(a * a for a, _ in points))
    return Line(y - each * x, each)


@dataclass(frozen=True, slots=True)
class Course:
    """A figure by the number of nodes: as it was measured, and on the line through that."""

    measured: Mapping[int, float]

    def at(self, nodes: int) -> float:
        """Return the figure at a size."""
        if nodes in self.measured:
            return self.measured[nodes]
        return line(tuple(self.measured.items())).at(nodes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What each piece of work costs, in seconds of CPU, and what there is of other things.

    A publish is as large for any number of nodes. The share of a core that watching takes was
    measured at one size alone.
    """

    cycle: Course
    survey: Course
    refresh: Course
    scrape: Course
    publish: float
    watch_share: Line
    peak_mib: Course
    series: Course
    page_bytes: Course


def costs(found: Mapping[str, Any]) -> Costs:
    """Return the medians of what a full run of the benchmarks has measured."""
    works, idle = found["works"], found["idle"]

    def course(read: Callable[[Any], float]) -> Course:
        return Course({it["nodes"]: read(it) for it in works})

    return Costs(
        cycle=course(lambda it: statistics.median(it["cycles"])),
        survey=course(lambda it: statistics.median(it["surveys"])),
        refresh=course(lambda it: statistics.median(it["refreshes"])),
        scrape=course(lambda it: statistics.median(it["scrapes"])),
        publish=statistics.median(second for it in works for second in it["publishes"]),
        watch_share=line([(idle["nodes"], idle["cpu_seconds"] / idle["seconds"])]),
        peak_mib=Course({int(nodes): mib for nodes, mib in found["peaks"].items()}),
        series=course(lambda it: it["series"]),
        page_bytes=course(lambda it: it["page_bytes"]),
    )


@dataclass(frozen=True, slots=True)
class Column:
    """A cluster of so many nodes under settings, CloudWatch being on; `given` are those that are
    not the defaults. Prometheus scrapes once an interval."""

    nodes: int
    given: Mapping[str, str]

    @property
    def settings(self) -> Settings:
        return load({"cloudwatch": "yes", **self.given}, {}).settings

    def head(self, costs: Costs) -> str:
        """Return what it is called; a size that was not measured says so."""
        given = "".join(f", `{name}` {value}" for name, value in self.given.items())
        drawn = "" if self.nodes in costs.cycle.measured else " (drawn out)"
        return f"{self.nodes:,} nodes{given}{drawn}"


COLUMNS = (
    *(Column(nodes, {}) for nodes in (100, 1_000, 5_000, 10_000, 100_000)),
    Column(100_000, {"interval": "120", "ec2_enis_interval": "600"}),
)


def list_calls(objects: Mapping[str, int]) -> int:
    """Return the calls until all is known: pages of so many objects by source, a watch of each,
    and the server's version."""
    pages = sum(max(ceil(count / OBJECTS_PAGE), 1) for count in objects.values())
    return pages + len(objects) + 1


def eni_calls(nodes: int) -> int:
    """Return the pages of one survey, in a VPC that has no ENIs but the nodes'."""
    return ceil(nodes * ENIS_PER_NODE / ENIS_PAGE)


def oldest(calls: int, settings: Settings) -> float:
    """Return how old, in seconds, what ENIs told becomes where each call of a survey takes a
    second: until the next survey has ended, which begins on a beat after the one before.
    """
    beat = min(settings.ec2_subnets_interval, settings.ec2_enis_interval)
    begins = ceil(max(settings.ec2_enis_interval, calls) / beat) * beat
    return begins + calls


def shares(costs: Costs, column: Column) -> Mapping[str, float]:
    """Return the share of a core that each kind of work takes."""
    nodes, settings = column.nodes, column.settings
    return {
        "cycles": costs.cycle.at(nodes) / settings.interval,
        "surveys": costs.survey.at(nodes) / settings.ec2_enis_interval,
        "refreshes": costs.refresh.at(nodes) / settings.ec2_subnets_interval,
        "scrapes": costs.scrape.at(nodes) / settings.interval,
        "publishes": costs.publish / settings.cloudwatch_interval,
        "watching": costs.watch_share.at(nodes),
    }


def rows(costs: Costs, columns: Sequence[Column]) -> Iterator[tuple[str, ...]]:
    """Yield what there is in each column, as text."""

    def row(what: str, read: Callable[[Column], str]) -> tuple[str, ...]:
        return (what, *map(read, columns))

    def of_cpu(what: str, work: str) -> tuple[str, ...]:
        return row(what, lambda it: _percent(shares(costs, it)[work]))

    yield row("CPU of one cycle", lambda it: f"{costs.cycle.at(it.nodes):,.2f} s")
    yield of_cpu("cycles, one an `interval`", "cycles")
    yield of_cpu("EC2's ENIs, once an `ec2_enis_interval`", "surveys")
    yield of_cpu("EC2's subnets, once an `ec2_subnets_interval`", "refreshes")
    yield of_cpu("the watches of the API server", "watching")
    yield of_cpu("scrapes, one an `interval`", "scrapes")
    yield of_cpu("CloudWatch, where it is on", "publishes")
    yield row("CPU in all", lambda it: f"**{_percent(sum(shares(costs, it).values()))}**")
    yield row("peak of resident memory", lambda it: f"**{costs.peak_mib.at(it.nodes):,.0f} MiB**")
    yield row("series in Prometheus", lambda it: f"{costs.series.at(it.nodes):,.0f}")
    yield row("one scrape, gzipped", lambda it: f"{costs.page_bytes.at(it.nodes) / 1024:,.0f} KiB")
    yield from _calls(row)
    yield row(
        "CloudWatch, where it is on: us-east-1, a month of 30 days",
        lambda it: f"${_dollars(it.settings):,.2f}",
    )


def _calls(row: Callable[[str, Callable[[Column], str]], tuple[str, ...]]) -> Iterator[Any]:
    def listed(it: Column) -> str:
        objects = {name: each * it.nodes + more for name, (each, more) in LISTED.items()}
        return f"{list_calls(objects):,}"

    def described(it: Column) -> float:
        settings = it.settings
        each = 1 / settings.ec2_subnets_interval + 1 / settings.ec2_enis_interval
        return SUBNETS_CALLS * each / REFILL_CALLS

    yield row("calls of the API server at the start", listed)
    yield row("heartbeats of nodes, a second", lambda it: f"{it.nodes / HEARTBEAT_SECONDS:,.1f}")
    yield row("DescribeNetworkInterfaces, calls a survey", lambda it: f"{eni_calls(it.nodes):,}")
    yield row(
        f"of its bucket of {BUCKET_CALLS}",
        lambda it: _percent(eni_calls(it.nodes) / BUCKET_CALLS),
    )
    yield row(
        f"of its {REFILL_CALLS} calls a second",
        lambda it: _percent(eni_calls(it.nodes) / it.settings.ec2_enis_interval / REFILL_CALLS),
    )
    yield row(
        "ENIs' figures at a second a call, at most",
        lambda it: f"{oldest(eni_calls(it.nodes), it.settings):,.0f} s old",
    )
    yield row(f"DescribeSubnets, of its {REFILL_CALLS}", lambda it: _percent(described(it)))
    yield row(
        f"GetSubnetCidrReservations of {ASSUMED_SUBNETS} subnets, of its {REFILL_CALLS}",
        lambda _: _percent(ASSUMED_SUBNETS / RESERVATIONS_SECONDS / REFILL_CALLS),
    )


def _dollars(settings: Settings) -> float:
    billed = bill(settings, 0)
    return METRIC_DOLLARS * billed.metrics + THOUSAND_CALLS_DOLLARS * billed.calls / 1000


def _percent(share: float) -> str:
    if 0 < share < _SMALLEST_SHARE:
        return "< 0.1 %"
    return f"{100 * share:,.1f} %"


def table(costs: Costs, columns: Sequence[Column] = COLUMNS) -> str:
    """Return the rows as a table of Markdown."""
    heads = ("", *(it.head(costs) for it in columns))
    lines = [heads, ("---", *("---:" for _ in columns)), *rows(costs, columns)]
    return "".join("| " + " | ".join(it) + " |\n" for it in lines)


def text(told: Mapping[str, Any]) -> str:
    """Return the table with what it was measured on, of what a full run has written."""
    image = re.search(r"python:(\d+\.\d+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    assert image is not None, "the Dockerfile names a Python"
    machine = f"Measured with {described(told['machine'])}. The image has Python {image[1]}."
    return f"{table(costs(told['found']))}\n{machine}\n"


def written(page: str, text: str) -> str:
    """Return the page with this text between its marks."""
    before, mark, rest = page.partition(MARK)
    _, end, after = rest.partition(END)
    assert mark, "the page has a mark where the table begins"
    assert end, "the page has a mark where the table ends"
    return before + mark + text + end + after


def main() -> None:
    """Print the table, or write it into the page."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument(
        "file", nargs="?", type=Path, default=FIGURES, help="what a run has written"
    )
    parser.add_argument("--write", action="store_true", help="write the table into docs/SCALE.md")
    options = parser.parse_args()
    try:
        told = full_run(options.file)
    except FullRunError as error:
        sys.exit(str(error))
    if trouble := warning(told["machine"], told.get("slowed", 1.0)):
        print(trouble, file=sys.stderr)
    if options.write:
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), text(told)), encoding="utf-8")
    else:
        print(text(told), end="")


if __name__ == "__main__":
    main()
