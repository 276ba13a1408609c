"""Run by the Python of the environment `manifests`: judges manifests, given as JSON, strictly.

What Kubernetes defines is held against its schemas of every version since 1.29; what the
Prometheus Operator defines against models made of its definitions. Problems are printed as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import kubernetes_validate
from cloudcoil.models.prometheus_operator import v1 as operator

OLDEST = (1, 29)


def versions() -> list[str]:
    """Return the versions of Kubernetes from the oldest that EKS has to the newest known."""
    known = {tuple(map(int, it.split(".")[:2])) for it in kubernetes_validate.utils.all_versions()}
    return [f"{major}.{minor}" for major, minor in sorted(known) if (major, minor) >= OLDEST]


def problems(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with one manifest."""
    if manifest["apiVersion"] == "monitoring.coreos.com/v1":
        yield from _operators_problems(manifest)
        return
    for version in versions():
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{version}: {'.'.join(map(str, error.path))}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError as error:
            yield f"{version}: {error}"


def _operators_problems(manifest: Mapping[str, Any]) -> Iterator[str]:
    model = getattr(operator, manifest["kind"])
    try:
        understood = model.model_validate(manifest)
    except ValueError as error:
        yield str(error)
        return
    # The models drop what they do not know.
    kept = understood.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if kept != manifest:
        yield f"only this is known: {json.dumps(kept)}"


def main() -> None:
    """Judge the manifests on standard input."""
    found = {
        f"{it['kind']} {it['metadata']['name']}": list(problems(it)) for it in json.load(sys.stdin)
    }
    told = {name: said for name, said in found.items() if said}
    json.dump({"versions": versions(), "judged": len(found), "problems": told}, sys.stdout)


main()
