"""Draws panels as Grafana does, near enough to judge what a board says at a glance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from scripts.grafana import answers
from scripts.grafana.panels import Json

PAGE, PANEL, TEXT, MUTED, GRID = "#111217", "#1b1e24", "#d6d7dd", "#8e929b", "#2c3036"
COLORS = {
    "green": "#56a64b",
    "orange": "#e8801f",
    "red": "#d83a4e",
    "blue": "#4a7fd6",
    "light-blue": "#9cc0f9",
    "purple": "#8f5bb5",
    "#808791": "#808791",
    "text": TEXT,
}
_PALETTE = ("#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#37872d", "#e0b400")
_COLUMN, _ROW = 0.6, 0.36  # inches of the dashboard's grid
_DPI = 80
_SMALL = 8.5
# Of a screen 1,900 wide, in an inch of ours.
_PIXELS = 132


@dataclass(frozen=True, slots=True)
class Place:
    """An area of the picture whose units are inches, from its lower left corner."""

    axes: Axes
    width: float
    height: float

    def write(self, x: float, y: float, said: str, **style: Any) -> None:
        """Write a line of text in the area."""
        base: Json = {"color": TEXT, "fontsize": _SMALL, "va": "center", "clip_on": True}
        self.axes.text(x, y, said, **base | style)

    def box(self, x: float, y: float, size: tuple[float, float], color: str) -> None:
        """Fill a rectangle of the area."""
        self.axes.add_patch(Rectangle((x, y), *size, color=color, linewidth=0))


def board(url: str, said: Json, moment: answers.Moment) -> Figure:
    """Return the picture of a dashboard, of what Prometheus answers."""
    panels = said["panels"]
    rows = max(it["gridPos"]["y"] + it["gridPos"]["h"] for it in panels) + 2
    figure = pyplot.figure(figsize=(24 * _COLUMN, rows * _ROW), dpi=_DPI, facecolor=PAGE)
    heading = _area(figure, rows, {"x": 0, "y": -2, "w": 24, "h": 2}, PAGE)
    heading.write(0.1, 0.42, said["title"], fontsize=15, fontweight="bold")
    heading.write(0.1, 0.13, said["description"], color=MUTED)
    for panel in panels:
        area = _area(figure, rows, panel["gridPos"], PAGE if panel["type"] == "row" else PANEL)
        _panel(url, panel, moment, area)
    return figure


def _area(figure: Figure, rows: int, place: Json, color: str) -> Place:
    gap = 0.05
    width, height = place["w"] * _COLUMN - 2 * gap, place["h"] * _ROW - 2 * gap
    bottom = (rows - 2 - place["y"] - place["h"]) * _ROW + gap
    total = 24 * _COLUMN, rows * _ROW
    rect = (
        (place["x"] * _COLUMN + gap) / total[0],
        bottom / total[1],
        width / total[0],
        height / total[1],
    )
    axes = figure.add_axes(rect, facecolor=color)
    axes.set(xlim=(0, width), ylim=(0, height), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return Place(axes, width, height)


def _panel(url: str, panel: Json, moment: answers.Moment, area: Place) -> None:
    if panel["type"] == "row":
        area.write(0.05, area.height / 2, f"⌄  {panel['title']}", fontsize=11, fontweight="bold")
        return
    area.write(
        0.1,
        area.height - 0.15,
        panel["title"],
        fontsize=9.5,
    )
    _KINDS[panel["type"]](url, panel, moment, area)


def _stat(url: str, panel: Json, moment: answers.Moment, area: Place) -> None:
    look = panel["fieldConfig"]["defaults"]
    found = answers.instant(url, panel["targets"][0], moment)
    value = found[0][1] if found else None
    said = look.get("noValue", "No data") if value is None else shown(value, look)
    color = None if value is None else colored(value, look)
    middle = area.width / 2, (area.height - 0.25) / 2
    if color and panel["options"]["colorMode"] == "background" and color != TEXT:
        area.box(0, 0, (area.width, area.height), color)
        area.write(0.1, area.height - 0.15, panel["title"], fontsize=9.5, color="white")
        color = "white"
    size = 24 if len(said) < 9 else 16
    area.write(*middle, said, ha="center", fontsize=size, color=color or TEXT, fontweight="bold")


def _table(url: str, panel: Json, moment: answers.Moment, area: Place) -> None:
    columns, rows = answers.table(url, panel, moment)
    looks = {it["matcher"]["options"]: _said(it) for it in panel["fieldConfig"]["overrides"]}
    fixed = {it: looks.get(it, {}).get("custom.width", 0) / _PIXELS for it in columns}
    rest = (area.width - 0.15 - sum(fixed.values())) / max(1, sum(not it for it in fixed.values()))
    left, top, step = 0.1, area.height - 0.42, 0.235
    most = int((top - 0.05) / step)
    for name in columns:
        width = fixed[name] or rest
        area.write(left, top, _cut(name, width), color="#6e9fff", fontweight="bold")
        for number, row in enumerate(rows[:most], 1):
            cell = left, top - number * step, width
            _cell(area, cell, row.get(name), looks.get(name, {}))
        left += width


def _cell(
    area: Place, at: tuple[float, float, float], value: answers.Cell | None, look: Json
) -> None:
    left, y, width = at
    if value is None:
        return
    if isinstance(value, str):
        area.write(left, y, _cut(value, width))
        return
    text, kind = shown(value, look), look.get("custom.cellOptions", {}).get("type", "")
    color = colored(value, look) if kind else TEXT
    if kind == "gauge":
        full = width - 0.62
        top = look.get("max") or max(value, 50.0)
        area.box(left, y - 0.07, (full, 0.14), GRID)
        area.box(left, y - 0.07, (full * min(1.0, value / top), 0.14), color)
        area.write(left + full + 0.06, y, text, color=color)
    elif kind == "color-background":
        area.box(left - 0.03, y - 0.1, (width - 0.06, 0.2), color)
        area.write(left + 0.03, y, text, color="white")
    else:
        area.write(left, y, text, color=color)


def _gauges(url: str, panel: Json, moment: answers.Moment, area: Place) -> None:
    look, target = panel["fieldConfig"]["defaults"], panel["targets"][0]
    found = answers.instant(url, target, moment)
    if not found:
        area.write(area.width / 2, area.height / 2, "No data", ha="center", color=MUTED)
        return
    top = look.get("max") or max(value for _, value in found) or 1
    step = min(0.36, (area.height - 0.4) / len(found))
    names = [_cut(answers.legend(target, labels), area.width * 0.45) for labels, _ in found]
    left = 0.15 + max(map(len, names)) * 0.068
    for number, (name, (_, value)) in enumerate(zip(names, found, strict=True)):
        y = area.height - 0.45 - number * step
        full = area.width - left - 0.55
        area.write(0.1, y, name)
        area.box(left, y - step * 0.33, (full, step * 0.66), GRID)
        share = full * min(1.0, value / top)
        area.box(left, y - step * 0.33, (share, step * 0.66), colored(value, look))
        area.write(left + full + 0.06, y, shown(value, look), color=colored(value, look))


def _bars(url: str, panel: Json, moment: answers.Moment, area: Place) -> None:
    columns, rows = answers.table(url, panel, moment)
    by, *parts = columns
    colors = {
        it["matcher"]["options"]: COLORS[_said(it)["color"]["fixedColor"]]
        for it in panel["fieldConfig"]["overrides"]
    }
    axes = _inner(area, left=1.05, bottom=0.5)
    starts = [0.0] * len(rows)
    for part in parts:
        values = [float(row.get(part, 0.0)) for row in rows]
        axes.barh(range(len(rows)), values, 0.75, starts, color=colors[part], label=part)
        starts = [a + b for a, b in zip(starts, values, strict=True)]
    axes.set_yticks(range(len(rows)), [_cut(str(row[by]), 1.0) for row in rows])
    axes.invert_yaxis()
    _legend(axes, parts, area.width)


def _series(url: str, panel: Json, moment: answers.Moment, area: Place) -> None:
    look = panel["fieldConfig"]["defaults"]
    axes, stacked = _inner(area, left=0.62, bottom=0.62), look["custom"]["fillOpacity"] > 0
    below: dict[float, float] = {}
    names: list[str] = []
    for target in panel["targets"]:
        for labels, points in answers.lines(url, target, moment):
            name = _cut(answers.legend(target, labels) or "value", 1.85 if len(labels) < 2 else 1.0)
            color = _PALETTE[len(names) % len(_PALETTE)]
            at = [it for it, _ in points]
            values = [value + below.get(it, 0.0) for it, value in points]
            if stacked:
                floor = [below.get(it, 0.0) for it, _ in points]
                axes.fill_between(at, floor, values, color=color, alpha=0.4, linewidth=0)
                below |= {it: value for (it, _), value in zip(points, values, strict=True)}
            axes.plot(at, values, color=color, linewidth=1.5, label=name)
            names.append(name)
    if look["custom"]["thresholdsStyle"]["mode"] != "off":
        for step in look["thresholds"]["steps"][1:]:
            axes.axhline(step["value"], color=COLORS[step["color"]], linestyle="--", linewidth=1)
    axes.set(xlim=(moment.end - moment.seconds, moment.end), ylim=(0, look.get("max")))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(_clock))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value, look)))
    axes.grid(color=GRID, linewidth=0.7)
    _legend(axes, names, area.width)


def _clock(value: float, _position: int | None) -> str:
    return datetime.fromtimestamp(value, UTC).strftime("%H:%M:%S")


def _inner(area: Place, *, left: float, bottom: float) -> Axes:
    wide, high = area.width, area.height
    axes = area.axes.inset_axes(
        (left / wide, bottom / high, (wide - left - 0.2) / wide, (high - bottom - 0.32) / high)
    )
    axes.set_facecolor(PANEL)
    axes.spines[:].set_visible(False)
    axes.tick_params(colors=MUTED, labelsize=7.5, length=0)
    return axes


def _legend(axes: Axes, names: Sequence[str], width: float) -> None:
    if names:
        each = 0.4 + 0.062 * max(map(len, names))
        axes.legend(
            loc="upper center",
            bbox_to_anchor=(0.47, -0.09),
            ncols=max(1, min(len(names), int(width / each))),
            columnspacing=1,
            frameon=False,
            fontsize=7,
            labelcolor=TEXT,
            handlelength=1,
        )


_KINDS: Mapping[str, Callable[[str, Json, answers.Moment, Place], None]] = {
    "stat": _stat,
    "table": _table,
    "bargauge": _gauges,
    "barchart": _bars,
    "timeseries": _series,
}


def _said(override: Json) -> Json:
    return {it["id"]: it["value"] for it in override["properties"]}


def _cut(said: str, inches: float) -> str:
    most = max(3, int(inches / 0.071))
    return said if len(said) <= most else f"{said[: most - 1]}…"


def colored(value: float, look: Json) -> str:
    """Return the colour of a value by its thresholds."""
    steps: Sequence[Json] = look.get("thresholds", {}).get("steps", [{"color": "text"}])
    reached = [it["color"] for it in steps if it.get("value") is None or value >= it["value"]]
    return COLORS[reached[-1]]


_SPANS = ((604_800, "weeks"), (86_400, "days"), (3600, "hours"), (60, "mins"), (1, "s"))


def shown(value: float, look: Json) -> str:
    """Return a value as its unit has it."""
    for mapping in look.get("mappings", ()):
        if (said := mapping["options"].get(f"{value:g}")) is not None:
            return str(said["text"])
    unit, decimals = look.get("unit", ""), look.get("decimals")
    if unit == "percentunit":
        return f"{100 * value:.{decimals or 0}f}%"
    if unit == "s":
        size, name = next((it for it in _SPANS if abs(value) >= it[0]), (0.001, "ms"))
        return f"{value / size:.{decimals if decimals is not None else 1}f} {name}"
    digits = 0 if value == int(value) else 1 if decimals is None else decimals
    return f"{value:,.{digits}f}" + (" req/s" if unit == "reqps" else "")
