"""dashboards/cloudwatch against the catalog, CloudWatch's own model, and what writes it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from exporter.core.catalog import CLOUDWATCH_SUBNETS, ON_CLOUDWATCH, Measure
from exporter.outputs.cloudwatch import CLUSTER_DIMENSION, SUBNET_DIMENSION
from exporter.settings import FIELDS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "dashboards" / "cloudwatch"
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
TEMPLATE = json.loads((FOLDER / "alarms.json").read_text(encoding="utf-8"))
README = (FOLDER / "README.md").read_text(encoding="utf-8")

METRICS = {it.name: it for it in ON_CLOUDWATCH}
OF_SUBNETS = {it.name for it in CLOUDWATCH_SUBNETS}
NAMESPACE = FIELDS["cloudwatch_namespace"].default
CLUSTER = "CLUSTER-NAME"

# With one point a minute: what is right over a minute, and stays right over more of them.
RIGHT = {
    Measure.GAUGE: {"Average", "Minimum", "Maximum"},
    Measure.GAIN: {"Sum"},
    Measure.TIMINGS: {"Average", "Minimum", "Maximum", "SampleCount"},
}
# The statistics of metric search and Metrics Insights, by how they are written there.
SPELLED = {"MAX": "Maximum", "MIN": "Minimum", "AVG": "Average", "SUM": "Sum"}
SEARCH = re.compile(
    rf"SEARCH\('\{{(?P<namespace>\w+),{CLUSTER_DIMENSION},{SUBNET_DIMENSION}\}} "
    rf'{CLUSTER_DIMENSION}="{CLUSTER}" MetricName="(?P<metric>\w+)"\', '
    r"'(?P<stat>\w+)', (?P<period>\d+)\)"
)
QUERY = re.compile(
    r"SELECT (?P<stat>[A-Z]+)\((?P<metric>\w+)\) "
    rf'FROM SCHEMA\("\$\{{Namespace\}}", {CLUSTER_DIMENSION}, {SUBNET_DIMENSION}\) '
    rf"WHERE {CLUSTER_DIMENSION} = '\$\{{Cluster\}}'"
)
SHARE = "100 * part / whole"


def said(widget: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and statistic of everything that a widget draws or reckons with."""
    for *names, options in widget["properties"]["metrics"]:
        if names:
            namespace, metric, *dimensions = names
            assert (namespace, dimensions) == (NAMESPACE, [CLUSTER_DIMENSION, CLUSTER])
            assert metric not in OF_SUBNETS
            yield metric, options["stat"]
        elif options["expression"] != SHARE:
            found = SEARCH.fullmatch(options["expression"])
            assert found is not None
            assert found["namespace"] == NAMESPACE
            assert found["metric"] in OF_SUBNETS
            assert int(found["period"]) >= 180  # ENIs are listed every three minutes
            yield found["metric"], found["stat"]


WIDGETS = [
    pytest.param(it, id=f"{it['properties']['title']}, {it['properties']['view']}")
    for it in DASHBOARD["widgets"]
]


@pytest.mark.parametrize("widget", WIDGETS)
def test_every_widget_shows_metrics_by_statistics_that_are_right(
    widget: Mapping[str, Any],
) -> None:
    found = list(said(widget))
    assert found
    for metric, stat in found:
        assert stat in RIGHT[METRICS[metric].measure], metric
    assert widget["properties"]["period"] == 60


@pytest.mark.parametrize("widget", WIDGETS)
def test_every_widget_has_one_unit_and_says_which(widget: Mapping[str, Any]) -> None:
    drawn = {METRICS[metric].unit for metric, _ in said(widget)}
    assert len(drawn) == 1
    reckoned = any(it[-1].get("expression") == SHARE for it in widget["properties"]["metrics"])
    if widget["properties"]["view"] == "timeSeries":
        label = widget["properties"]["yAxis"]["left"]["label"]
        assert label == ("Percent" if reckoned else drawn.pop())


@pytest.mark.parametrize("widget", WIDGETS)
def test_a_share_is_of_two_hidden_metrics(widget: Mapping[str, Any]) -> None:
    entries = widget["properties"]["metrics"]
    ids = {it[-1]["id"]: it[-1].get("visible", True) for it in entries if "id" in it[-1]}
    assert ids in ({}, {"share": True, "part": False, "whole": False})
    assert ("share" in ids) is any(it[-1].get("expression") == SHARE for it in entries)


def test_every_metric_is_shown_but_those_that_say_the_same_again() -> None:
    shown = {metric for widget in DASHBOARD["widgets"] for metric, _ in said(widget)}
    assert set(METRICS) - shown == {"totalAssignedIPv4sPerCidr", "awsAPILatency"}


