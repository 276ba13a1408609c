"""Helm 3 and 4 over the chart: what they render, and what they refuse."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.parts import part

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "vpc-cni-exporter"
CI = sorted((CHART / "ci").glob("*.yaml"))
HELMS = ("helm3", "helm4")
OPERATOR = tuple(
    f"monitoring.coreos.com/v1/{kind}"
    for kind in ("PodMonitor", "PrometheusRule", "ServiceMonitor")
)

Manifest = Mapping[str, Any]


def helm(which: str, *arguments: str, values: object = None) -> subprocess.CompletedProcess[str]:
    """Run a Helm without a cluster, with values on its standard input if there are any."""
    given = [] if values is None else ["--values", "-"]
    return subprocess.run(
        [part(which), *arguments, *given],
        input=None if values is None else json.dumps(values),
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/nowhere", "KUBECONFIG": os.devnull},
    )


def render(
    values: object = None,
    *options: str,
    which: str = "helm4",
    apis: Sequence[str] = (),
    chart: Path = CHART,
) -> list[Manifest]:
    """Return what a Helm makes of the chart, for release `example` in kube-system."""
    known = [word for api in apis for word in ("--api-versions", api)]
    where = ("--namespace", "kube-system", *known, *options)
    done = helm(which, "template", "example", str(chart), *where, values=values)
    assert done.returncode == 0, done.stderr
    return [it for it in yaml.safe_load_all(done.stdout) if it]


def of_kind(manifests: Sequence[Manifest], kind: str) -> Manifest:
    """Return the one manifest of a kind."""
    (found,) = (it for it in manifests if it["kind"] == kind)
    return found


def container(manifests: Sequence[Manifest]) -> Mapping[str, Any]:
    """Return the exporter's container."""
    (found,) = of_kind(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(found)


def environment(manifests: Sequence[Manifest]) -> Mapping[str, str]:
    """Return the variables that the exporter's container gets, as far as values are told."""
    variables = container(manifests).get("env", [])
    return {it["name"]: it["value"] for it in variables if "value" in it}
