"""A figure held against its budget and its baseline: rows, their verdicts, and their table. Pure.

Less is better in every row, so that a ratio always says how many times as good as the baseline.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Unit(StrEnum):
    """What a figure counts."""

    SECONDS = "s"
    CPU_SECONDS = "s of CPU"
    MILLISECONDS = "ms"
    MICROSECONDS = "µs"
    MIB = "MiB"
    CORE_PERCENT = "% of a core"
    PERCENT = "%"
    COUNT = ""


class Verdict(StrEnum):
    """What is said of a row: within what it is held to, over it, or held to nothing."""

    OK = "ok"
    OVER = "OVER"
    TOLD = "told"


class HeldTo(StrEnum):
    """What rows are held to: budgets and ratios, or ratios alone, where the machine is any."""

    ALL = "all"
    RATIOS = "ratios"


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the same work takes otherwise, in the row's unit, measured in the same run."""

    what: str
    figure: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure: of what, at which size, at most how much it may be (`budget`), and how many
    times as good as its baseline it must be (`times`)."""

    what: str
    at: str
    figure: float
    unit: Unit
    budget: float | None = None
    baseline: Baseline | None = None
    times: float | None = None

    @property
    def ratio(self) -> float | None:
        """How many times as good as its baseline the figure is; None without one."""
        if self.baseline is None:
            return None
        return self.baseline.figure / self.figure if self.figure else math.inf

    def verdict(self, held_to: HeldTo = HeldTo.ALL) -> Verdict:
        """Return whether the figure is within all that it is held to; what is no number is not."""
        held = []
        if self.budget is not None and held_to is HeldTo.ALL:
            held.append(self.figure <= self.budget)
        if self.times is not None:
            held.append(self.ratio is not None and self.ratio >= self.times)
        if not held:
            return Verdict.TOLD
        return Verdict.OK if all(held) else Verdict.OVER

    def told(self, held_to: HeldTo) -> dict[str, Any]:
        """Return the row as it goes into the JSON."""
        baseline = self.baseline
        return {
            "what": self.what,
            "at": self.at,
            "figure": _significant(self.figure),
            "unit": self.unit.value,
            "budget": self.budget,
            "baseline": baseline
            and {
                "what": baseline.what,
                "figure": _significant(baseline.figure),
            },
            "ratio": None if self.ratio is None else _significant(self.ratio),
            "least_ratio": self.times,
            "verdict": self.verdict(held_to).value,
        }


def over(rows: Iterable[Row], held_to: HeldTo) -> bool:
    """Return whether one of the rows is over what it is held to."""
    return any(row.verdict(held_to) is Verdict.OVER for row in rows)


_HEAD = ("what", "at", "figure", "budget", "ratio", "to", "verdict")
_NUMBERS = frozenset({"figure", "budget", "ratio"})


def table(rows: Sequence[Row], held_to: HeldTo) -> str:
    """Return the rows as a table of text, with numbers to the right."""
    lines = [_HEAD, *(_cells(row, held_to) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if name in _NUMBERS else cell.ljust(width)
            for name, cell, width in zip(_HEAD, line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def _cells(row: Row, held_to: HeldTo) -> tuple[str, ...]:
    ratio, budget = "", "" if row.budget is None else f"{_number(row.budget)} {row.unit.value}"
    if row.ratio is not None:
        least = "" if row.times is None else f" (≥ {_number(row.times)})"
        ratio = f"{_number(row.ratio)}{least}"
    return (
        row.what,
        row.at,
        f"{_number(row.figure)} {row.unit.value}",
        budget,
        ratio,
        row.baseline.what if row.baseline else "",
        row.verdict(held_to).value,
    )


def _number(value: float) -> str:
    """A number as people read it: whole from a hundred on, with two digits and more below."""
    if not math.isfinite(value) or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def _significant(value: float) -> float | None:
    """A number with as many digits as a measurement has; JSON knows none that is not finite."""
    return float(f"{value:.4g}") if math.isfinite(value) else None
