"""The kinds of panels that the dashboards are made of, as Grafana's JSON has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
# Each value with the colour from there on; the first one is for all below.
Steps = tuple[tuple[float | None, str], ...]

GREEN, ORANGE, RED, GREY = "green", "orange", "red", "#808791"
PLAIN: Steps = ((None, "text"),)
BLUE: Steps = ((None, "blue"),)
# Where any at all is too many.
NONE_IS_GOOD: Steps = ((None, GREEN), (1, ORANGE))
UTILIZATION: Steps = ((None, GREEN), (0.85, ORANGE), (0.95, RED))
_DOZEN = 12
# Labels that rows are joined by, and that say little to a person.
_KEYS = ("subnet_id",)
DAY = 86_400
RUNS_OUT: Steps = ((None, RED), (DAY, ORANGE), (7 * DAY, GREEN))
DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Query:
    """One expression; `legend` names its series, with `{{label}}`."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """How values are shown: unit, colours from where on, texts in place of values."""

    unit: str = "locale"
    steps: Steps = PLAIN
    decimals: int | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    top: float | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: a query's value, or one of the labels."""

    name: str
    of: str
    look: Look | None = None
    cell: str = ""
    width: int | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: what it is called, what it tells, and the JSON of its kind."""

    title: str
    about: str
    width: int
    height: int
    made: Json


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one question."""

    title: str
    panels: Sequence[Panel]


