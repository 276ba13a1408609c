"""The chart agrees with itself and with the exporter; no Helm needed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from exporter import __version__
from exporter.settings import FIELDS
from scripts.chart import Row, files, rows
from tests.chart.helm import CHART, CI

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
# Objects of Kubernetes or of Prometheus that are handed on as they are, and labels.
HANDED_ON = {
    "affinity",
    "config",
    "dashboards.annotations",
    "dashboards.labels",
    "monitor.endpoint",
    "monitor.labels",
    "nodeSelector",
    "podAnnotations",
    "podLabels",
    "podSecurityContext",
    "resources",
    "rules.labels",
    "rules.overrides",
    "securityContext",
    "service.annotations",
    "serviceAccount.annotations",
    "strategy",
}
PROBES = {"livenessProbe", "readinessProbe"}


def keys(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        path = prefix + name
        if isinstance(value, dict) and path not in HANDED_ON | PROBES:
            yield from keys(value, f"{path}.")
        else:
            yield path


def resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref", "").removeprefix("#/definitions/")
    return SCHEMA["definitions"][reference] if reference else schema


def schema_keys(schema: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in schema["properties"].items():
        path, inner = prefix + name, resolved(value)
        if inner.get("properties") and path not in HANDED_ON | PROBES:
            assert inner["additionalProperties"] is False, path
            yield from schema_keys(inner, f"{path}.")
        else:
            yield path


@pytest.mark.parametrize("path", files(CHART), ids=lambda path: path.name)
def test_what_the_chart_has_of_the_settings_is_as_make_docs_writes_it(path: Any) -> None:
    assert path.read_text(encoding="utf-8") == files(CHART)[path]


def test_the_chart_is_of_this_version_of_the_exporter() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__
    assert f"ARG VERSION={__version__}\n" in (CHART.parents[1] / "Dockerfile").read_text()


def test_every_value_has_a_default_and_a_place_in_the_schema() -> None:
    assert SCHEMA["additionalProperties"] is False
    # What Helm itself gives a chart within another.
    assert sorted(schema_keys(SCHEMA)) == sorted([*keys(VALUES), "global"])


def test_every_setting_and_nothing_else_is_in_the_schema_of_config() -> None:
    config = SCHEMA["definitions"]["config"]
    assert list(config["properties"]) == list(FIELDS)
    assert config["additionalProperties"] is False
    assert all(it.keys() & {"type", "enum"} for it in config["properties"].values())


def test_every_file_in_ci_says_what_it_is_for() -> None:
    assert {path.stem.removesuffix("-values") for path in CI} >= {
        "irsa",
        "pod-identity",
        "prometheus-operator",
        "restricted",
        "scrape-annotations",
    }
    for path in CI:
        text = path.read_text()
        assert text.startswith("# "), path
        assert set(yaml.safe_load(text)) <= set(VALUES), path


def test_the_table_of_values_has_a_row_for_each_key_or_mapping_with_a_comment() -> None:
    values = """\
# A head that is nobody's.

plain: 1
# One comment
# of two lines.
told: [a, b]
inner:
  # Of the leaf.
  leaf: ""
  deeper:
    bare: {}
# A mapping as one.
whole:
  a: 1
  b: {c: true}
"""
    assert list(rows(values)) == [
        Row("plain", "1", ""),
        Row("told", '["a", "b"]', "One comment of two lines."),
        Row("inner.leaf", '""', "Of the leaf."),
        Row("inner.deeper.bare", "{}", ""),
        Row("whole", '{"a": 1, "b": {"c": true}}', "A mapping as one."),
    ]


def test_templates_follow_settings_that_there_are() -> None:
    templates = "".join(path.read_text() for path in CHART.rglob("templates/**/*.*"))
    followed = set(re.findall(r"\$settings\.(\w+)", templates))
    assert set(FIELDS) >= followed
    assert followed >= {"listen_address", "namespace", "scrape_via", "sources"}