def test_the_widgets_tile_the_dashboard() -> None:
    cells = [
        (x, y)
        for it in DASHBOARD["widgets"]
        for x in range(it["x"], it["x"] + it["width"])
        for y in range(it["y"], it["y"] + it["height"])
    ]
    assert len(cells) == len(set(cells))
    assert {x for x, _ in cells} == set(range(24))
    assert len(cells) == 24 * (1 + max(y for _, y in cells))


def test_the_cluster_and_the_region_can_be_chosen() -> None:
    cluster, region = DASHBOARD["variables"]
    assert (cluster["type"], cluster["pattern"]) == ("pattern", CLUSTER)
    assert cluster["populateFrom"] == CLUSTER_DIMENSION
    searched = re.fullmatch(r'\{(\w+),(\w+)\} MetricName="(\w+)"', cluster["search"])
    assert searched is not None
    assert searched.groups()[:2] == (NAMESPACE, CLUSTER_DIMENSION)
    assert searched[3] in set(METRICS) - OF_SUBNETS
    assert (region["type"], region["property"]) == ("property", "region")
    assert {it["properties"]["region"] for it in DASHBOARD["widgets"]} == {region["defaultValue"]}


def resolved(value: Any, given: Mapping[str, str]) -> Any:
    """A part of the template as CloudFormation would have it under the given parameters."""
    if isinstance(value, list):
        return [resolved(it, given) for it in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Ref"}:
        return None if value["Ref"] == "AWS::NoValue" else given[value["Ref"]]
    if set(value) == {"Fn::Sub"}:
        return re.sub(r"\$\{(\w+)\}", lambda found: given[found[1]], value["Fn::Sub"])
    if set(value) == {"Fn::If"}:
        condition, yes, no = value["Fn::If"]
        return resolved(yes if holds(TEMPLATE["Conditions"][condition], given) else no, given)
    made = {name: resolved(it, given) for name, it in value.items()}
    return {name: it for name, it in made.items() if it is not None}


def holds(condition: Mapping[str, Any], given: Mapping[str, str]) -> bool:
    if "Fn::Not" in condition:
        return not holds(condition["Fn::Not"][0], given)
    left, right = (resolved(it, given) for it in condition["Fn::Equals"])
    return bool(left == right)


def alarms(**given: str) -> dict[str, dict[str, Any]]:
    """The alarms as a stack with these parameters makes them."""
    parameters = {name: it.get("Default", "") for name, it in TEMPLATE["Parameters"].items()}
    parameters |= given
    return {
        name: resolved(it["Properties"], parameters)
        for name, it in TEMPLATE["Resources"].items()
        if "Condition" not in it or holds(TEMPLATE["Conditions"][it["Condition"]], parameters)
    }


ALL = alarms(Cluster="prod", Topic="arn:aws:sns:eu-west-1:123456789012:pages", Subnets="prefixes")
NAMES = [pytest.param(name, id=name) for name in ALL]


def watched(alarm: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Name, statistic and unit of every metric of the cluster that an alarm watches."""
    single = [alarm] if "MetricName" in alarm else []
    for part in (*single, *alarm.get("Metrics", ())):
        of = part.get("MetricStat", part)
        metric = of.get("Metric", of)
        if "MetricName" in metric:
            assert metric["Namespace"] == NAMESPACE
            assert metric["Dimensions"] == [{"Name": CLUSTER_DIMENSION, "Value": "prod"}]
            assert of["Period"] == 60
            yield metric["MetricName"], of.get("Stat") or of["Statistic"], of["Unit"]


@pytest.mark.parametrize("name", NAMES)
def test_every_alarm_watches_metrics_by_unit_and_by_statistics_that_are_right(name: str) -> None:
    for metric, stat, unit in watched(ALL[name]):
        assert metric in set(METRICS) - OF_SUBNETS
        assert unit == METRICS[metric].unit
        assert stat in RIGHT[METRICS[metric].measure] | (
            {"SampleCount"} if name == "Silence" else set()
        )


@pytest.mark.parametrize("name", ["SubnetFull", "NoPrefixes"])
def test_the_alarms_on_subnets_query_metrics_of_subnets(name: str) -> None:
    (part,) = TEMPLATE["Resources"][name]["Properties"]["Metrics"]
    found = QUERY.fullmatch(part["Expression"]["Fn::Sub"])
    assert found is not None
    assert found["metric"] in OF_SUBNETS
    assert SPELLED[found["stat"]] in RIGHT[METRICS[found["metric"]].measure]
    assert part["Period"] >= 180  # ENIs are listed every three minutes


def test_no_alarm_watches_nothing() -> None:
    queries = {"SubnetFull", "NoPrefixes"}
    assert {name for name in ALL if not list(watched(ALL[name]))} == queries
    shares = [
        {it["Id"]: it.get("Expression") for it in alarm["Metrics"]}
        for name, alarm in ALL.items()
        if "Metrics" in alarm and name not in queries
    ]
    assert shares == [{"share": SHARE, "part": None, "whole": None}] * 2


@pytest.mark.parametrize("name", NAMES)
def test_cloudwatch_takes_every_alarm_as_a_request(name: str) -> None:
    shape = (
        botocore.session.get_session()
        .get_service_model("cloudwatch")
        .operation_model("PutMetricAlarm")
        .input_shape
    )
    alarm = ALL[name]
    assert ParamValidator().validate(alarm, shape).generate_report() == ""
    assert alarm["Threshold"] is not None
    assert alarm["ComparisonOperator"] in shape.members["ComparisonOperator"].enum
    assert 1 <= alarm["DatapointsToAlarm"] <= alarm["EvaluationPeriods"]
    missing = "breaching" if name == "Silence" else "notBreaching"
    assert alarm["TreatMissingData"] == missing


def test_alarms_of_two_clusters_have_names_of_their_own() -> None:
    names = [
        alarm["AlarmName"]
        for cluster in ("prod", "test")
        for alarm in alarms(Cluster=cluster, Subnets="prefixes").values()
    ]
    assert len(names) == len(set(names)) == 2 * len(TEMPLATE["Resources"])


def test_the_topic_is_told_where_there_is_one() -> None:
    topics = {(tuple(it["AlarmActions"]), tuple(it["OKActions"])) for it in ALL.values()}
    assert topics == {(("arn:aws:sns:eu-west-1:123456789012:pages",),) * 2}
    silent = alarms(Cluster="prod").values()
    assert not any("AlarmActions" in it or "OKActions" in it for it in silent)


@pytest.mark.parametrize(
    ("subnets", "left_out"),
    [
        ("none", {"SubnetFull", "NoPrefixes"}),
        ("addresses", {"NoPrefixes"}),
        ("prefixes", set()),
    ],
)
def test_subnets_are_watched_as_asked_for(subnets: str, left_out: set[str]) -> None:
    assert set(ALL) - set(alarms(Cluster="prod", Subnets=subnets)) == left_out
    assert subnets in TEMPLATE["Parameters"]["Subnets"]["AllowedValues"]


def test_the_namespace_is_that_of_the_settings_by_default() -> None:
    assert TEMPLATE["Parameters"]["Namespace"]["Default"] == NAMESPACE
    other = alarms(Cluster="prod", Namespace="Own", Subnets="addresses")
    assert other["Silence"]["Namespace"] == "Own"
    assert '"Own"' in other["SubnetFull"]["Metrics"][0]["Expression"]


def test_cloudformation_finds_nothing_wrong_with_the_template() -> None:
    linter = Path(sysconfig.get_path("scripts")) / "cfn-lint"
    done = subprocess.run(
        [linter, FOLDER / "alarms.json"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_readme_tells_every_alarm_and_no_setting_that_is_none() -> None:
    table = [line.split(" | ")[0][2:] for line in README.splitlines() if line.startswith("| ")]
    titles = [it["AlarmName"].removeprefix("prod: ") for it in ALL.values()]
    assert table[2:] == titles
    variables = set(re.findall(r"EXPORTER_[A-Z_]+", README))
    assert variables <= {f"EXPORTER_{name.upper()}" for name in FIELDS}


@pytest.mark.parametrize(
    ("script", "names"),
    [
        ("cloudwatch_dashboard.py", ["dashboard.json"]),
        ("cloudwatch_alarms.py", ["README.md", "alarms.json"]),
    ],
)
def test_the_files_are_as_make_docs_writes_them(
    script: str, names: list[str], tmp_path: Path
) -> None:
    if "README.md" in names:
        stale = re.sub(r"(?m)^\| pods get no IP address .*\n", "", README)
        assert stale != README
        (tmp_path / "README.md").write_text(stale, encoding="utf-8")
    subprocess.run(
        [sys.executable, ROOT / "scripts" / script, tmp_path],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert sorted(it.name for it in tmp_path.iterdir()) == names
    for name in names:
        written = (tmp_path / name).read_text(encoding="utf-8")
        assert written == (FOLDER / name).read_text(encoding="utf-8")
