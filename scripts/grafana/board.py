"""A dashboard around its rows: variables, links, places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exporter.core.catalog import PREFIX
from scripts.grafana.panels import DATASOURCE, Json, Row

TAG = "vpc-cni"
_COLUMNS = 24


@dataclass(frozen=True, slots=True)
class Variable:
    """Something to choose: a label's values in a series."""

    name: str
    label: str
    series: str
    of: str


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard; `uid` is its file's name too, and stays."""

    uid: str
    title: str
    about: str
    rows: Sequence[Row]
    variables: Sequence[Variable] = ()


_WITHIN = '{cluster=~"$cluster"}'
CLUSTER = Variable("cluster", "Cluster", f"{PREFIX}_cluster_nodes", "cluster")
ZONE = Variable("zone", "Zone", f"{PREFIX}_zone_nodes{_WITHIN}", "zone")
SUBNET_ZONE = Variable("zone", "Zone", f"{PREFIX}_subnet_info{_WITHIN}", "zone")
NODEGROUP = Variable("nodegroup", "Node group", f"{PREFIX}_nodegroup_nodes{_WITHIN}", "nodegroup")


def dashboard(board: Board) -> Json:
    """Return a dashboard as Grafana imports it."""
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.about,
        "tags": [TAG],
        "editable": True,
        "graphTooltip": 1,
        "schemaVersion": 39,
        "version": 1,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "fiscalYearStartMonth": 0,
        "weekStart": "",
        "links": [_link()],
        "annotations": {"list": []},
        "templating": {"list": [_datasource(), *map(_variable, (CLUSTER, *board.variables))]},
        "panels": list(_panels(board.rows)),
    }


def _panels(rows: Sequence[Row]) -> Iterator[Json]:
    """Yield the panels row by row, each row under its heading, as places from left to right."""
    number = y = 0
    for row in rows:
        number += 1
        heading: Json = {"id": number, "type": "row", "title": row.title, "collapsed": False}
        yield heading | {"panels": [], "gridPos": _place(0, y, _COLUMNS, 1)}
        y += 1
        x = tallest = 0
        for panel in row.panels:
            if x + panel.width > _COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            number += 1
            said: Json = {"id": number, "title": panel.title, "description": panel.about}
            place = _place(x, y, panel.width, panel.height)
            yield said | panel.made | {"gridPos": place}
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest


def _place(x: int, y: int, width: int, height: int) -> Json:
    return {"x": x, "y": y, "w": width, "h": height}


def _datasource() -> Json:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "refresh": 1,
        "regex": "",
        "skipUrlSync": False,
    }


def _variable(variable: Variable) -> Json:
    """`All` is `.*`, which a series without the label matches too, such as without `cluster`."""
    query = f"label_values({variable.series}, {variable.of})"
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": "values"},
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "includeAll": True,
        "multi": True,
        "options": [],
        "refresh": 2,
        "regex": "",
        "skipUrlSync": False,
        "sort": 1,
    }


def _link() -> Json:
    """The other boards, with what was chosen and when."""
    return {
        "type": "dashboards",
        "title": "VPC CNI",
        "tooltip": "",
        "icon": "external link",
        "tags": [TAG],
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "url": "",
    }
