"""The PrometheusRule that the chart makes of the rule file, and what values change in it."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.helm import CHART, HELMS, OPERATOR, helm, of_kind, render
from tests.parts import part

pytestmark = pytest.mark.real

PLAIN = yaml.safe_load((CHART / "files" / "rules.yaml").read_text())
RULES_KIND = (OPERATOR[1],)


def made(rules: Mapping[str, object] | None = None, which: str = "helm4") -> Mapping[str, Any]:
    """Return the spec of the PrometheusRule for some values of `rules`."""
    manifests = render({"rules": rules or {}}, which=which, apis=RULES_KIND)
    spec: Mapping[str, Any] = of_kind(manifests, "PrometheusRule")["spec"]
    return spec


def rule(spec: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the one rule of a name."""
    found = [
        it
        for group in spec["groups"]
        for it in group["rules"]
        if name in (it.get("alert"), it.get("record"))
    ]
    (one,) = found
    return dict(one)


@pytest.mark.parametrize("which", HELMS)
def test_without_overrides_the_rules_are_those_of_the_file(which: str) -> None:
    assert made(which=which) == PLAIN


@pytest.mark.parametrize("which", HELMS)
def test_overrides_change_exactly_what_they_name(which: str, tmp_path: Path) -> None:
    expected = copy.deepcopy(PLAIN)
    low = next(it for it in expected["groups"][2]["rules"] if it["alert"] == "VpcCniSubnetLow")
    low |= {"expr": "vector(1) > 0", "for": "0s"}
    low["labels"] |= {"severity": "info", "team": "network"}
    low["annotations"] |= {"summary": 'Low, "{{ $labels.name }}".', "dashboard": "x"}
    thresholds = expected["groups"][0]["rules"]
    thresholds[0] |= {"expr": "0.8", "labels": {"why": "small"}}
    thresholds[3]["expr"] = "vector(3600)"
    expected["groups"][2]["rules"].remove(rule(expected, "VpcCniLeakedENIs"))
    overrides = {
        "VpcCniSubnetLow": {
            "expr": low["expr"],
            "for": "0s",
            "labels": {"severity": "info", "team": "network"},
            "annotations": {"summary": low["annotations"]["summary"], "dashboard": "x"},
            "enabled": True,
        },
        "vpc_cni:subnet_low:threshold": {"expr": 0.8, "labels": {"why": "small"}},
        "vpc_cni:subnet_exhaustion_seconds:threshold": {"expr": "vector(3600)"},
        "VpcCniLeakedENIs": {"enabled": False},
    }
    spec = made({"overrides": overrides}, which)
    assert spec == expected
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(spec))
    done = subprocess.run(
        [part("promtool"), "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_group_of_which_nothing_is_left_is_left_out() -> None:
    alerts = [it["alert"] for it in PLAIN["groups"][-1]["rules"]]
    spec = made({"overrides": {name: {"enabled": False} for name in alerts}})
    assert spec == {"groups": PLAIN["groups"][:-1]}


@pytest.mark.parametrize("which", HELMS)
def test_the_runbook_is_where_values_say_and_an_override_says_otherwise(which: str) -> None:
    url = "https://wiki.example.com/$1/RUNBOOK?plain=1"
    overrides = {"VpcCniDrift": {"annotations": {"runbook_url": "https://example.com/drift"}}}
    spec = made({"runbookUrl": url, "overrides": overrides}, which)
    expected = copy.deepcopy(PLAIN)
    for group in expected["groups"]:
        for it in group["rules"]:
            if "alert" in it:
                it["annotations"]["runbook_url"] = f"{url}#{it['alert'].lower()}"
    drift = next(it for it in expected["groups"][3]["rules"] if it["alert"] == "VpcCniDrift")
    drift["annotations"]["runbook_url"] = "https://example.com/drift"
    assert spec == expected


@pytest.mark.parametrize("which", HELMS)
@pytest.mark.parametrize("apis", [(), RULES_KIND], ids=["unknown", "known"])
def test_an_override_of_no_rule_is_refused_by_its_name(which: str, apis: tuple[str, ...]) -> None:
    known = [word for api in apis for word in ("--api-versions", api)]
    wrong = {"VpcCniSubnetsLow": {"for": "1m"}, "VpcCniDrift": {"for": "1m"}, "Another": {}}
    done = helm(which, "template", "x", str(CHART), *known, values={"rules": {"overrides": wrong}})
    assert done.returncode != 0
    assert "there is no rule named Another, VpcCniSubnetsLow\n" in f"{done.stderr}\n"


@pytest.mark.parametrize("key", [{"for": "1m"}, {"annotations": {"summary": "x"}}], ids=repr)
def test_what_only_alerts_have_is_refused_for_a_record(key: Mapping[str, object]) -> None:
    values = {"rules": {"overrides": {"vpc_cni:subnet_low:threshold": key}}}
    done = helm("helm4", "template", "x", str(CHART), values=values)
    assert done.returncode != 0
    assert "vpc_cni:subnet_low:threshold is recorded" in done.stderr
