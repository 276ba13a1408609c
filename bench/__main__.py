"""`python -m bench`: measures every figure of the design, and holds it against its budget.

Prints a table, and writes JSON and plots. The exit status is 1 where a figure is over its budget or
short of its ratio. docs/BENCHMARKS.md tells how to read them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import plots, runs
from bench.figures import HeldTo, over, table
from bench.found import Found, Measured
from bench.peers import OTHERS, Size, World, world
from bench.processes import DAEMON_CORE, PEER_CORE, pin, running
from bench.rows import rows

ENIS_PER_NODE = 4
OUT = Path(__file__).parent / "out"
_QUIET_LOAD = 0.3
_IDLE_LOOP_SECONDS = 3.0
# Of the time under load, so much goes by before the hour's collection comes.
_COLLECTED_AFTER = 2 / 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured: the fleets' sizes, the one that most is measured at, and for how long.

    `parts` are measurements without a daemon, each a module that prints JSON.
    """

    name: str
    nodes: tuple[int, ...]
    main: int
    cycles: int
    faulty: int
    timeout: float
    answers_seconds: float
    answers_beside: tuple[tuple[str, ...], ...]
    load_seconds: float
    peak_seconds: float
    idle_seconds: float
    surveys: int
    sample: int
    parts: Mapping[str, tuple[str, ...]]

    def over(self, *nodes: int) -> Scale:
        """Return the same over other fleets; most is measured at the same size, or the largest."""
        main = self.main if self.main in nodes else max(nodes)
        return dataclasses.replace(self, nodes=nodes, main=main)


FULL = Scale(
    name="full",
    nodes=(1_000, 5_000, 10_000),
    main=5_000,
    cycles=8,
    faulty=3,
    timeout=5.0,
    answers_seconds=20.0,
    answers_beside=((), OTHERS),
    load_seconds=60.0,
    peak_seconds=15.0,
    idle_seconds=30.0,
    surveys=3,
    sample=200,
    parts={
        "parse": ("bench.parse",),
        "render": ("bench.render", "5000"),
        "enis": ("bench.enis", "20000", "3"),
    },
)
QUICK = Scale(
    name="quick",
    nodes=(250, 1_000),
    main=1_000,
    cycles=10,
    faulty=1,
    timeout=1.0,
    answers_seconds=2.0,
    answers_beside=((),),
    load_seconds=4.0,
    peak_seconds=0.0,
    idle_seconds=1.0,
    surveys=1,
    sample=50,
    parts={
        "parse": ("bench.parse",),
        "render": ("bench.render", "1000"),
        "enis": ("bench.enis", "3000", "3"),
    },
)


def measure(scale: Scale) -> Found:
    """Measure everything, one thing at a time."""
    found = Found(
        scale=scale.name,
        machine=machine(),
        parts={name: _part(name, command) for name, command in scale.parts.items()},
    )
    for nodes in scale.nodes:
        size = Size(nodes=nodes, enis=ENIS_PER_NODE * nodes)
        with tempfile.TemporaryDirectory() as folder:
            _say(f"a fleet of {nodes} nodes starts")
            with world(size, Path(folder), *OTHERS) as peers:
                found = _at(peers, scale, found)
    return found


def _at(peers: World, scale: Scale, found: Found) -> Found:
    """Add what is measured at one size."""
    nodes, main = peers.size.nodes, peers.size.nodes == scale.main
    _say("cycles")
    found = dataclasses.replace(found, cycles=(*found.cycles, runs.cycles(peers, scale.cycles)))
    if main:
        found = _at_main(peers, scale, found)
    seconds = scale.load_seconds if main else scale.peak_seconds
    if not seconds:
        return found
    _say("everything at once")
    full_every = seconds * _COLLECTED_AFTER if main else None
    load = runs.load(peers, seconds, *OTHERS, full_every=full_every)
    peaks = {**found.peaks, nodes: load.peak_resident_mib}
    return dataclasses.replace(found, peaks=peaks, load=load if main else found.load)


def _at_main(peers: World, scale: Scale, found: Found) -> Found:
    idle_loop = runs.idle_loop(_IDLE_LOOP_SECONDS)
    _say("reading one node after another")
    sequential = runs.sequential(peers, scale.sample)
    _say("cycles with a tenth of the nodes out of order")
    faulty = runs.faulty(peers, scale.timeout, scale.faulty)
    _say("answers during cycles")
    answers = tuple(
        runs.answers(peers, scale.answers_seconds, *others) for others in scale.answers_beside
    )
    _say("surveys")
    surveys = runs.surveys(peers, scale.surveys, "ec2")
    _say("watching")
    idle = runs.idle(peers, scale.idle_seconds)
    return dataclasses.replace(
        found,
        idle_loop=idle_loop,
        sequential=sequential,
        faulty=faulty,
        answers=answers,
        surveys=surveys,
        idle=idle,
    )


def _part(name: str, command: tuple[str, ...]) -> Measured:
    _say(name)
    with running(command, {}, core=DAEMON_CORE) as process:
        told: dict[str, Any] = json.loads(process.communicate()[0])
    return told


def machine() -> dict[str, object]:
    """Return what the figures depend on beside the exporter."""
    return {
        "python": platform.python_version(),
        "kernel": platform.release(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def written(found: Found, held_to: HeldTo, folder: Path) -> None:
    """Write figures.json and the plots into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "scale": found.scale,
        "machine": found.machine,
        "rows": [row.told(held_to) for row in rows(found)],
        "found": dataclasses.asdict(found),
    }
    (folder / "figures.json").write_text(json.dumps(told, indent=1) + "\n")
    if not plots.draw(found, folder):
        _say("no plots: matplotlib is not installed")


def main() -> int:
    """Measure, print, write; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="small fleets, in a minute; ratios alone count"
    )
    parser.add_argument("--nodes", type=int, nargs="+", help="fleets of these sizes alone")
    parser.add_argument("--out", type=Path, default=OUT, help="where JSON and plots go (bench/out)")
    options = parser.parse_args()
    pin(0, PEER_CORE)
    scale, held_to = (QUICK, HeldTo.RATIOS) if options.quick else (FULL, HeldTo.ALL)
    if options.nodes:
        scale = scale.over(*options.nodes)
    found = measure(scale)
    written(found, held_to, options.out)
    print(table(rows(found), held_to))
    load = float(str(found.machine["load_before"]))
    if load > _QUIET_LOAD:
        print(f"The machine was busy before this began (load {load}): take no figure for a fact.")
    return 1 if over(rows(found), held_to) else 0


if __name__ == "__main__":
    sys.exit(main())
