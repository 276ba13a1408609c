"""Draws what was found: cost against nodes, and loop lag over time. Needs matplotlib."""

from __future__ import annotations

import importlib.util
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

from bench.found import Found, Load
from bench.notes import CYCLE, HOURLY, SURVEY
from bench.rows import CYCLE_SECONDS, LAG_MAX_MS, LAG_P99_MS, PEAK_MIB, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHADES = {CYCLE: "tab:blue", SURVEY: "tab:green", HOURLY: "tab:red"}
_NAMES = {
    CYCLE: "nodes are read",
    SURVEY: "EC2 is read",
    HOURLY: "the hour's collection of garbage",
}


def draw(found: Found, folder: Path) -> bool:
    """Draw cost.png and lag.png as far as there is something to draw; False without matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        return False
    import matplotlib as mpl  # noqa: PLC0415  # only where plots are wanted

    mpl.use("Agg")
    if found.cycles:
        _cost(found, folder / "cost.png")
    if found.load is not None:
        _lag(found.load, folder / "lag.png")
    return True


def _cost(found: Found, file: Path) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(10, 4), layout="constrained")
    cycle, memory = figure.subplots(1, 2)
    nodes = [it.nodes for it in found.cycles]
    cycle.plot(nodes, [statistics.median(it.seconds) for it in found.cycles], "o-", label="a cycle")
    cycle.plot(
        nodes, [statistics.median(it.cpu_seconds) for it in found.cycles], "s--", label="its CPU"
    )
    _budget(cycle, CYCLE_SECONDS)
    cycle.set(xlabel="nodes", ylabel="seconds", title="a cycle", xlim=(0, None), ylim=(0, None))
    memory.plot(list(found.peaks), list(found.peaks.values()), "o-", label="with EC2")
    memory.plot(nodes, [it.peak_resident_mib for it in found.cycles], "s--", label="without")
    _budget(memory, PEAK_MIB)
    memory.set(xlabel="nodes", ylabel="MiB", title="peak resident memory")
    memory.set(xlim=(0, None), ylim=(0, None))
    for axes in (cycle, memory):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(file, dpi=120)


def _budget(axes: Axes, budget: dict[int, float] | dict[int, int]) -> None:
    axes.plot(list(budget), list(budget.values()), "k:", label="budget")


def _lag(load: Load, file: Path) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(12, 4), layout="constrained")
    axes = figure.subplots()
    seconds, late = shown(load.lags)
    axes.plot(seconds, late, ".", markersize=2, color="black")
    began = load.lags[0][0] if load.lags else 0.0
    named: set[str] = set()
    for span in load.spans:
        if span.work in _SHADES:
            label = None if span.work in named else _NAMES[span.work]
            named.add(span.work)
            height = {CYCLE: (0.0, 0.03), SURVEY: (0.03, 0.06), HOURLY: (0.0, 1.0)}[span.work]
            axes.axvspan(
                span.began - began,
                span.ended - began,
                *height,
                alpha=0.5,
                color=_SHADES[span.work],
                label=label,
            )
    for limit, name in ((LAG_P99_MS, "budget of the 99th percentile"), (LAG_MAX_MS, "longest")):
        axes.axhline(limit, linestyle=":", color="tab:orange", label=name)
    axes.set(
        xlabel="seconds",
        ylabel="milliseconds late",
        ylim=(0.1, None),
        yscale="log",
        title=f"event-loop lag, {load.nodes:,} nodes and {load.enis:,} ENIs",
    )
    axes.legend(loc="upper right")
    figure.savefig(file, dpi=120)
