from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.app import selection
from exporter.aws import Account, AwsConfig
from exporter.checking import ASSUMED_SUBNETS, Bill, bill, left_out, remarks, report
from exporter.core.catalog import (
    CLOUDWATCH_SUBNETS,
    EXPORTER_METRICS,
    LEGACY_TABLE,
    METRICS,
    ON_CLOUDWATCH,
    OnCloudWatch,
)
from exporter.core.points import Point
from exporter.outputs.cloudwatch import CloudWatch, CloudWatchConfig
from exporter.settings import FIELDS, Loaded, Settings, load

NAMES = sorted(it.name for it in METRICS)


def settings(**flags: str) -> Settings:
    return load(flags, {}).settings


def sections(loaded: Loaded, subnets: int | None = None) -> dict[str, list[str]]:
    """The lines of a report by the title above them, without their indent."""
    parts = [part.splitlines() for part in report(loaded, subnets).split("\n\n")]
    for _, *lines in parts:
        assert all(line.startswith("  ") for line in lines)
    return {title: [line[2:] for line in lines] for title, *lines in parts}


def settings_told(environ: Mapping[str, str], **flags: str) -> dict[str, list[str]]:
    """Value and origin of every setting."""
    lines = sections(load(flags, environ))["Settings"]
    return {name: rest for name, *rest in (line.split(maxsplit=2) for line in lines)}


class TestTheSettings:
    def test_are_all_told_in_the_order_of_their_declaration(self) -> None:
        assert list(settings_told({})) == list(FIELDS)

    def test_are_told_with_where_they_came_from(self, tmp_path: Path) -> None:
        file = tmp_path / "exporter.yaml"
        file.write_text("interval: 12.5\nmetrics_deny: [vpc_cni_zone_*, vpc_cni_node_enis]\n")
        environ = {
            "EXPORTER_CONFIG": str(file),
            "EXPORTER_SCRAPE_TIMEOUT": "3",
            "AWS_CLUSTER_ID": "theirs",
            "AWS_REGION": "eu-west-1",
        }
        told = settings_told(environ, legacy_metrics="yes")
        changed = {name: it for name, it in told.items() if it[1] != "default"}
        assert changed == {
            "interval": ["12.5", f"{file}: interval"],
            "metrics_deny": ["vpc_cni_zone_*,vpc_cni_node_enis", f"{file}: metrics_deny"],
            "scrape_timeout": ["3", "EXPORTER_SCRAPE_TIMEOUT"],
            "cluster_name": ["theirs", "AWS_CLUSTER_ID"],
            "region": ["eu-west-1", "AWS_REGION"],
            "legacy_metrics": ["true", "--legacy-metrics"],
            "cloudwatch": ["true", "cni-metrics-helper's variables"],
        }

    def test_that_are_empty_are_a_dash(self) -> None:
        told = settings_told({})
        assert (told["cluster_name"], told["metrics_allow"]) == (["-", "default"],) * 2


class TestTheWarnings:
    def test_are_those_of_run_and_what_can_hardly_be_meant(self) -> None:
        loaded = load({"metrics_deny": "vpc_cny_*"}, {"EXPORTER_INTERVALL": "5"})
        assert sections(loaded)["Warnings"] == [
            "EXPORTER_INTERVALL is no setting and is ignored",
            "metrics_deny: vpc_cny_* matches no metric",
        ]

    def test_are_none_by_default(self) -> None:
        assert sections(load({}, {}))["Warnings"] == ["none"]

    def test_name_a_cluster_that_cannot_be_a_dimension(self) -> None:
        wanted = (
            "CloudWatch will wait for ever: "
            "the cluster's name is no ASCII text of up to 1,024 characters"
        )
        assert remarks(settings(cloudwatch="yes", cluster_name="größer")) == (wanted,)
        assert remarks(settings(cloudwatch="no", cluster_name="größer")) == ()
        assert remarks(settings(cloudwatch="yes", cluster_name="prod")) == ()
        assert remarks(settings(cloudwatch="yes")) == ()

    def test_tell_patterns_by_the_setting_they_stand_in(self) -> None:
        found = remarks(settings(metrics_allow="vpc_cni_node_*,a*z", metrics_deny="awscni_*,x"))
        assert found == (
            "metrics_allow: a*z matches no metric",
            "metrics_deny: x matches no metric",
        )


