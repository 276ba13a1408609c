"""What one aws-node page says, as values: the currency between the world, the servers and the
books.

Writing a page, serving it and judging it are done elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, Self

from exporter.sim.holdings import Holding

Labels = tuple[tuple[str, str], ...]
Series = tuple[str, Labels]


@dataclass(frozen=True, slots=True)
class Gauges:
    """Six gauges of ipamd, of one node; a release that has no prefixes holds none."""

    assigned: int
    total: int
    enis: int
    eni_max: int
    ip_max: int
    prefixes: int


@dataclass(frozen=True, slots=True)
class State:
    """All that one ipamd process could say; what of it a page says is up to its release."""

    gauges: Gauges
    counters: Mapping[Series, float]
    assigned_by_cidr: Mapping[str, int]
    assigned_by_eni: Mapping[str, int]
    started: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What a careful reader takes from one page; without all six gauges there are none.

    Releases before v1.15.1 tell nothing by ENI.
    """

    gauges: Gauges | None
    counters: Mapping[Series, float]
    started: float
    assigned_by_eni: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """The bytes of one page beside what they say; another page is another object."""

    body: bytes
    facts: Facts


class Process(Protocol):
    """One ipamd process: it can be read, and can be started anew."""

    def page(self) -> Page:
        """Return what `/metrics` says now; the same object as long as nothing changed."""

    def holding(self) -> Holding | None:
        """Return what introspection shows now; None where it shows nothing."""

    def restarted(self, now: float, version: str) -> Self:
        """Return the process that follows this one: gauges kept, counters at zero."""


def series(family: str, **labels: str) -> Series:
    """Name one series, its labels in alphabetical order as ipamd writes them."""
    return family, tuple(sorted(labels.items()))


def whole_hundredths(moment: float) -> float:
    """Round a start time up to what `process_start_time_seconds` can carry.

    Up, so that a process never seems older than the pod it runs in.
    """
    return -(-moment * 100 // 1) / 100
