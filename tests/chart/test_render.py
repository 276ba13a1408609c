"""What Helm 3 and Helm 4 make of the chart's values, and what they refuse."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.settings import FIELDS, load, variable
from tests.chart.helm import (
    CHART,
    CI,
    HELMS,
    OPERATOR,
    Manifest,
    container,
    environment,
    helm,
    of_kind,
    render,
)
from tests.e2e.world import daemon, eventually, free_port, simulation

pytestmark = pytest.mark.real

GOLDEN = Path(__file__).parents[1] / "golden" / "chart-0.1.0.json"
CONFIG = json.loads((CHART / "values.schema.json").read_text())["definitions"]["config"]


def kinds(manifests: Sequence[Manifest]) -> set[str]:
    return {it["kind"] for it in manifests}


def another(name: str, schema: Mapping[str, Any]) -> object:
    """Return a value that a setting can have and does not have by default."""
    if name.endswith("_address"):
        return "127.0.0.1:1234"
    if "enum" in schema:
        return next(it for it in schema["enum"] if it != schema["default"])
    match schema["type"]:
        case "boolean":
            return not schema["default"]
        case "integer" | "number":
            return schema["default"] + 1
        case "array":
            return schema["items"].get("enum", ["some_*", "other_?"])[:2][::-1]
        case _:
            return "another"


@pytest.mark.parametrize("which", HELMS)
@pytest.mark.parametrize("values", [None, *CI], ids=lambda path: path.stem if path else "default")
def test_the_chart_passes_lint_strictly(which: str, values: Path | None) -> None:
    given = ("--values", str(values)) if values else ()
    done = helm(which, "lint", "--strict", str(CHART), *given)
    assert (done.returncode, "0 chart(s) failed" in done.stdout) == (0, True), done.stdout
    assert "[WARNING]" not in done.stdout


@pytest.mark.parametrize("values", [None, *CI], ids=lambda path: path.stem if path else "default")
def test_both_helms_render_the_same(values: Path | None) -> None:
    given = ("--values", str(values)) if values else ()
    three, four = (render(None, *given, which=it, apis=OPERATOR) for it in HELMS)
    assert three == four
    assert set(environment(three)) <= {
        *map(variable, FIELDS),
        "AWS_EC2_METADATA_DISABLED",
        "HTTPS_PROXY",
    }


def test_every_setting_of_the_exporter_is_reached() -> None:
    config = {name: another(name, schema) for name, schema in CONFIG["properties"].items()}
    loaded = load({}, environment(render({"config": config})))
    assert loaded.warnings == ()
    told = loaded.settings.model_dump(mode="json")
    assert {name: told[name] for name in FIELDS} == config


@pytest.mark.parametrize("number", [1_000_000, 1_234_567, 12.5, 0.25])
def test_a_number_arrives_as_it_was_given(number: float) -> None:
    name = "scrape_concurrency" if isinstance(number, int) else "interval"
    loaded = load({}, environment(render({"config": {name: number}})))
    assert getattr(loaded.settings, name) == number


def test_what_is_not_set_is_left_to_the_exporter() -> None:
    assert "env" not in container(render())


@pytest.mark.parametrize("which", HELMS)
def test_every_setting_of_the_wrong_kind_is_refused_by_its_name(which: str) -> None:
    config = {name: {"no": "setting"} for name in FIELDS}
    done = helm(which, "template", "x", str(CHART), values={"config": config})
    assert done.returncode != 0
    assert [name for name in FIELDS if name not in done.stderr] == []


@pytest.mark.parametrize("which", HELMS)
@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"replica": 2}, "replica"),
        ({"replicas": -1}, "replicas"),
        ({"replicas": "two"}, "replicas"),
        ({"image": {"repo": "x"}}, "repo"),
        ({"image": {"repository": ""}}, "repository"),
        ({"image": {"tag": "a b"}}, "tag"),
        ({"image": {"digest": "sha256:short"}}, "digest"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        ({"imagePullSecrets": ["registry"]}, "imagePullSecrets"),
        ({"fullnameOverride": "Capital"}, "fullnameOverride"),
        ({"config": {"intervall": 30}}, "intervall"),
        ({"config": {"interval": 0}}, "interval"),
        ({"config": {"interval": "30s"}}, "interval"),
        ({"config": {"scrape_via": "pigeon"}}, "scrape_via"),
        ({"config": {"sources": ["ipamd", "gcp"]}}, "sources"),
        ({"config": {"listen_address": "61681"}}, "listen_address"),
        ({"config": {"ipamd_metrics_port": 70000}}, "ipamd_metrics_port"),
        ({"config": {"namespace": ""}}, "namespace"),
        ({"aws": {"roleArn": "vpc-cni-exporter"}}, "roleArn"),
        ({"aws": {"nodeRole": "yes"}}, "nodeRole"),
        ({"serviceAccount": {"annotations": {"a": 1}}}, "annotations"),
        ({"webConfig": {"secret": "x"}}, "secret"),
        ({"webConfig": {"key": "a/b"}}, "key"),
        ({"service": {"port": 0}}, "port"),
        ({"monitor": {"kind": "Scrape"}}, "kind"),
        ({"monitor": {"interval": "30"}}, "interval"),
        ({"monitor": {"endpoint": {"honorLabels": False}}}, "endpoint"),
        ({"networkPolicy": {"ingressFrom": {}}}, "ingressFrom"),
        ({"podDisruptionBudget": {"maxUnavailable": 0}}, "maxUnavailable"),
        ({"podDisruptionBudget": {"maxUnavailable": "half"}}, "maxUnavailable"),
        ({"dashboards": {"labels": {"a": True}}}, "labels"),
        ({"rules": {"enable": True}}, "enable"),
        ({"rules": {"runbookUrl": "RUNBOOK.md"}}, "runbookUrl"),
        ({"rules": {"overrides": {"VpcCniDrift": {"expression": "1"}}}}, "expression"),
        ({"rules": {"overrides": {"VpcCniDrift": {"for": "soon"}}}}, "for"),
        ({"rules": {"overrides": {"VpcCniDrift": {"expr": ""}}}}, "expr"),
        ({"resources": {"requests": {"memory": "1 GB"}}}, "memory"),
        ({"tolerations": ["all"]}, "tolerations"),
        ({"strategy": {"type": "Fast"}}, "type"),
        ({"livenessProbe": {"httpGet": {}}}, "livenessProbe"),
        ({"extraEnv": [{"value": "x"}]}, "extraEnv"),
        ({"extraEnv": {"A": "b"}}, "extraEnv"),
    ],
    ids=lambda it: it if isinstance(it, str) else json.dumps(it),
)
def test_a_bad_value_is_refused_with_a_message_that_names_the_key(
    which: str, values: Mapping[str, object], key: str
) -> None:
    done = helm(which, "template", "x", str(CHART), values=values)
    assert (done.returncode != 0, key in done.stderr) == (True, True), done.stderr
    assert "schema" in done.stderr


def test_without_the_operators_kinds_none_is_made_and_the_notes_say_so() -> None:
    plain = kinds(render())
    assert kinds(render(apis=OPERATOR)) == plain | {"ServiceMonitor", "PrometheusRule"}
    pods = {"monitor": {"kind": "PodMonitor"}}
    assert kinds(render(pods, apis=OPERATOR)) == plain | {"PodMonitor", "PrometheusRule"}
    assert kinds(render(pods)) == plain
    nothing = {"monitor": {"kind": "none"}, "rules": {"enabled": False}}
    assert kinds(render(nothing, apis=OPERATOR)) == plain
    assert "knows no PodMonitor" in notes(pods)


def notes(values: object = None) -> str:
    options = ("install", "example", str(CHART), "--dry-run=client", "--namespace", "kube-system")
    done = helm("helm4", *options, values=values)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("NOTES:")[2]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "names no registry"),
        ({}, "create-pod-identity-association"),
        ({"aws": {"roleArn": "arn:aws:iam::111122223333:role/r"}}, "role/r (IRSA)"),
        ({"aws": {"nodeRole": True}}, "hop limit"),
        ({"config": {"sources": ["ipamd"]}}, "no figures of subnets"),
        ({"monitor": {"kind": "none"}}, "honor_labels"),
        ({"webConfig": {"secretName": "web"}}, "credentials of the web-config"),
        ({"networkPolicy": {"ingressFrom": [{"podSelector": {}}]}}, "vpc-cni-exporter-test"),
    ],
)
def test_the_notes_say_what_to_do_next(values: Mapping[str, object], says: str) -> None:
    assert says in notes(values)


def test_a_monitor_keeps_the_exporters_labels_and_adds_the_cluster() -> None:
    values = {"config": {"cluster_name": "blue"}}
    (endpoint,) = of_kind(render(values, apis=OPERATOR), "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["honorLabels"] is True
    assert endpoint["relabelings"] == [
        {"targetLabel": "cluster", "replacement": "blue", "action": "replace"}
    ]
    other = {**values, "monitor": {"cluster": "green", "kind": "PodMonitor"}}
    (endpoint,) = of_kind(render(other, apis=OPERATOR), "PodMonitor")["spec"]["podMetricsEndpoints"]
    assert endpoint["relabelings"][0]["replacement"] == "green"
    (endpoint,) = of_kind(render(apis=OPERATOR), "ServiceMonitor")["spec"]["endpoints"]
    assert "relabelings" not in endpoint


def test_ports_follow_the_settings_everywhere() -> None:
    config = {"listen_address": "[::]:9100", "ipamd_metrics_port": 61999}
    manifests = render({"config": config, "service": {"port": 80}})
    assert container(manifests)["ports"][0]["containerPort"] == 9100
    service = of_kind(manifests, "Service")["spec"]["ports"][0]
    assert (service["port"], service["targetPort"]) == (80, "metrics")
    assert let_out(manifests) == [53, 53, 80, 443, 61679, 61999]
    silent = {**config, "introspection": "off"}
    assert let_out(render({"config": silent})) == [53, 53, 80, 443, 61999]
    other = {**config, "ipamd_introspection_port": 61998}
    assert let_out(render({"config": other})) == [53, 53, 80, 443, 61998, 61999]
    assert let_out(render({"config": {**config, "scrape_via": "apiserver"}})) == [53, 53, 80, 443]


def let_out(manifests: Sequence[Manifest]) -> list[int]:
    """Return the ports that the network policy lets out to."""
    rules = of_kind(manifests, "NetworkPolicy")["spec"]["egress"]
    return sorted(port["port"] for rule in rules for port in rule["ports"])


def test_the_network_policy_lets_out_to_one_source_of_credentials() -> None:
    def metadata(**aws: object) -> list[str]:
        policy = of_kind(render({"aws": aws}), "NetworkPolicy")["spec"]
        return [peer["ipBlock"]["cidr"] for rule in policy["egress"] for peer in rule.get("to", ())]

    assert metadata() == ["169.254.170.23/32", "fd00:ec2::23/128"]
    assert metadata(nodeRole=True) == ["169.254.169.254/32", "fd00:ec2::254/128"]
    assert metadata(roleArn="arn:aws-cn:iam::111122223333:role/r") == []


def test_the_service_account_names_its_role_and_the_nodes_role_is_asked_for_by_name() -> None:
    role = "arn:aws:iam::111122223333:role/path/r"
    manifests = render({"aws": {"roleArn": role}})
    account = of_kind(manifests, "ServiceAccount")["metadata"]
    assert account["annotations"] == {"eks.amazonaws.com/role-arn": role}
    assert "env" not in container(manifests)
    assert environment(render({"aws": {"nodeRole": True}})) == {
        "AWS_EC2_METADATA_DISABLED": "false"
    }


def test_a_web_config_is_mounted_and_probes_keep_to_a_plain_port_of_their_own() -> None:
    manifests = render({"webConfig": {"secretName": "web", "key": "web.yml"}})
    found = container(manifests)
    assert environment(manifests) == {
        "EXPORTER_HEALTH_ADDRESS": ":61682",
        "EXPORTER_WEB_CONFIG": "/etc/vpc-cni-exporter/web/web.yml",
    }
    assert [(it["name"], it["containerPort"]) for it in found["ports"]] == [
        ("metrics", 61681),
        ("health", 61682),
    ]
    assert {found[it]["httpGet"]["port"] for it in ("livenessProbe", "readinessProbe")} == {
        "health"
    }
    (mount,) = found["volumeMounts"]
    assert (mount["mountPath"], mount["readOnly"]) == ("/etc/vpc-cni-exporter/web", True)


def test_one_replica_is_replaced_and_several_are_spread_and_kept() -> None:
    one, two = render(), render({"replicas": 2})
    assert of_kind(one, "Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    assert kinds(two) - kinds(one) == {"PodDisruptionBudget"}
    spec = of_kind(two, "Deployment")["spec"]
    assert spec["strategy"]["type"] == "RollingUpdate"
    spread = spec["template"]["spec"]["topologySpreadConstraints"]
    assert [it["topologyKey"] for it in spread] == [
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    ]


def test_names_and_selectors_are_those_of_version_0_1_0() -> None:
    manifests = render({"replicas": 2}, apis=OPERATOR)
    golden = json.loads(GOLDEN.read_text())
    assert {f"{it['kind']} {it['metadata']['name']}" for it in manifests} >= set(golden["names"])
    found = {it["kind"]: it["spec"] for it in manifests if "spec" in it}
    assert {
        "Deployment": found["Deployment"]["selector"],
        "NetworkPolicy": found["NetworkPolicy"]["podSelector"],
        "PodDisruptionBudget": found["PodDisruptionBudget"]["selector"],
        "Service": found["Service"]["selector"],
        "ServiceMonitor": found["ServiceMonitor"]["selector"],
    } == golden["selectors"]
    labels = found["Deployment"]["template"]["metadata"]["labels"]
    assert found["Service"]["selector"].items() <= labels.items()
    assert {it["name"]: it["port"] for it in found["Service"]["ports"]} == golden["ports"]


def test_dashboards_and_rules_are_made_of_the_files_that_are_there(tmp_path: Path) -> None:
    chart = tmp_path / "chart"
    shutil.copytree(CHART, chart)
    boards = tmp_path / "boards"
    boards.mkdir()
    board = {"uid": "cni", "title": 'Größe \U0001f600 "of" {{ pod }}'}
    (boards / "cluster_overview.json").write_text(json.dumps(board, ensure_ascii=False))
    shutil.rmtree(chart / "dashboards", ignore_errors=True)
    (chart / "dashboards").symlink_to(boards)
    rules = {"groups": [{"name": "a", "rules": [{"record": "b", "expr": 'c{d=~"{{e}}"}'}]}]}
    (chart / "files" / "rules.yaml").write_text(yaml.safe_dump(rules))
    values = {"rules": {"labels": {"release": "x"}}, "dashboards": {"namespace": "grafana"}}
    for which in HELMS:
        manifests = render(values, which=which, apis=OPERATOR, chart=chart)
        made = of_kind(manifests, "ConfigMap")
        assert made["metadata"]["name"] == "example-vpc-cni-exporter-cluster-overview"
        assert made["metadata"]["namespace"] == "grafana"
        assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert json.loads(made["data"]["cluster_overview.json"]) == board
        rule = of_kind(manifests, "PrometheusRule")
        assert (rule["spec"], rule["metadata"]["labels"]["release"]) == (rules, "x")
        assert "PrometheusRule" not in kinds(render(which=which, chart=chart))


def test_helm_test_is_content_with_an_exporter_that_reads(tmp_path: Path) -> None:
    with simulation(tmp_path, "--nodes", "3") as sim, daemon(tmp_path, sim) as exporter:
        eventually(lambda: exporter.get("/readyz")[0] == 200, "the exporter is ready")
        done = check(
            {"METRICS_URL": f"{exporter.url}/metrics", "READY_URL": f"{exporter.url}/readyz"}
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "ready: ok",
        'vpc_cni_cluster_nodes{state="read"} 3',
        'vpc_cni_cluster_nodes{state="unread"} 0',
    ]


def test_helm_test_says_why_there_is_no_exporter_or_why_it_is_not_ready(tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/readyz"
    done = check({"READY_URL": nobody})
    assert (done.returncode, nobody in done.stderr) == (1, True)
    with simulation(tmp_path, "--nodes", "3") as sim:
        sim.control("/api", {"trouble": "down"})
        with daemon(tmp_path, sim) as exporter:
            done = check({"READY_URL": f"{exporter.url}/readyz"})
    assert (done.returncode, "HTTP 503: no report" in done.stderr) == (1, True)


def check(addresses: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run what the test pod would run, with this Python for the image's and other addresses."""
    manifests = helm("helm4", "template", "example", str(CHART)).stdout
    pod = of_kind(list(yaml.safe_load_all(manifests)), "Pod")
    (tester,) = pod["spec"]["containers"]
    interpreter, option = tester["command"]
    assert interpreter.endswith("/bin/python")
    told = {it["name"]: it["value"] for it in tester["env"]}
    assert told["METRICS_URL"] == "http://example-vpc-cni-exporter.default.svc:61681/metrics"
    return subprocess.run(
        [sys.executable, option, *tester["args"]],
        env={"SECONDS": "0.5", **addresses},
        capture_output=True,
        text=True,
        check=False,
    )