PATTERNS = st.lists(
    st.one_of(st.sampled_from(NAMES), st.sampled_from(["*", "vpc_cni_node_*", "vpc_cni_?one_*"])),
    max_size=3,
).map(",".join)


class TestPrometheus:
    @given(
        allow=PATTERNS,
        deny=PATTERNS,
        nodes=st.sampled_from(["all", "problems", "none"]),
        legacy=st.booleans(),
        sources=st.sets(st.sampled_from(["ec2", "eks"])),
    )
    def test_is_told_to_get_what_is_drawn(
        self, allow: str, deny: str, nodes: str, legacy: bool, sources: set[str]
    ) -> None:
        chosen = settings(
            metrics_allow=allow,
            metrics_deny=deny,
            node_metrics=nodes,
            legacy_metrics=str(legacy),
            sources=",".join(("ipamd", *sources)),
        )
        drawn = {it.name for it in EXPORTER_METRICS}
        drawn |= {it.name for table in selection(chosen).tables() for it in table.metrics}
        if "ec2" in sources:
            subnets = selection(chosen).subnet_tables()
            drawn |= {name for table in subnets for name, _, _ in table.described()}
        if "eks" in sources:
            eks = selection(chosen).eks_tables()
            drawn |= {it.name for table in eks for it in table.metrics}
        else:
            # Of the subnets that EKS was given.
            drawn -= {"vpc_cni_cluster_upgrade_addresses_ready"}
        assert set(NAMES) - set(left_out(chosen)) == drawn

    def test_does_without_a_metric_for_the_reason_that_the_settings_give(self) -> None:
        chosen = settings(
            metrics_allow="vpc_cni_cluster_*,vpc_cni_node_*,vpc_cni_subnet_*",
            metrics_deny="x,vpc_cni_*_enis",
            node_metrics="none",
            sources="ipamd",
        )
        found = left_out(chosen)
        assert {name: found.get(name) for name in NAMES if name.endswith(("_enis", "_size"))} == {
            "vpc_cni_cluster_enis": "metrics_deny has vpc_cni_*_enis",
            "vpc_cni_leaked_enis": "sources have no ec2",
            "vpc_cni_node_enis": "node_metrics is none",
            "vpc_cni_node_pod_enis": "node_metrics is none",
            "vpc_cni_nodegroup_enis": "metrics_deny has vpc_cni_*_enis",
            "vpc_cni_subnet_enis": "sources have no ec2",
            "vpc_cni_subnet_size": "sources have no ec2",
            "vpc_cni_zone_enis": "metrics_deny has vpc_cni_*_enis",
        }
        assert found["vpc_cni_addon_info"] == "sources have no eks"
        assert found["vpc_cni_zone_nodes"] == "metrics_allow does not have it"
        assert found["awscni_eni_max"] == "legacy_metrics is off"

    def test_has_families_counted_by_what_they_are_of(self) -> None:
        lines = sections(load({"legacy_metrics": "yes", "node_metrics": "problems"}, {}))
        first, *rest = lines["Prometheus"]
        total = len(METRICS)
        assert first == (
            f"{total} of {total} families at :61681/metrics, beside process_* and python_*"
        )
        legacy = len(LEGACY_TABLE.metrics)
        assert ["legacy", f"{legacy} of {legacy}"] in [line.split(maxsplit=1) for line in rest]
        assert "node: only of nodes that were not read or have nothing left to give" in rest
        assert "not published" not in rest

    def test_lists_what_is_not_published(self) -> None:
        lines = sections(load({"metrics_deny": "vpc_cni_zone_nodes"}, {}))["Prometheus"]
        listed = lines[lines.index("not published") + 1 :]
        assert [line.split()[0] for line in listed] == [
            "vpc_cni_zone_nodes",
            *(it.name for it in LEGACY_TABLE.metrics),
        ]


