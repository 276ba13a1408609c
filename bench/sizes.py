"""How much a run of the benchmarks measures, and where it writes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.peers import OTHERS

OUT = Path(__file__).parent / "out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured: the fleets' sizes, the one that most is measured at, and for how long.

    `works` are rounds of each kind of work at that size, `works_elsewhere` at the others. `parts`
    are measurements without a daemon, each a module that prints JSON.
    """

    name: str
    nodes: tuple[int, ...]
    main: int
    cycles: int
    works: int
    works_elsewhere: int
    faulty: int
    timeout: float
    answers_seconds: float
    answers_beside: tuple[tuple[str, ...], ...]
    load_seconds: float
    peak_seconds: float
    idle_seconds: float
    sample: int
    parts: Mapping[str, tuple[str, ...]]

    def over(self, *nodes: int) -> Scale:
        """Return the same over other fleets; most is measured at the same size, or the largest."""
        main = self.main if self.main in nodes else max(nodes)
        return dataclasses.replace(self, name="chosen", nodes=nodes, main=main)

    @property
    def folder(self) -> Path:
        """Where figures go, so that those of a full run outlive any other run."""
        return OUT if self.name == FULL.name else OUT / self.name


FULL = Scale(
    name="full",
    nodes=(1_000, 5_000, 10_000),
    main=5_000,
    cycles=8,
    works=3,
    works_elsewhere=3,
    faulty=3,
    timeout=5.0,
    answers_seconds=20.0,
    answers_beside=((), OTHERS),
    load_seconds=60.0,
    peak_seconds=15.0,
    idle_seconds=30.0,
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
    works=1,
    works_elsewhere=0,
    faulty=1,
    timeout=1.0,
    answers_seconds=2.0,
    answers_beside=((),),
    load_seconds=4.0,
    peak_seconds=0.0,
    idle_seconds=1.0,
    sample=50,
    parts={
        "parse": ("bench.parse",),
        "render": ("bench.render", "1000"),
        "enis": ("bench.enis", "3000", "3"),
    },
)
FIGURES = FULL.folder / "figures.json"
