"""Writes dashboards/cloudwatch/dashboard.json, a body for PutDashboard, from the table below.

python scripts/cloudwatch_dashboard.py [FOLDER]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.core.catalog import ON_CLOUDWATCH
from exporter.outputs.cloudwatch import CLUSTER_DIMENSION, SUBNET_DIMENSION
from exporter.settings import Settings

FOLDER = Path(__file__).parents[1] / "dashboards" / "cloudwatch"
NAMESPACE = str(Settings.model_fields["cloudwatch_namespace"].default)
# What the dashboard's variables put the chosen values in the place of.
CLUSTER = "CLUSTER-NAME"
REGION = "us-east-1"

_MINUTE = 60
# Free prefixes are known as often as ENIs are listed: every three minutes. So five have a point.
_SUBNETS_SECONDS = 300
_ROW_HEIGHT = 6
_COLUMNS = 24
_UNITS = {it.name: it.unit for it in ON_CLOUDWATCH}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One metric of a graph, by one statistic, under a label."""

    metric: str
    stat: str
    label: str


@dataclass(frozen=True, slots=True)
class Ratio:
    """The share of one metric in another, in percent; absent where the other is 0."""

    part: Line
    whole: Line
    label: str


@dataclass(frozen=True, slots=True)
class Subnets:
    """One metric of every subnet of the cluster."""

    metric: str
    stat: str


@dataclass(frozen=True, slots=True)
class Graph:
    """One widget: a title and what is drawn; `view` and `width` as CloudWatch has them."""

    title: str
    lines: tuple[Line | Ratio | Subnets, ...]
    width: int = 8
    view: str = "timeSeries"


def _gain(metric: str, label: str) -> Line:
    return Line(metric, "Sum", label)


def _last(metric: str, label: str) -> Line:
    return Line(metric, "Average", label)


_ASSIGNED = _last("assignIPAddresses", "assigned")
_CAPACITY = _last("maxIPAddresses", "capacity")
_ASKED = _gain("ec2ApiReqCount", "calls")
_FAILED = _gain("ec2ApiErrCount", "failed calls")

ROWS: tuple[tuple[Graph, ...], ...] = (
    (
        Graph(
            "Addresses now",
            (_ASSIGNED, _last("warmIPAddresses", "warm"), _CAPACITY),
            view="singleValue",
        ),
        Graph(
            "Nodes these figures stand for",
            (_last("nodesRead", "read"), _last("nodesExpected", "expected")),
            view="singleValue",
        ),
        Graph(
            "Requests that found no address",
            (_gain("noAvailableIPs", "without an address"),),
            view="singleValue",
        ),
    ),
    (
        Graph(
            "Pod IP addresses",
            (_ASSIGNED, _last("totalIPAddresses", "attached"), _CAPACITY),
        ),
        Graph("Share of the capacity", (Ratio(_ASSIGNED, _CAPACITY, "assigned"),)),
        Graph("Share of the nodes that were read", (_last("coveragePercent", "read"),)),
    ),
    (
        Graph("Requests that found no address", (_gain("noAvailableIPs", "without an address"),)),
        Graph(
            "Requests of the CNI plugin",
            (_gain("addReqCount", "set up a pod"), _gain("delReqCount", "take down a pod")),
        ),
        Graph(
            "ENIs and prefixes",
            (
                _last("eniAllocated", "ENIs"),
                _last("eniMaxAvailable", "ENIs at most"),
                _last("totalIPv4Prefixes", "/28 prefixes"),
            ),
        ),
    ),
    (
        Graph(
            "Calls of AWS by ipamd",
            (_ASKED, _FAILED, _gain("awsAPIErr", "failed calls, instance metadata included")),
        ),
        Graph(
            "Time of a call of AWS",
            (
                Line("awsAPILatencyMilliseconds", "Average", "mean"),
                Line("awsAPILatencyMilliseconds", "Maximum", "slowest node and API"),
            ),
        ),
        Graph("Share of the calls that failed", (Ratio(_FAILED, _ASKED, "failed"),)),
    ),
    (
        Graph(
            "Troubles of ipamd",
            (
                _gain("ipamdErr", "errors"),
                _gain("podENIErr", "security groups for pods"),
                _gain("awsUtilErr", "cleaning up"),
            ),
        ),
        Graph(
            "Repairs",
            (
                _gain("reconcileCount", "differences to EC2"),
                _gain("forceRemoveENI", "ENIs that vanished in use"),
                _gain("forceRemoveIPs", "addresses that vanished in use"),
            ),
        ),
        Graph("Actions of ipamd", (_last("ipamdActionInProgress", "in progress"),)),
    ),
    (
        Graph("Free addresses by subnet", (Subnets("subnetFreeIPs", "Average"),)),
        Graph("Utilization by subnet", (Subnets("subnetUtilizationPercent", "Average"),)),
        Graph("Free /28 blocks by subnet", (Subnets("subnetFreePrefixes", "Average"),)),
    ),
)
# With why.
NOT_SHOWN = {
    "totalAssignedIPv4sPerCidr": "equals assignIPAddresses",
    "awsAPILatency": "awsAPILatencyMilliseconds in a unit that it does not have",
}


