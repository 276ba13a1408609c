"""What was found: one frozen value per measurement, raw, as it goes into the JSON."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.notes import Span

Lags = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycles:
    """Cycles over a fleet in good health, every node of which has moved on before each.

    `seconds` and `cpu_seconds` are one figure per cycle, the first cycle left out. `yardsticks` are
    CPU seconds of the same fixed piece of work, right after each.
    """

    nodes: int
    seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    yardsticks: tuple[float, ...]
    fleet_cpu_seconds: tuple[float, ...]
    first_metrics_seconds: float
    first_list_seconds: float
    read: int
    peak_resident_mib: float

    @property
    def cost(self) -> float:
        """CPU of a cycle per node, in yardsticks: the least, as what else a machine does adds."""
        pieces = zip(self.cpu_seconds, self.yardsticks, strict=True)
        return min(cpu / yardstick for cpu, yardstick in pieces) / self.nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class Faulty:
    """Cycles while some nodes answer nothing, refuse, or answer rubbish."""

    nodes: int
    faulty: int
    unread: int
    timeout_seconds: float
    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Seconds of each answer of /metrics that was asked for while a cycle was under way."""

    nodes: int
    enis: int
    bytes: int
    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """What is used while nothing but the watch of the API server goes on."""

    nodes: int
    events: int
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Everything at once: cycles back to back and EC2 read again and again."""

    nodes: int
    enis: int
    lags: Lags
    spans: tuple[Span, ...]
    peak_resident_mib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Works:
    """What each kind of work costs by itself, with EC2 and CloudWatch on: CPU seconds of the whole
    daemon, one figure per piece; and what is served then, of which `page_bytes` are gzipped.

    A cycle takes in what EC2 told. Surveys read and account for all ENIs, refreshes read subnets
    alone, a publish tells CloudWatch of a minute, and a scrape is one answer of /metrics.
    """

    nodes: int
    enis: int
    subnets: int
    series: int
    page_bytes: int
    cycles: tuple[float, ...]
    surveys: tuple[float, ...]
    refreshes: tuple[float, ...]
    publishes: tuple[float, ...]
    scrapes: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequential:
    """One node after another through the API server's pod proxy, on a sample of the nodes."""

    nodes: int
    sample: int
    list_seconds: float
    node_seconds: float

    def cycle_seconds(self, nodes: int) -> float:
        """Return what so many nodes would take: each takes as long, since none waits with another.

        The list of pods is counted as if it took no longer for more nodes.
        """
        return self.list_seconds + self.node_seconds * nodes


Measured = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Everything of one run; what was not measured is absent."""

    scale: str
    machine: Mapping[str, object] = field(default_factory=dict)
    cycles: tuple[Cycles, ...] = ()
    works: tuple[Works, ...] = ()
    faulty: Faulty | None = None
    answers: tuple[Answers, ...] = ()
    idle: Idle | None = None
    load: Load | None = None
    peaks: Mapping[int, float] = field(default_factory=dict)
    sequential: Sequential | None = None
    idle_loop: tuple[float, ...] = ()
    parts: Mapping[str, Measured] = field(default_factory=dict)

    @property
    def slowed(self) -> float:
        """How many times as long as at its fastest the machine took, at its slowest, for one and
        the same work."""
        medians = [statistics.median(it.yardsticks) for it in self.cycles]
        return max(medians) / min(medians) if medians else 1.0
