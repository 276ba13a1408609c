"""`python -m bench.soak`: thousands of cycles over a world that never rests, and what they leave.

A living cluster with its EC2 churns before every cycle. Memory, tasks, threads and descriptors are
noted after each; at checkpoints every figure that is published must equal the truth. The exit
status is 1 where something grew or a figure was wrong. docs/BENCHMARKS.md tells how to read it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.churn import Churn
from bench.figures import HeldTo, Row, Unit, over, table
from bench.notes import SURVEY
from bench.peers import Size, World, world
from bench.processes import DAEMON_CORE, PEER_CORE, descriptors, pin, resident_mib, threads
from bench.trend import Trend
from bench.watched import Options, Watched, watched
from tests.e2e.world import differences, expected, fell, parse, published

OUT = Path(__file__).parent / "out"
GROWTH_PERCENT = 5.0
# Half of one: what a line through whole numbers may be off.
COUNTED = 0.5
_WARM_UP = 0.25
_CHECKPOINTS = 20
_TIMEOUT_SECONDS = 1.0
# In life there are six cycles to a survey of the ENIs.
_SETTINGS = {
    "EXPORTER_SCRAPE_TIMEOUT": str(_TIMEOUT_SECONDS),
    "EXPORTER_EC2_ENIS_INTERVAL": "2",
    "EXPORTER_EC2_SUBNETS_INTERVAL": "0.7",
}
# Watchers hear of a change a moment after it; a figure that is wrong for good stays wrong.
_TRIES = 5
_SHOWN_DIFFERENCES = 20


@dataclass(frozen=True, slots=True)
class Sample:
    """What the daemon holds after a cycle, while it waits for the next."""

    cycle: int
    resident_mib: float
    objects: int
    tasks: int
    threads: int
    descriptors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long a soak is, and over what."""

    cycles: int
    nodes: int
    checkpoints: int = _CHECKPOINTS
    seed: int = 1
    cores: tuple[int, int] | None = (DAEMON_CORE, PEER_CORE)


@dataclass(slots=True)
class Soaked:
    """What a soak has found: samples, and what was wrong at checkpoints, each with its cycle."""

    samples: list[Sample] = field(default_factory=list)
    wrong: list[tuple[int, str]] = field(default_factory=list)
    checked: int = 0
    seconds: float = 0.0

    def rows(self) -> list[Row]:
        """Return what is held against a limit, of the samples after the warm-up."""
        settled = self.samples[int(len(self.samples) * _WARM_UP) :]
        at = f"cycles {settled[0].cycle:,} to {settled[-1].cycle:,}"
        return [
            _grown("resident memory, MiB", at, _trend(settled, lambda it: it.resident_mib)),
            _grown("objects", at, _trend(settled, lambda it: it.objects)),
            _gained("tasks", at, _trend(settled, lambda it: it.tasks)),
            _gained("threads", at, _trend(settled, lambda it: it.threads)),
            _gained("descriptors", at, _trend(settled, lambda it: it.descriptors)),
            Row(
                what="figures that are not the truth",
                at=f"{self.checked} checkpoints",
                figure=len(self.wrong),
                unit=Unit.COUNT,
                budget=0,
            ),
        ]


def _trend(samples: Sequence[Sample], of: Callable[[Sample], float]) -> Trend:
    return Trend.of([(it.cycle, of(it)) for it in samples])


def _grown(what: str, at: str, trend: Trend) -> Row:
    return Row(
        what=f"{what}: growth from {trend.begins:,.0f}",
        at=at,
        figure=100 * trend.share,
        unit=Unit.PERCENT,
        budget=GROWTH_PERCENT,
    )


def _gained(what: str, at: str, trend: Trend) -> Row:
    return Row(
        what=f"{what}: more than the first {trend.begins:.0f}",
        at=at,
        figure=trend.growth,
        unit=Unit.COUNT,
        budget=COUNTED,
    )


def soak(plan: Plan, folder: Path, say: Callable[[str], None] = lambda _: None) -> Soaked:
    """Run a soak and return what it found."""
    own, others = plan.cores or (None, None)
    found, began = Soaked(), time.monotonic()
    options = Options(on_demand=True, lag=False, objects=True, core=own)
    story = ("--scenario=steady", "--startup=0.01")
    with (
        world(Size(nodes=plan.nodes, seed=plan.seed), folder, story=story, core=others) as peers,
        watched(peers, options=options, **_SETTINGS) as daemon,
    ):
        churn, checks = Churn(peers, plan.seed), Checks(peers, daemon, found)
        daemon.cycle()
        for number in range(1, plan.cycles + 1):
            due = number % max(plan.cycles // plan.checkpoints, 1) == 0
            churn.next(slow=not due)
            done = daemon.cycle()
            if due:
                checks.check(number)
                say(f"cycle {number}: {resident_mib(daemon.process.pid):.1f} MiB")
            pid = daemon.process.pid
            found.samples.append(
                Sample(
                    cycle=number,
                    resident_mib=resident_mib(pid),
                    objects=int(done.told["objects"]),
                    tasks=done.tasks,
                    threads=threads(pid),
                    descriptors=descriptors(pid),
                )
            )
        found.seconds = time.monotonic() - began
    return found


@dataclass(slots=True)
class Checks:
    """Holds what is published against the truth."""

    world: World
    daemon: Watched
    found: Soaked
    _before: Mapping[Any, float] = field(default_factory=dict)

    def check(self, number: int) -> None:
        """Compare every figure with the truth, and the counters with the checkpoint before."""
        self._survey()
        wrong: list[str] = []
        for _ in range(_TRIES):
            self.daemon.cycle()
            now = parse(self.daemon.text())
            wrong = [
                str(it)
                for it in differences(expected(self.world.control("/truth")), published(now))
            ]
            if not wrong:
                break
        wrong += [f"fell: {it}" for it in fell(self._before, now)]
        self._before = now
        self.found.wrong += [(number, text) for text in wrong]
        self.found.checked += 1

    def _survey(self) -> None:
        """Have all ENIs read that there are now."""
        now = time.monotonic()
        notes = self.daemon.notes
        while not any(span.began > now for span in notes.of(SURVEY)):
            self.daemon.wait_for(SURVEY, len(notes.of(SURVEY)) + 1)


def main() -> int:
    """Soak, print, write; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--cycles", type=int, default=2_000)
    parser.add_argument("--nodes", type=int, default=1_000)
    parser.add_argument("--checkpoints", type=int, default=_CHECKPOINTS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=OUT, help="where JSON goes (bench/out)")
    options = parser.parse_args()
    pin(0, PEER_CORE)
    plan = Plan(
        cycles=options.cycles,
        nodes=options.nodes,
        checkpoints=options.checkpoints,
        seed=options.seed,
    )

    def say(text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        found = soak(plan, Path(folder), say)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "soak.json").write_text(json.dumps(asdict(found), indent=1) + "\n")
    rows = found.rows()
    print(table(rows, HeldTo.ALL))
    for number, text in found.wrong[:_SHOWN_DIFFERENCES]:
        print(f"cycle {number}: {text}")
    return 1 if over(rows, HeldTo.ALL) else 0


if __name__ == "__main__":
    sys.exit(main())
