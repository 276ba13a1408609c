"""Drawing a report: ours against `generate_latest` of the same samples, every value changed.

`python -m bench.render [NODES]` prints the figures as JSON.
"""

from __future__ import annotations

import gzip
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from exporter.core.counters import SERIES
from exporter.core.model import (
    Counts,
    Discovery,
    Identity,
    Node,
    Outcome,
    Pod,
    Read,
    Reading,
    Snapshot,
    Target,
)
from exporter.core.report import Memory, Report, step
from exporter.garbage import Garbage
from exporter.outputs.prometheus import Block, Format, Selection, Sheet, draw

NODES = 5_000
ROUNDS = 5


def target(number: int) -> Target:
    """Return a node of a made-up fleet and its pod."""
    address = f"10-{number // 65536}-{number // 256 % 256}-{number % 256}"
    name = f"ip-{address}.eu-west-1.compute.internal"
    node = Node(
        name=name,
        created=0.0,
        instance_id=f"i-{number:017x}",
        instance_type="m5.large",
        zone=f"eu-west-1{'abc'[number % 3]}",
        region="eu-west-1",
        nodegroup=f"group-{number % 7}",
        max_pods=29,
        addresses=("10.0.0.1",),
    )
    pod = Pod(
        uid=f"uid-{number}",
        name=f"aws-node-{number}",
        namespace="kube-system",
        node=name,
        ip="10.0.0.1",
        cni_version="v1.23.1",
    )
    return Target(node, pod, 3)


def reports(nodes: int, rounds: int) -> Iterator[Report]:
    """Return reports in which every figure of every node differs from the report before."""
    targets = tuple(target(number) for number in range(nodes))
    series = tuple(range(0, len(SERIES), len(SERIES) // 30))
    memory = Memory()
    for turn in range(rounds):
        outcomes: tuple[Outcome, ...] = tuple(
            Read(
                each,
                Reading(
                    time=1e9 + turn,
                    started=1.0,
                    assigned=10 + turn,
                    attached=100 + 3 * turn,
                    enis=2 + turn,
                    eni_max=20 + turn,
                    ip_max=50 * (20 + turn),
                    prefixes=1 + turn,
                    counts=Counts(series, tuple(float(turn) for _ in series)),
                ),
            )
            for each in targets
        )
        memory, report = step(
            memory, Snapshot(1e9 + turn, Discovery(targets, True, Identity("bench")), outcomes)
        )
        yield report


class Library:
    """The same samples as prometheus_client's own families."""

    def __init__(self, page: bytes) -> None:
        """Keep the samples of a page of ours, by family."""
        self._samples: dict[str, list[tuple[dict[str, str], float]]] = {}
        for family in text_string_to_metric_families(page.decode()):
            for sample in family.samples:
                self._samples.setdefault(sample.name, []).append((sample.labels, sample.value))

    def collect(self) -> Iterator[Metric]:
        """Return the families, as a custom collector does."""
        for name, samples in self._samples.items():
            names = tuple(samples[0][0])
            family = GaugeMetricFamily(name, "help", labels=names)
            for labels, value in samples:
                family.add_metric(tuple(labels.values()), value)
            yield family


def _timed(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def measure(nodes: int = NODES) -> dict[str, float]:
    """Return the milliseconds of both for one report of `nodes` nodes, and their ratio."""
    tables = Selection().tables()
    Garbage(time.monotonic).start()  # as in the daemon, for both
    sheet = Sheet()
    ours, theirs, lines = [], [], 0
    for report in reports(nodes, ROUNDS):
        before, drawn = sheet, list[Block]()

        def own(report: Report = report) -> None:
            nonlocal sheet
            sheet = draw(tables, report, before.cache)  # noqa: B023 - called in this round
            drawn.append(sheet.block(Format.TEXT))  # noqa: B023

        ours.append(_timed(own))
        page = drawn[0].plain
        lines = page.count(b"\n")
        registry = CollectorRegistry()
        registry.register(Library(page))
        theirs.append(_timed(partial(_generate, registry)))
    # The first report draws all labels too; every later one has them.
    mine, library = statistics.median(ours[1:]), statistics.median(theirs[1:])
    return {
        "nodes": nodes,
        "lines": lines,
        "milliseconds": round(1000 * mine, 1),
        "milliseconds_per_60000_lines": round(1000 * mine * 60_000 / lines, 1),
        "library_milliseconds": round(1000 * library, 1),
        "times_as_fast": round(library / mine, 1),
    }


def _generate(registry: CollectorRegistry) -> bytes:
    return gzip.compress(generate_latest(registry), 1)


if __name__ == "__main__":
    print(json.dumps(measure(*map(int, sys.argv[1:])), indent=2))