def stat(title: str, about: str, expr: str, look: Look, *, none: str = "") -> Panel:
    """Return one large number, coloured by its thresholds; `none` is what stands for no data."""
    defaults = _defaults(look) | ({"noValue": none} if none else {})
    options: Json = {
        "colorMode": "background" if look.steps != PLAIN else "value",
        "graphMode": "none",
        "justifyMode": "center",
        "textMode": "value",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    made = _made("stat", [_target(Query(expr), 0, instant=True)], defaults, options)
    return Panel(title, about, 4, 4, made)


def series(
    title: str, about: str, queries: Sequence[Query], look: Look, *, stacked: bool = False
) -> Panel:
    """Return lines over time; a threshold of theirs is drawn as a line."""
    custom: Json = {
        "drawStyle": "line",
        "lineWidth": 1 if stacked else 2,
        "fillOpacity": 40 if stacked else 0,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"group": "A", "mode": "normal" if stacked else "none"},
        "thresholdsStyle": {"mode": "off" if look.steps == PLAIN else "dashed"},
        "axisSoftMin": 0,
    }
    defaults = {**_defaults(look), "color": {"mode": "palette-classic"}, "custom": custom}
    options: Json = {
        "legend": {
            "calcs": [],
            "displayMode": "list",
            "placement": "bottom",
            "showLegend": True,
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    targets = [_target(it, n) for n, it in enumerate(queries)]
    return Panel(title, about, 8, 7, _made("timeseries", targets, defaults, options))


def gauges(title: str, about: str, query: Query, look: Look) -> Panel:
    """Return one bar for each series, as long as its value."""
    options: Json = {
        "displayMode": "basic",
        "orientation": "horizontal",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showUnfilled": True,
        "valueMode": "text",
        "minVizHeight": 16,
        "minVizWidth": 8,
    }
    made = _made("bargauge", [_target(query, 0, instant=True)], _defaults(look), options)
    return Panel(title, about, 8, 7, made)


def bars(
    title: str, about: str, by: str, parts: Mapping[str, tuple[str, str]], worst: str
) -> Panel:
    """Return a stacked bar for each value of a label: an expression and a colour for each part.

    `worst` is the part that they are sorted by, upwards where a `-` stands before it; the first
    dozen are shown.
    """
    targets = [_target(Query(expr), n, table=True) for n, (expr, _) in enumerate(parts.values())]
    named = {f"Value #{it['refId']}": part for it, part in zip(targets, parts, strict=True)}
    organized: Json = {
        "excludeByName": {"Time": True},
        "indexByName": {by: 0} | {name: n for n, name in enumerate(named, 1)},
        "renameByName": named,
    }
    overrides = [
        _override(part, color={"mode": "fixed", "fixedColor": color})
        for part, (_, color) in parts.items()
    ]
    defaults = {**_defaults(Look()), "custom": {"fillOpacity": 85, "lineWidth": 0}}
    options: Json = {
        "barWidth": 0.8,
        "groupWidth": 0.7,
        "fullHighlight": False,
        "orientation": "horizontal",
        "showValue": "never",
        "stacking": "normal",
        "xField": by,
        "xTickLabelMaxLength": 24,
        "xTickLabelRotation": 0,
        "legend": {
            "calcs": [],
            "displayMode": "list",
            "placement": "bottom",
            "showLegend": True,
        },
        "tooltip": {"mode": "multi", "sort": "none"},
    }
    made = _made("barchart", targets, defaults, options, overrides)
    order = {"field": worst.removeprefix("-"), "desc": not worst.startswith("-")}
    made["transformations"] = [
        _merged(),
        {"id": "organize", "options": organized},
        {"id": "sortBy", "options": {"fields": {}, "sort": [order]}},
        {"id": "limit", "options": {"limitField": _DOZEN}},
    ]
    return Panel(title, about, 12, 9, made)


def table(
    title: str, about: str, exprs: Sequence[str], columns: Sequence[Column], worst: str
) -> Panel:
    """Return a row for each set of labels; a column is `#A` for a query's value, or a label.

    `worst` is the column that it is sorted by, upwards where a `-` stands before it.
    """
    targets = [_target(Query(expr), n, table=True) for n, expr in enumerate(exprs)]
    # A single frame's value needs no letter.
    value = "Value {}" if len(exprs) > 1 else "Value"
    named = {_field(it, value): it.name for it in columns}
    organized: Json = {
        "excludeByName": {it: True for it in ("Time", *_KEYS) if it not in named}
        | {f"Value #{it['refId']}": True for it in targets if f"Value #{it['refId']}" not in named},
        "indexByName": {name: n for n, name in enumerate(named)},
        "renameByName": {name: shown for name, shown in named.items() if name != shown},
    }
    if len(exprs) == 1 and "Value" not in named:
        organized["excludeByName"]["Value"] = True
    overrides = [_column(it) for it in columns if it.look or it.cell or it.width]
    custom: Json = {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False}
    options: Json = {
        "cellHeight": "sm",
        "frameIndex": 0,
        "showHeader": True,
        "sortBy": [{"displayName": worst.removeprefix("-"), "desc": not worst.startswith("-")}],
    }
    defaults = {**_defaults(Look()), "custom": custom}
    made = _made("table", targets, defaults, options, overrides)
    made["transformations"] = [_merged(), {"id": "organize", "options": organized}]
    return Panel(title, about, 12, 8, made)


def _field(column: Column, value: str) -> str:
    return value.format(column.of) if column.of.startswith("#") else column.of


def _column(column: Column) -> Json:
    said: Json = {}
    if column.look is not None:
        shown = _defaults(column.look)
        said |= {name: shown[name] for name in ("unit", "thresholds")}
        said |= {name: shown[name] for name in ("decimals", "mappings", "max") if shown.get(name)}
        said |= {"min": 0} if column.look.top else {}
    if column.cell == "gauge":
        said["custom.cellOptions"] = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
    elif column.cell:
        said["custom.cellOptions"] = {"type": column.cell}
    if column.width:
        said["custom.width"] = column.width
    return _override(column.name, **said)


def _override(name: str, **said: Any) -> Json:
    properties = [{"id": it, "value": value} for it, value in said.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": properties}


def _merged() -> Json:
    return {"id": "merge", "options": {}}


def _defaults(look: Look) -> Json:
    steps = [{"color": color, "value": value} for value, color in look.steps]
    said: Json = {
        "unit": look.unit,
        "color": {"mode": "thresholds"},
        "thresholds": {"mode": "absolute", "steps": steps},
        "mappings": [],
    }
    if look.texts:
        texts = {value: {"text": text} for value, text in look.texts.items()}
        said["mappings"] = [{"type": "value", "options": texts}]
    if look.decimals is not None:
        said["decimals"] = look.decimals
    if look.top is not None:
        said |= {"min": 0, "max": look.top}
    return said


def _target(query: Query, number: int, *, instant: bool = False, table: bool = False) -> Json:
    at_once = instant or table
    return {
        "refId": chr(ord("A") + number),
        "datasource": DATASOURCE,
        "expr": query.expr,
        "editorMode": "code",
        "instant": at_once,
        "range": not at_once,
        "format": "table" if table else "time_series",
        "legendFormat": query.legend or "__auto",
    }


def _made(
    kind: str,
    targets: list[Json],
    defaults: Json,
    options: Json,
    overrides: Sequence[Json] = (),
) -> Json:
    return {
        "type": kind,
        "datasource": DATASOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": list(overrides)},
        "options": options,
    }
