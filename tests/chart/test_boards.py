"""The chart's dashboards are those of dashboards/grafana, where Grafana's sidecar finds them."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.chart.helm import CHART, HELMS, ROOT, Manifest, helm, render

pytestmark = pytest.mark.real

FILES = {path.name: path for path in (ROOT / "dashboards" / "grafana").glob("*.json")}
RUNBOOK = "https://wiki.example/runbook?a=1&b=2"


def boards(manifests: list[Manifest]) -> dict[str, Manifest]:
    return {it["metadata"]["name"]: it for it in manifests if it["kind"] == "ConfigMap"}


def parsed(manifests: list[Manifest]) -> dict[str, dict[str, Any]]:
    return {
        name: json.loads(text)
        for it in boards(manifests).values()
        for name, text in it["data"].items()
    }


@pytest.mark.parametrize("which", HELMS)
def test_every_dashboard_is_in_a_configmap_of_its_own_that_kubernetes_takes(which: str) -> None:
    found = boards(render(which=which))
    assert len(found) == len(FILES) == 4
    assert parsed([*found.values()]) == {
        name: json.loads(path.read_text(encoding="utf-8")) for name, path in FILES.items()
    }
    for made in found.values():
        assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert len(json.dumps(made)) < 1024 * 1024 / 2


@pytest.mark.parametrize("which", HELMS)
def test_a_packaged_chart_has_the_dashboards_as_files(which: str, tmp_path: Path) -> None:
    done = helm(which, "package", str(CHART), "--destination", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (archive,) = tmp_path.glob("*.tgz")
    with tarfile.open(archive) as packed:
        inside = [it for it in packed.getmembers() if "/dashboards/" in it.name]
        read = {Path(it.name).name: packed.extractfile(it) for it in inside}
        members = {name: it.read() for name, it in read.items() if it is not None}
    assert members == {name: path.read_bytes() for name, path in FILES.items()}
    assert parsed(render(which=which, chart=archive)).keys() == FILES.keys()


def test_a_long_name_of_a_release_leaves_each_dashboard_a_name_of_its_own() -> None:
    found = boards(render({"fullnameOverride": "a" * 63}))
    assert len(found) == len(FILES)
    assert max(map(len, found)) <= 253


@pytest.mark.parametrize("which", HELMS)
def test_a_runbook_somewhere_is_linked_from_every_dashboard(which: str) -> None:
    plain = parsed(render(which=which))
    linked = parsed(render({"rules": {"runbookUrl": RUNBOOK}}, which=which))
    for name, board in linked.items():
        *links, runbook = board.pop("links")
        assert (runbook["type"], runbook["url"]) == ("link", RUNBOOK)
        assert board | {"links": links} == plain[name]