def unit(line: Line | Ratio | Subnets) -> str:
    """Return the unit of what is drawn."""
    return "Percent" if isinstance(line, Ratio) else _UNITS[line.metric]


def dashboard() -> Json:
    """Return the body of the dashboard."""
    widgets = [
        _widget(graph, column * graph.width, row * _ROW_HEIGHT)
        for row, graphs in enumerate(ROWS)
        for column, graph in enumerate(graphs)
    ]
    variables = [
        {
            "type": "pattern",
            "pattern": CLUSTER,
            "inputType": "select",
            "id": "cluster",
            "label": "Cluster",
            "visible": True,
            "search": f'{{{NAMESPACE},{CLUSTER_DIMENSION}}} MetricName="nodesExpected"',
            "populateFrom": CLUSTER_DIMENSION,
            "defaultValue": "__FIRST",
        },
        {
            "type": "property",
            "property": "region",
            "inputType": "input",
            "id": "region",
            "label": "Region",
            "visible": True,
            "defaultValue": REGION,
        },
    ]
    # Sums and averages stay right whatever the period, so that it may follow the time range.
    head: Json = {"start": "-PT6H", "periodOverride": "auto", "variables": variables}
    return {**head, "widgets": widgets}


def _widget(graph: Graph, x: int, y: int) -> Json:
    (of,) = {unit(line) for line in graph.lines}
    properties: Json = {
        "title": graph.title,
        "view": graph.view,
        "region": REGION,
        "period": _MINUTE,
        "metrics": [entry for line in graph.lines for entry in _entries(line)],
    }
    if graph.view == "timeSeries":
        axis: Json = {"min": 0, "label": of, "showUnits": False}
        properties["yAxis"] = {"left": axis | ({"max": 100} if of == "Percent" else {})}
    place: Json = {"x": x, "y": y, "width": graph.width, "height": _ROW_HEIGHT}
    return {"type": "metric", **place, "properties": properties}


def _entries(line: Line | Ratio | Subnets) -> Iterator[list[Any]]:
    if isinstance(line, Line):
        yield _entry(line, {"label": line.label})
    elif isinstance(line, Ratio):
        yield [{"expression": "100 * part / whole", "label": line.label, "id": "share"}]
        yield _entry(line.part, {"id": "part", "visible": False})
        yield _entry(line.whole, {"id": "whole", "visible": False})
    else:
        found = (
            f"{{{NAMESPACE},{CLUSTER_DIMENSION},{SUBNET_DIMENSION}}} "
            f'{CLUSTER_DIMENSION}="{CLUSTER}" MetricName="{line.metric}"'
        )
        search = f"SEARCH('{found}', '{line.stat}', {_SUBNETS_SECONDS})"
        yield [{"expression": search, "label": f"${{PROP('Dim.{SUBNET_DIMENSION}')}}"}]


def _entry(line: Line, more: Mapping[str, Any]) -> list[Any]:
    return [NAMESPACE, line.metric, CLUSTER_DIMENSION, CLUSTER, {"stat": line.stat, **more}]


def text() -> str:
    """Return dashboard.json."""
    return json.dumps(dashboard(), indent=2) + "\n"


def main(folder: Path = FOLDER) -> None:
    """Write the file."""
    (folder / "dashboard.json").write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
