"""Writes dashboards/cloudwatch/alarms.json, a CloudFormation template, from the table below.

    python scripts/cloudwatch_alarms.py [FOLDER]

And README.md there: the table of alarms, between the marks.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.core.catalog import ON_CLOUDWATCH
from exporter.outputs.cloudwatch import CLUSTER_DIMENSION, SUBNET_DIMENSION
from exporter.settings import Settings

FOLDER = Path(__file__).parents[1] / "dashboards" / "cloudwatch"
NAMESPACE = str(Settings.model_fields["cloudwatch_namespace"].default)
MARKS = ("<!-- Written by `make docs`. -->\n\n", "\n<!-- End. -->\n")

_MINUTE = 60
# Free prefixes are known as often as ENIs are listed: every three minutes. So five have a point.
_SUBNETS_SECONDS = 300
_UNITS = {it.name: it.unit for it in ON_CLOUDWATCH}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stat:
    """One metric of the cluster by one statistic."""

    metric: str
    stat: str

    def __str__(self) -> str:
        return f"{self.stat} of `{self.metric}`"


@dataclass(frozen=True, slots=True)
class Share:
    """One metric in percent of another; absent where the other is 0."""

    part: Stat
    whole: Stat

    def __str__(self) -> str:
        return f"`{self.part.metric}` in percent of `{self.whole.metric}`"


@dataclass(frozen=True, slots=True)
class Extreme:
    """The MIN or MAX of a metric over all subnets of the cluster."""

    function: str
    metric: str

    def __str__(self) -> str:
        return f"{self.function} of `{self.metric}` over the subnets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One alarm: `points` of `of` periods have to be beyond the threshold.

    `why` says why the threshold is what it is. Without data an alarm holds its peace, unless that
    is what it is about (`silence`).
    """

    name: str
    title: str
    what: Stat | Share | Extreme
    above: float | None = None
    below: float | None = None
    points: int
    of: int
    why: str
    silence: bool = False
    condition: str = ""

    @property
    def period(self) -> int:
        """The seconds that one of its points stands for."""
        return _SUBNETS_SECONDS if isinstance(self.what, Extreme) else _MINUTE

    @property
    def threshold(self) -> str:
        """What it takes, in words."""
        beyond = f"> {self.above:g}" if self.above is not None else f"< {self.below:g}"
        minutes = self.period // _MINUTE
        return f"{beyond} in {self.points * minutes} of {self.of * minutes} minutes"


ALARMS = (
    Alarm(
        name="NoAddresses",
        title="pods get no IP address",
        what=Stat("noAvailableIPs", "Sum"),
        above=0,
        points=3,
        of=5,
        why="One such request is retried and often served a second later, when the pool has grown. "
        "Three minutes of them are pods that do not start.",
    ),
    Alarm(
        name="Silence",
        title="vpc-cni-exporter publishes nothing",
        what=Stat("nodesExpected", "SampleCount"),
        below=1,
        points=10,
        of=10,
        silence=True,
        why="There is a point every minute, within 15 seconds of its end. Ten minutes are longer "
        "than a replaced pod takes. All other alarms are blind meanwhile.",
    ),
    Alarm(
        name="Coverage",
        title="nodes are not read",
        what=Stat("coveragePercent", "Minimum"),
        below=90,
        points=15,
        of=15,
        why="Sums stand for the nodes that were read. New nodes are unread for a minute or two; "
        "where a tenth stays so for a quarter of an hour, something is in the way.",
    ),
    Alarm(
        name="Capacity",
        title="nodes are almost full",
        what=Share(Stat("assignIPAddresses", "Average"), Stat("maxIPAddresses", "Average")),
        above=90,
        points=15,
        of=15,
        why="More pods need more nodes. An autoscaler adds them within minutes; this is for when "
        "it does not. Raise it where nodes are packed on purpose.",
    ),
    Alarm(
        name="AwsErrors",
        title="AWS refuses what ipamd asks for",
        what=Share(Stat("ec2ApiErrCount", "Sum"), Stat("ec2ApiReqCount", "Sum")),
        above=20,
        points=10,
        of=15,
        why="Single calls fail always: ipamd tries again. A fifth of them over ten minutes is a "
        "full subnet, a limit, throttling or a missing permission.",
    ),
    Alarm(
        name="IpamdErrors",
        title="ipamd keeps failing",
        what=Stat("ipamdErr", "Sum"),
        above=0,
        points=10,
        of=15,
        why="An error now and then is repaired by the next reconciliation, a minute later. Errors "
        "in two minutes of three are not.",
    ),
    Alarm(
        name="PulledAddresses",
        title="addresses vanished while pods used them",
        what=Stat("forceRemoveIPs", "Sum"),
        above=0,
        points=1,
        of=1,
        why="Someone detached an ENI or took an address behind ipamd's back. Each is a pod without "
        "a network, so the first one counts.",
    ),
    Alarm(
        name="PodEnis",
        title="security groups for pods fail",
        what=Stat("podENIErr", "Sum"),
        above=0,
        points=3,
        of=15,
        why="Three minutes in fifteen are more than one node that starts badly. Stays silent where "
        "the feature is not used.",
    ),
    Alarm(
        name="SubnetFull",
        title="a subnet is almost full",
        what=Extreme("MAX", "subnetUtilizationPercent"),
        above=90,
        points=3,
        of=3,
        condition="WatchSubnets",
        why="A new node takes dozens of addresses at once. In a /24 a tenth is 25, in a /20 it is "
        "409: raise it for large subnets.",
    ),
    Alarm(
        name="NoPrefixes",
        title="a subnet has no free /28 block",
        what=Extreme("MIN", "subnetFreePrefixes"),
        below=1,
        points=3,
        of=3,
        condition="WatchPrefixes",
        why="With prefix delegation a node needs whole blocks; without any it gets nothing, "
        "however many addresses are free.",
    ),
)