OF_CLUSTER = [it for it in ON_CLOUDWATCH if it not in CLOUDWATCH_SUBNETS]


def calls_of_a_minute(subnets: int) -> int:
    """How many calls the door makes of one minute with all its points."""

    def point(metric: OnCloudWatch, subnet: str = "") -> Point:
        return Point(metric.name, metric.unit, metric.measure, 60, 1.0, subnet)

    points = [point(metric) for metric in OF_CLUSTER]
    for number in range(subnets):
        points += [point(metric, f"subnet-{number:017x}") for metric in CLOUDWATCH_SUBNETS]
    door, calls = CloudWatch(Account(AwsConfig()), CloudWatchConfig()), 0
    while points:
        calls, points = calls + 1, points[door.fitting(points, "c" * 100) :]
    asyncio.run(door.close())
    return calls


class TestTheBill:
    def test_is_nothing_where_cloudwatch_is_off(self) -> None:
        assert bill(settings(cloudwatch_subnets="yes"), 9) == Bill(0, 0)
        assert sections(load({}, {}))["CloudWatch"] == ["nothing: cloudwatch is off"]

    def test_is_of_the_clusters_metrics_alone_without_subnets(self) -> None:
        # 60 minutes of 24 hours of 30 days.
        assert bill(settings(cloudwatch="yes"), 9) == Bill(len(OF_CLUSTER), 43_200)

    @pytest.mark.parametrize("subnets", [0, 1, 6, 324, 325, 500, 1300])
    def test_has_as_many_calls_as_the_door_makes(self, subnets: int) -> None:
        chosen = settings(cloudwatch="yes", cloudwatch_subnets="yes")
        calls = 43_200 * calls_of_a_minute(subnets)
        assert bill(chosen, subnets) == Bill(len(OF_CLUSTER) + 3 * subnets, calls)

    def test_has_no_subnets_where_they_are_not_read(self) -> None:
        chosen = load({"cloudwatch": "yes", "cloudwatch_subnets": "yes", "sources": "ipamd"}, {})
        assert bill(chosen.settings, 9) == Bill(len(OF_CLUSTER), 43_200)
        assert (
            "not published: 27 metrics of 9 subnets (by --subnets), 3 of each: sources have no ec2"
        ) in sections(chosen, 9)["CloudWatch"]

    @pytest.mark.parametrize(
        ("flags", "calls"),
        [
            pytest.param({"cloudwatch_interval": "10"}, 86_400, id="as often as there is news"),
            pytest.param(
                {"cloudwatch_interval": "10", "interval": "5"}, 259_200, id="high resolution"
            ),
            pytest.param({"cloudwatch_interval": "300"}, 8_640, id="five minutes"),
            pytest.param({"interval": "120"}, 21_600, id="nodes read every other minute"),
            pytest.param(
                {"interval": "120", "cloudwatch_subnets": "yes"}, 43_200, id="subnets more often"
            ),
        ],
    )
    def test_goes_by_how_often_there_are_points(self, flags: dict[str, str], calls: int) -> None:
        assert bill(settings(cloudwatch="yes", **flags), 2).calls == calls

    def test_is_told_with_all_that_it_is_of(self) -> None:
        flags = {
            "cloudwatch": "yes",
            "cloudwatch_subnets": "yes",
            "cluster_name": "prod",
            "cloudwatch_namespace": "Own",
            "cloudwatch_interval": "30",
            "metrics_deny": "vpc_cni_zone_*",
        }
        assert sections(load(flags, {}), 1000)["CloudWatch"] == [
            "namespace Own",
            "dimension CLUSTER_ID = prod",
            "one point per metric for every 30 s, of high resolution",
            f"{len(OF_CLUSTER)} metrics of the cluster",
            "3,000 metrics of 1,000 subnets (by --subnets), 3 of each, with the dimension SubnetId "
            "beside it",
            f"billed: up to {3000 + len(OF_CLUSTER):,} custom metrics, and up to 345,600 calls of "
            "PutMetricData in 30 days, repeated ones beside them",
            "prices by region: https://aws.amazon.com/cloudwatch/pricing/",
            "metrics_allow and metrics_deny are of Prometheus alone",
        ]

    def test_says_how_many_subnets_it_assumes(self) -> None:
        lines = sections(load({"cloudwatch": "yes"}, {}))["CloudWatch"]
        assert lines[1:5] == [
            "dimension CLUSTER_ID = not set: CLUSTER_NAME of aws-node, else the tag on the ENIs",
            "one point per metric for every 60 s",
            f"{len(OF_CLUSTER)} metrics of the cluster",
            f"not published: {3 * ASSUMED_SUBNETS} metrics of {ASSUMED_SUBNETS} subnets (assumed; "
            "--subnets says how many), 3 of each: cloudwatch_subnets is off",
        ]


