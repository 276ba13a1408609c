"""The examples are valid, agree with docs/INSTALL.md, and do what they are for."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.helm import of_kind
from tests.chart.test_manifests import judged
from tests.e2e.test_permissions import allowed
from tests.e2e.world import daemon, eventually, simulation
from tests.parts import laid_down, part
from tests.real.test_prometheus import prometheus_with, query

pytestmark = pytest.mark.real

EXAMPLES = Path(__file__).parents[2] / "examples"
TERRAFORM = EXAMPLES / "terraform"
COLLECTOR = list(
    yaml.safe_load_all((EXAMPLES / "amazon-managed-prometheus" / "collector.yaml").read_text())
)
CONFIG: Mapping[str, Any] = of_kind(COLLECTOR, "OpenTelemetryCollector")["spec"]["config"]
_META = "__meta_kubernetes_pod_"


def prometheus_part() -> dict[str, Any]:
    """Return the part in Prometheus' syntax, where the collector has a dollar for two."""
    text = json.dumps(CONFIG["receivers"]["prometheus"]["config"]).replace("$$", "$")
    config: dict[str, Any] = json.loads(text)
    return config


def test_the_collectors_prometheus_part_loads_in_prometheus(tmp_path: Path) -> None:
    config = prometheus_part()
    # Debian's Prometheus is built without discovery in Kubernetes.
    assert [job.pop("kubernetes_sd_configs") for job in config["scrape_configs"]] == [
        [{"role": "pod", "namespaces": {"names": ["kube-system"]}}]
    ]
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [part("promtool"), "check", "config", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "SUCCESS" in done.stdout) == (0, True), done.stdout + done.stderr


def test_the_collectors_part_finds_the_exporter_alone_and_keeps_its_labels(tmp_path: Path) -> None:
    with simulation(tmp_path, "--nodes", "3") as sim, daemon(tmp_path, sim) as exporter:
        eventually(lambda: exporter.get("/readyz")[0] == 200, "the exporter is ready")
        config = prometheus_part()
        config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s"}
        (job,) = config["scrape_configs"]
        # What discovery would say: both ports of the exporter, and another pod.
        assert job.pop("kubernetes_sd_configs")[0]["role"] == "pod"
        job["static_configs"] = [
            discovered(exporter.url.removeprefix("http://"), "vpc-cni-exporter", "metrics"),
            discovered("127.0.0.1:1", "vpc-cni-exporter", "health"),
            discovered("127.0.0.1:2", "another", "metrics"),
        ]
        with prometheus_with(tmp_path, config) as url:
            read = eventually(lambda: query(url, "vpc_cni_node_read") or None, "there are figures")
            targets = query(url, "up")
        nodes = set(sim.nodes())
    assert targets is not None
    assert [value for _, value in targets] == [1.0]
    assert {labels["node"] for labels, _ in read} == nodes
    assert {labels["cluster"] for labels, _ in read} == {"CLUSTER"}
    assert not any("exported_node" in labels for labels, _ in read)


def discovered(address: str, app: str, port: str) -> dict[str, Any]:
    """Return a target with the labels that discovery of pods would give it."""
    labels = {f"{_META}label_app_kubernetes_io_name": app, f"{_META}container_port_name": port}
    return {"targets": [address], "labels": labels}


def test_every_part_that_the_collector_uses_is_defined_and_every_one_defined_is_used() -> None:
    (pipeline,) = CONFIG["service"]["pipelines"].values()
    used = {"extensions": CONFIG["service"]["extensions"], **pipeline}
    assert {kind: set(CONFIG[kind]) for kind in used} == {
        kind: set(it) for kind, it in used.items()
    }
    assert CONFIG["exporters"]["prometheusremotewrite"]["auth"]["authenticator"] == "sigv4auth"


def test_what_kubernetes_knows_of_the_collectors_manifests_is_valid() -> None:
    known = [it for it in COLLECTOR if it["kind"] != "OpenTelemetryCollector"]
    assert judged(known)["problems"] == {}
    account = of_kind(COLLECTOR, "ServiceAccount")["metadata"]
    (subject,) = of_kind(COLLECTOR, "RoleBinding")["subjects"]
    assert subject == {"kind": "ServiceAccount", **account}
    assert of_kind(COLLECTOR, "OpenTelemetryCollector")["spec"]["serviceAccount"] == account["name"]


@pytest.fixture(scope="module")
def terraform() -> Mapping[str, Any]:
    """The Terraform files as values, the blocks of all files together."""
    program = (
        "import hcl2, json, sys\nprint(json.dumps([hcl2.load(open(it)) for it in sys.argv[1:]]))\n"
    )
    files = sorted(map(str, TERRAFORM.glob("*.tf")))
    done = subprocess.run(
        [laid_down("manifests/bin/python"), "-c", program, *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    blocks: dict[str, list[Any]] = {}
    for file in json.loads(done.stdout):
        for kind, found in file.items():
            blocks.setdefault(kind, []).extend(found)
    return blocks


def bare(value: Any) -> Any:
    """Return what the parser gives without its quotation marks and marks of its own."""
    match value:
        case dict():
            return {bare(key): bare(it) for key, it in value.items() if not key.startswith("__")}
        case list():
            return [bare(it) for it in value]
        case str():
            return value.strip('"')
        case _:
            return value


def named(blocks: Mapping[str, Any], kind: str) -> Iterator[tuple[str, str, Any]]:
    """Yield type, name and content of the blocks of a kind."""
    for block in bare(blocks[kind]):
        for of_type, inner in block.items():
            for name, content in inner.items():
                yield of_type, name, content


def test_the_terraform_policy_is_that_of_the_documents(terraform: Mapping[str, Any]) -> None:
    documents = {name: it["statement"] for _, name, it in named(terraform, "data")}
    assert {action for it in documents["exporter"] for action in it["actions"]} == allowed()
    assert {name: it[0]["actions"] for name, it in documents.items() if "trust" in name} == {
        "trust_pod_identity": ["sts:AssumeRole", "sts:TagSession"],
        "trust_irsa": ["sts:AssumeRoleWithWebIdentity"],
    }


def test_what_terraform_refers_to_is_there_and_what_is_there_is_referred_to(
    terraform: Mapping[str, Any],
) -> None:
    text = "".join(it.read_text() for it in sorted(TERRAFORM.glob("*.tf")))
    variables = {name for it in bare(terraform["variable"]) for name in it}
    assert set(re.findall(r"\bvar\.(\w+)", text)) == variables
    (names,) = bare(terraform["locals"])
    assert set(re.findall(r"\blocal\.(\w+)", text)) == set(names)
    data = {f"{of_type}.{name}" for of_type, name, _ in named(terraform, "data")}
    assert set(re.findall(r"\bdata\.(\w+\.\w+)", text)) == data
    resources = {f"{of_type}.{name}" for of_type, name, _ in named(terraform, "resource")}
    assert set(re.findall(r"(?<!data\.)\b(aws_\w+\.\w+)\.", text)) <= resources


def test_checkov_is_content_with_the_terraform_files() -> None:
    options = ["--framework", "terraform", "--compact", "--skip-download", "--output", "json"]
    done = subprocess.run(
        [laid_down("checkov/bin/python"), "-m", "checkov.main", "-d", str(TERRAFORM), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    said = json.loads(done.stdout)
    assert said["results"]["failed_checks"] == []
    assert said["results"]["parsing_errors"] == []
    assert said["summary"]["passed"] > 10