def template() -> Json:
    """Return the CloudFormation template."""
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Alarms on what vpc-cni-exporter publishes to CloudWatch.",
        "Parameters": {
            "Cluster": {
                "Type": "String",
                "MinLength": 1,
                "Description": f"The value of the dimension {CLUSTER_DIMENSION}.",
            },
            "Namespace": {
                "Type": "String",
                "Default": NAMESPACE,
                "Description": "The exporter's setting cloudwatch_namespace.",
            },
            "Topic": {
                "Type": "String",
                "Default": "",
                "Description": "ARN of the SNS topic that is told. Empty: nobody is.",
            },
            "Subnets": {
                "Type": "String",
                "Default": "none",
                "AllowedValues": ["none", "addresses", "prefixes"],
                "Description": "What is watched of the subnets, with cloudwatch_subnets: free "
                "addresses, or with prefix delegation free /28 blocks too.",
            },
        },
        "Conditions": {
            "Tell": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Topic"}, ""]}]},
            "WatchSubnets": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Subnets"}, "none"]}]},
            "WatchPrefixes": {"Fn::Equals": [{"Ref": "Subnets"}, "prefixes"]},
        },
        "Resources": {alarm.name: _resource(alarm) for alarm in ALARMS},
    }


def _resource(alarm: Alarm) -> Json:
    topic = {"Fn::If": ["Tell", [{"Ref": "Topic"}], {"Ref": "AWS::NoValue"}]}
    properties: Json = {
        "AlarmName": {"Fn::Sub": f"${{Cluster}}: {alarm.title}"},
        "AlarmDescription": alarm.why,
        "AlarmActions": topic,
        "OKActions": topic,
        **_watched(alarm),
        "EvaluationPeriods": alarm.of,
        "DatapointsToAlarm": alarm.points,
        "TreatMissingData": "breaching" if alarm.silence else "notBreaching",
    }
    if alarm.above is not None:
        properties |= {
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": alarm.above,
        }
    else:
        properties |= {"ComparisonOperator": "LessThanThreshold", "Threshold": alarm.below}
    made: Json = {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}
    return {"Condition": alarm.condition, **made} if alarm.condition else made


def _watched(alarm: Alarm) -> Json:
    what = alarm.what
    if isinstance(what, Stat):
        return {
            **_metric(what),
            "Statistic": what.stat,
            "Unit": _UNITS[what.metric],
            "Period": alarm.period,
        }
    if isinstance(what, Share):
        share = {"Id": "share", "Expression": "100 * part / whole", "Label": alarm.title}
        parts = (("part", what.part), ("whole", what.whole))
        return {"Metrics": [share, *(_input(name, it, alarm.period) for name, it in parts)]}
    schema = f'SCHEMA("${{Namespace}}", {CLUSTER_DIMENSION}, {SUBNET_DIMENSION})'
    where = f"{CLUSTER_DIMENSION} = '${{Cluster}}'"
    query = f"{what.function}({what.metric}) FROM {schema} WHERE {where}"
    expression = {"Fn::Sub": f"SELECT {query}"}
    return {"Metrics": [{"Id": "worst", "Expression": expression, "Period": alarm.period}]}


def _metric(stat: Stat) -> Json:
    return {
        "Namespace": {"Ref": "Namespace"},
        "MetricName": stat.metric,
        "Dimensions": [{"Name": CLUSTER_DIMENSION, "Value": {"Ref": "Cluster"}}],
    }


def _input(name: str, stat: Stat, period: int) -> Json:
    how = {"Stat": stat.stat, "Unit": _UNITS[stat.metric], "Period": period}
    return {"Id": name, "MetricStat": {"Metric": _metric(stat), **how}, "ReturnData": False}


def table() -> str:
    """Return the table of alarms."""
    head = "| alarm | watches | goes off | because |\n| --- | --- | --- | --- |\n"
    rows = (f"| {it.title} | {it.what} | {it.threshold} | {it.why} |\n" for it in ALARMS)
    return head + "".join(rows)


def text() -> str:
    """Return alarms.json."""
    return json.dumps(template(), indent=2) + "\n"


def between(page: str) -> str:
    """Return a page with the table between its marks."""
    before, _, rest = page.partition(MARKS[0])
    return before + MARKS[0] + table() + MARKS[1] + rest.partition(MARKS[1])[2]


def main(folder: Path = FOLDER) -> None:
    """Write the files."""
    (folder / "alarms.json").write_text(text(), encoding="utf-8")
    page = folder / "README.md"
    page.write_text(between(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
