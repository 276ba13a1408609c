"""dashboards/grafana against the catalog, the alerts, and what writes it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.core.owners import Use
from exporter.core.prefixes import BlockState
from scripts.grafana.answers import CHOICES, Moment, substituted
from scripts.grafana.nodes import TOLERATED
from scripts.grafana.subnets import BLOCKS, HOLDERS
from tests.promql import CATALOGUED, TARGET, labels, named, violations

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "dashboards" / "grafana"
RULES = ROOT / "charts" / "vpc-cni-exporter" / "files" / "rules.yaml"
BOARDS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.json")}
PANELS = [
    pytest.param(panel, id=f"{uid}, {panel['title']}")
    for uid, board in BOARDS.items()
    for panel in board["panels"]
    if panel["type"] != "row"
]
VARIABLES = [
    pytest.param(variable, id=f"{uid}, {variable['name']}")
    for uid, board in BOARDS.items()
    for variable in board["templating"]["list"]
    if variable["type"] == "query"
]
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
VALUES = re.compile(r"label_values\((?P<series>.+), (?P<label>\w+)\)")
ALERTS = {
    rule["alert"]
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
Panel = Mapping[str, Any]


def expressions(panel: Panel) -> Iterator[str]:
    for target in panel["targets"]:
        yield substituted(target["expr"], Moment(end=0.0))


@pytest.mark.parametrize("panel", PANELS)
def test_every_expression_parses_and_names_metrics_and_labels_that_there_are(panel: Panel) -> None:
    found = list(expressions(panel))
    assert found
    assert {it: violations(it, CATALOGUED) for it in found if violations(it, CATALOGUED)} == {}
    assert all(named(it) for it in found)


@pytest.mark.parametrize("panel", PANELS)
def test_nothing_that_is_shown_differs_between_replicas(panel: Panel) -> None:
    for expression in expressions(panel):
        assert labels(expression, CATALOGUED) & (TARGET - {"cluster"}) == set()
    for target in panel["targets"]:
        # Of no series before it is aggregated over replicas is anything asked.
        bare = re.findall(r"(\w+ by \([^)]*\)|\w+) ?\((?:\w+\()?vpc_cni_", target["expr"])
        assert set(bare) - {"count"} == {it for it in bare if it.startswith(("max by", "min by"))}


@pytest.mark.parametrize("panel", PANELS)
def test_every_series_is_of_the_clusters_that_were_chosen(panel: Panel) -> None:
    for target in panel["targets"]:
        series = re.findall(r"vpc_cni_\w+(\{[^}]*\})?", target["expr"])
        assert series
        assert all(it.startswith('{cluster=~"$cluster"') for it in series)


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_says_what_it_tells_in_which_unit_and_from_where_on_it_hurts(
    panel: Panel,
) -> None:
    assert len(panel["description"].split()) >= 5
    shown = panel["fieldConfig"]["defaults"]
    assert shown["unit"]
    assert shown["thresholds"]["steps"][0]["value"] is None
    assert {json.dumps(it["datasource"]) for it in (panel, *panel["targets"])} == {
        json.dumps(SOURCE)
    }


@pytest.mark.parametrize("panel", PANELS)
def test_a_runbook_that_is_named_is_that_of_an_alert(panel: Panel) -> None:
    assert set(re.findall(r"VpcCni\w+", panel["description"])) - ALERTS == set()


def test_every_alert_has_a_panel_that_shows_its_cause() -> None:
    said = " ".join(
        panel["description"]
        for board in BOARDS.values()
        for panel in board["panels"]
        if panel["type"] != "row"
    )
    assert set(re.findall(r"VpcCni\w+", said)) == ALERTS


@pytest.mark.parametrize("variable", VARIABLES)
def test_every_variable_is_asked_of_a_metric_and_all_matches_an_absent_label(
    variable: Panel,
) -> None:
    asked = VALUES.fullmatch(variable["query"]["query"])
    assert asked is not None
    series = substituted(asked["series"], Moment(end=0.0))
    assert violations(f"count by ({asked['label']}) ({series})", CATALOGUED) == ()
    assert (variable["includeAll"], variable["multi"], variable["allValue"]) == (True, True, ".*")
    assert variable["datasource"] == SOURCE


@pytest.mark.parametrize("uid", BOARDS)
def test_what_an_expression_needs_can_be_chosen_and_what_can_be_chosen_counts(uid: str) -> None:
    board = BOARDS[uid]
    has = {it["name"] for it in board["templating"]["list"]}
    asked = " ".join(it["expr"] for panel in board["panels"] for it in panel.get("targets", ()))
    used = set(re.findall(r"\$(\w+)", asked)) & set(CHOICES)
    assert used == has - {"datasource"}
    assert set(re.findall(r"\$(\w+)", asked)) <= {*CHOICES, "__rate_interval", "1"}


@pytest.mark.parametrize("uid", BOARDS)
def test_a_board_is_readable_at_a_glance(uid: str) -> None:
    board = BOARDS[uid]
    panels = [it for it in board["panels"] if it["type"] != "row"]
    assert len(panels) <= 14
    assert sum(it["type"] == "timeseries" for it in panels) <= 4
    first = [it for it in panels if it["gridPos"]["y"] == 1]
    assert {it["type"] for it in first} == {"stat"}
    assert 6 <= len(first) <= 8


@pytest.mark.parametrize("uid", BOARDS)
def test_the_panels_tile_the_board(uid: str) -> None:
    cells = [
        (x, y)
        for it in (panel["gridPos"] for panel in BOARDS[uid]["panels"])
        for x in range(it["x"], it["x"] + it["w"])
        for y in range(it["y"], it["y"] + it["h"])
    ]
    assert len(cells) == len(set(cells)) == 24 * (1 + max(y for _, y in cells))


def constants() -> dict[str, float]:
    """The thresholds of the alerts by name."""
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return {
        rule["record"].split(":")[1]: float(rule["expr"].removeprefix("vector(").rstrip(")"))
        for group in rules
        for rule in group["rules"]
        if rule.get("record", "").endswith(":threshold")
    }


@pytest.mark.parametrize(
    ("panel", "thresholds"),
    [
        ("vpc-cni-overview, Fullest subnet", ("subnet_low", "subnet_nearly_full")),
        ("vpc-cni-overview, First runs out in", ("subnet_exhaustion_seconds",)),
        ("vpc-cni-overview, Nodes read", ("coverage",)),
        ("vpc-cni-exporter, Nodes read", ("coverage",)),
        ("vpc-cni-nodes, Warm share", ("warm_pool",)),
        ("vpc-cni-nodes, Security groups for pods: branch ENIs used", ("pod_enis",)),
        ("vpc-cni-subnets, Unexplained share", ("accounting_residue",)),
        ("vpc-cni-overview, Used share of subnets", ("subnet_low", "subnet_nearly_full")),
    ],
)
def test_a_panel_changes_its_colour_where_an_alert_would_go_off(
    panel: str, thresholds: tuple[str, ...]
) -> None:
    uid, title = panel.split(", ")
    (shown,) = (it for it in BOARDS[uid]["panels"] if it["title"] == title)
    steps = shown["fieldConfig"]["defaults"]["thresholds"]["steps"]
    known = constants()
    assert {known[it] for it in thresholds} <= {it["value"] for it in steps}


def test_nodes_differ_by_as_much_as_the_alerts_tolerate() -> None:
    known = constants()
    assert (known["node_drift"], known["node_max_pods_excess"]) == (TOLERATED, TOLERATED)


def test_the_uids_stay_and_the_boards_lead_to_each_other() -> None:
    assert {uid: board["uid"] for uid, board in BOARDS.items()} == {
        it: it
        for it in ("vpc-cni-exporter", "vpc-cni-nodes", "vpc-cni-overview", "vpc-cni-subnets")
    }
    for board in BOARDS.values():
        (link,) = board["links"]
        assert (link["type"], link["tags"]) == ("dashboards", board["tags"])
        assert (link["includeVars"], link["keepTime"]) == (True, True)


def test_every_use_and_every_state_of_a_block_is_in_one_bar() -> None:
    assert sorted(use for _, uses in HOLDERS.values() for use in uses) == sorted(Use)
    assert sorted(it for _, states in BLOCKS.values() for it in states) == sorted(BlockState)


def test_the_files_are_as_make_docs_writes_them(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "scripts.grafana", tmp_path], cwd=ROOT, check=True)
    assert {it.name: it.read_text(encoding="utf-8") for it in tmp_path.iterdir()} == {
        it.name: it.read_text(encoding="utf-8") for it in FOLDER.iterdir()
    }
