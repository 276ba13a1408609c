"""Every rendered manifest is what Kubernetes and the Prometheus Operator know, and is safe."""

from __future__ import annotations

import copy
import json
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.helm import CI, OPERATOR, Manifest, container, of_kind, render
from tests.parts import laid_down

pytestmark = pytest.mark.real

HERE = Path(__file__).parent
CHECKS = yaml.safe_load((HERE / "checks.yaml").read_text())


@pytest.fixture(scope="module")
def rendered() -> Mapping[str, list[Manifest]]:
    """What each file of values makes, beside the defaults."""
    files = {path.stem: render(None, "--values", str(path), apis=OPERATOR) for path in CI}
    return {"defaults": render(apis=OPERATOR), **files}


def judged(manifests: Sequence[Manifest]) -> Mapping[str, Any]:
    """Return what the validator says of manifests, each of which it knows by kind and name."""
    done = subprocess.run(
        [laid_down("manifests/bin/python"), str(HERE / "validator.py")],
        input=json.dumps(manifests),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: Mapping[str, Any] = json.loads(done.stdout)
    return said


def renamed(manifest: Manifest, prefix: str) -> Manifest:
    metadata = {**manifest["metadata"], "name": f"{prefix}-{manifest['metadata']['name']}"}
    return {**manifest, "metadata": metadata}


def test_every_manifest_is_valid_from_kubernetes_1_29_to_the_newest(
    rendered: Mapping[str, list[Manifest]],
) -> None:
    # Most files of values make some of the objects as others do.
    different = {json.dumps(it): (it, name) for name, found in rendered.items() for it in found}
    manifests = [renamed(it, name) for it, name in different.values()]
    said = judged(manifests)
    assert (said["problems"], said["judged"]) == ({}, len(manifests))
    assert said["versions"][0] == "1.29"
    assert len(said["versions"]) >= 9


def test_a_manifest_with_a_key_too_many_is_told_apart() -> None:
    manifests = copy.deepcopy(render(apis=OPERATOR))
    deployment = dict(of_kind(manifests, "Deployment"))
    deployment["spec"]["template"]["spec"]["containers"][0]["readyness"] = {}
    monitor = dict(of_kind(manifests, "ServiceMonitor"))
    monitor["spec"]["endpoints"][0]["honourLabels"] = True
    said = judged([deployment, monitor])
    wrong, unknown = said["problems"].values()
    assert len(wrong) == len(said["versions"])
    assert all("readyness" in it for it in wrong)
    assert "only this is known" in unknown[0]


def test_every_pod_is_fit_for_the_restricted_pod_security_standard(
    rendered: Mapping[str, list[Manifest]],
) -> None:
    pods = [
        spec
        for manifests in rendered.values()
        for spec in (
            of_kind(manifests, "Deployment")["spec"]["template"]["spec"],
            of_kind(manifests, "Pod")["spec"],
        )
    ]
    volumes = {
        kind for pod in pods for it in pod.get("volumes", ()) for kind in it.keys() - {"name"}
    }
    assert volumes <= {"configMap", "csi", "downwardAPI", "emptyDir", "projected", "secret"}
    for pod in pods:
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & pod.keys()
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        for one in pod["containers"]:
            assert one["securityContext"]["allowPrivilegeEscalation"] is False
            assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert one["securityContext"]["readOnlyRootFilesystem"] is True
            assert not any("hostPort" in port for port in one.get("ports", ()))
        assert pod["enableServiceLinks"] is False


def test_the_user_is_that_of_the_image() -> None:
    spec = of_kind(render(), "Deployment")["spec"]["template"]["spec"]
    image = (HERE.parents[1] / "Dockerfile").read_text()
    context = spec["securityContext"]
    assert f"USER {context['runAsUser']}:{context['runAsGroup']}\n" in image
    assert "/opt/vpc-cni-exporter/bin" in image
    assert "command" not in container(render())


def test_checkov_is_content_but_for_the_exceptions(
    rendered: Mapping[str, list[Manifest]], tmp_path: Path
) -> None:
    for name, manifests in rendered.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump_all(manifests))
    options = ["--framework", "kubernetes", "--compact", "--skip-download", "--output", "json"]
    done = subprocess.run(
        [laid_down("checkov/bin/python"), "-m", "checkov.main", "-d", str(tmp_path), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    results = json.loads(done.stdout)["results"]
    assert results["parsing_errors"] == []
    failed: dict[str, set[str]] = defaultdict(set)
    for it in results["failed_checks"]:
        failed[it["check_id"]].add(it["resource"].partition(".")[0])
    # An exception that nothing needs any more is one too many.
    assert failed == {name: set(it["kinds"]) for name, it in CHECKS["exceptions"].items()}
    assert set(CHECKS["passed"]) <= {it["check_id"] for it in results["passed_checks"]}
    assert all(it["reason"] for it in CHECKS["exceptions"].values())
