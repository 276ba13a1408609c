"""`python -m bench`: measures every figure of the design, and holds it against its budget.

Prints a table, and writes JSON and plots. The exit status is 1 where a figure is over its budget or
short of its ratio. docs/BENCHMARKS.md tells how to read them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import plots, runs
from bench.figures import HeldTo, over, table
from bench.found import Found, Measured
from bench.machine import described, machine, warning
from bench.peers import OTHERS, Size, World, world
from bench.processes import DAEMON_CORE, PEER_CORE, pin, running
from bench.rows import rows
from bench.sizes import FULL, QUICK, Scale

_IDLE_LOOP_SECONDS = 3.0
# Of the time under load, so much goes by before the hour's collection comes.
_COLLECTED_AFTER = 2 / 3


def measure(scale: Scale) -> Found:
    """Measure everything, one thing at a time."""
    found = Found(
        scale=scale.name,
        machine=machine(),
        parts={name: _part(name, command) for name, command in scale.parts.items()},
    )
    for nodes in scale.nodes:
        size = Size.usual(nodes)
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
    rounds = scale.works if main else scale.works_elsewhere
    if rounds:
        _say("each kind of work by itself")
        found = dataclasses.replace(found, works=(*found.works, runs.works(peers, rounds)))
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
    _say("watching")
    idle = runs.idle(peers, scale.idle_seconds)
    return dataclasses.replace(
        found,
        idle_loop=idle_loop,
        sequential=sequential,
        faulty=faulty,
        answers=answers,
        idle=idle,
    )


def _part(name: str, command: tuple[str, ...]) -> Measured:
    _say(name)
    with running(command, {}, core=DAEMON_CORE) as process:
        told: dict[str, Any] = json.loads(process.communicate()[0])
    return told


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def written(found: Found, held_to: HeldTo, folder: Path) -> None:
    """Write figures.json and the plots into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "scale": found.scale,
        "machine": found.machine,
        "slowed": found.slowed,
        "rows": [row.told(held_to) for row in rows(found)],
        "found": dataclasses.asdict(found),
    }
    (folder / "figures.json").write_text(json.dumps(told, indent=1) + "\n")
    if not plots.draw(found, folder):
        _say("no plots: matplotlib is not installed")


def main() -> int:
    """Measure until nothing is over, or often enough; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="small fleets, in a minute; ratios alone count"
    )
    parser.add_argument("--nodes", type=int, nargs="+", help="fleets of these sizes alone")
    parser.add_argument(
        "--tries",
        type=int,
        default=1,
        help="measure again, up to so often, where something is over: other work spoils a figure",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="where JSON and plots go (bench/out; bench/out/quick with --quick, and "
        "bench/out/chosen with --nodes)",
    )
    options = parser.parse_args()
    pin(0, PEER_CORE)
    scale, held_to = (QUICK, HeldTo.RATIOS) if options.quick else (FULL, HeldTo.ALL)
    if options.nodes:
        scale = scale.over(*options.nodes)
    tries = (_within(scale, held_to, options.out or scale.folder) for _ in range(options.tries))
    return 0 if any(tries) else 1


def _within(scale: Scale, held_to: HeldTo, folder: Path) -> bool:
    """Measure, print, write; whether nothing is over."""
    found = measure(scale)
    written(found, held_to, folder)
    print(table(rows(found), held_to))
    print(f"Measured with {described(found.machine)}.")
    if trouble := warning(found.machine, found.slowed):
        print(trouble)
    return not over(rows(found), held_to)


if __name__ == "__main__":
    sys.exit(main())