def checked(environ: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """`check-settings` as a process of its own, with no more of an environment than needed."""
    kept = {
        name: os.environ[name] for name in ("PATH", "COVERAGE_PROCESS_CONFIG") if name in os.environ
    }
    return subprocess.run(
        [sys.executable, "-m", "exporter", "check-settings", *arguments],
        cwd=Path(__file__).parents[1],
        env={**kept, **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_process_says_what_the_incumbents_variables_come_to() -> None:
    environ = {"AWS_CLUSTER_ID": "theirs", "USE_CLOUDWATCH": "true"}
    done = checked(environ, "--subnets", "2", "--cloudwatch-subnets")
    flags = {"cloudwatch_subnets": "true"}
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == report(load(flags, environ), 2)
    assert f"up to {len(OF_CLUSTER) + 6} custom metrics" in done.stdout


def test_a_process_with_wrong_settings_tells_all_of_them_and_ends_with_status_2() -> None:
    done = checked({"EXPORTER_INTERVAL": "0"}, "--cloudwatch-namespace", "AWS/EKS")
    assert (done.returncode, done.stdout) == (2, "")
    assert [line.split(" is not usable")[0] for line in done.stderr.splitlines()] == [
        "vpc-cni-exporter: EXPORTER_INTERVAL: '0'",
        "vpc-cni-exporter: --cloudwatch-namespace: 'AWS/EKS'",
    ]


@pytest.mark.parametrize("content", ["tls_server_configs: {}\n", None])
def test_a_web_config_that_is_no_use_is_refused_as_a_wrong_setting(
    content: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "web-config.yml"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    done = checked({}, f"--web-config={file}")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("vpc-cni-exporter: ")
    assert str(file) in line


def test_a_web_config_is_read_and_its_secrets_are_not_told(tmp_path: Path) -> None:
    # bcrypt's own example of a hash.
    hashed = "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW"
    file = tmp_path / "web-config.yml"
    file.write_text(f"basic_auth_users: {{someone: {hashed}}}\n", encoding="utf-8")
    done = checked({}, f"--web-config={file}")
    assert (done.returncode, done.stderr) == (0, "")
    assert str(file) in done.stdout
    assert "someone" not in done.stdout
    assert "$2b$" not in done.stdout


@pytest.mark.parametrize("number", ["some", "-1", "1.5"])
def test_a_wrong_number_of_subnets_is_refused(number: str) -> None:
    done = checked({}, f"--subnets={number}")
    assert done.returncode == 2
    assert f"argument --subnets: '{number}' is no number of subnets" in done.stderr
