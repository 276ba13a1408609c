"""The rule file agrees with catalogue, runbook and itself; no Prometheus needed."""

from __future__ import annotations

import re

import pytest

from tests.promql import CATALOGUED, labels, named, violations
from tests.rules.rule_file import ROOT, Rule, alerts, cases, records, rules, series

KNOWN = series()
RECORDED = frozenset(rule["record"] for rule in records())
# Level, metric and operation, as Prometheus' own guide names records.
CONVENTION = re.compile(
    r"(addon|cluster|node|source|subnet):vpc_cni_\w+:(count|increase\d+m|max|min|ratio)"
)
THRESHOLD = re.compile(r"vpc_cni:[a-z_0-9]+:threshold")
CONSTANT = re.compile(r"vector\([0-9.]+\)")


def name(rule: Rule) -> str:
    return str(rule.get("alert") or rule["record"])


def queries(alert: Rule) -> str:
    """What the texts of an alert look up."""
    return " ".join(re.findall(r'printf "([a-z].*?)(?<!\\)"', alert["annotations"]["description"]))


@pytest.mark.parametrize("rule", rules(), ids=name)
def test_an_expression_names_only_what_is_published_or_recorded(rule: Rule) -> None:
    assert violations(rule["expr"], KNOWN) == ()


def test_no_name_is_given_twice_and_each_follows_a_convention() -> None:
    names = [name(rule) for rule in rules()]
    assert len(set(names)) == len(names)
    for record in RECORDED:
        assert CONVENTION.fullmatch(record) or THRESHOLD.fullmatch(record), record
    assert all(re.fullmatch(r"VpcCni([A-Z]+[a-z0-9]*)+", rule["alert"]) for rule in alerts())


def test_thresholds_are_constants_and_nothing_else_is() -> None:
    for rule in records():
        constant = bool(CONSTANT.fullmatch(rule["expr"]))
        assert constant == bool(THRESHOLD.fullmatch(rule["record"])), rule["record"]


def test_records_read_what_is_published_and_alerts_what_is_recorded() -> None:
    for rule in records():
        assert named(rule["expr"]) <= CATALOGUED.keys(), rule["record"]
    for rule in alerts():
        assert named(rule["expr"]) <= RECORDED, rule["alert"]


def test_every_record_is_read_by_an_alert_or_its_text() -> None:
    read = frozenset[str]().union(*(named(rule["expr"]) for rule in alerts()))
    looked_up = " ".join(map(queries, alerts()))
    assert {it for it in RECORDED - read if it not in looked_up} == set()


@pytest.mark.parametrize("alert", alerts(), ids=name)
def test_an_alert_says_how_bad_it_is_what_is_wrong_and_where_to_read_on(alert: Rule) -> None:
    assert alert.keys() == {"alert", "expr", "for", "labels", "annotations"}
    assert alert["labels"].keys() == {"severity"}
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    told = alert["annotations"]
    assert told.keys() == {"summary", "description", "runbook_url"}
    assert len(told["summary"]) < 120
    assert told["summary"].endswith(".")
    assert re.search(r"\$(value|labels)\b", told["description"])
    assert told["runbook_url"] == f"docs/RUNBOOK.md#{alert['alert'].lower()}"


@pytest.mark.parametrize("alert", alerts(), ids=name)
def test_the_text_of_an_alert_names_labels_and_records_that_there_are(alert: Rule) -> None:
    texts = " ".join(alert["annotations"].values())
    used = set(re.findall(r"\$labels\.(\w+)", texts))
    has = labels(alert["expr"], KNOWN)
    assert used <= has
    assert set(re.findall(r"\w+:vpc_cni_\w+:\w+", texts)) <= RECORDED
    assert "cluster" in has


def test_every_alert_has_a_heading_in_the_runbook_and_every_such_heading_an_alert() -> None:
    text = (ROOT / "docs" / "RUNBOOK.md").read_text()
    headings = re.findall(r"^#+ (VpcCni\w+)$", text, re.MULTILINE)
    assert sorted(headings) == sorted(rule["alert"] for rule in alerts())


def test_every_record_that_the_runbook_names_is_one() -> None:
    text = (ROOT / "docs" / "RUNBOOK.md").read_text()
    assert set(re.findall(r"\b\w+:[a-z_0-9]+:(?:\w+)", text)) <= RECORDED


def test_every_alert_has_a_case_that_fires_with_all_its_texts_and_one_that_does_not() -> None:
    fires: set[str] = set()
    does_not: set[str] = set()
    for case in cases():
        for test in case.get("alert_rule_test", ()):
            expected = test.get("exp_alerts", [])
            (fires if expected else does_not).add(test["alertname"])
            assert all(it["exp_annotations"].keys() >= {"summary"} for it in expected)
    names = {rule["alert"] for rule in alerts()}
    assert fires == names
    assert does_not == names


@pytest.mark.parametrize(
    "situation",
    ["first", "scale-out", "nodes come and go", "cannot be read", "starts anew", "hands over"],
)
def test_there_are_cases_of_what_must_not_raise_a_false_alarm(situation: str) -> None:
    assert [case["name"] for case in cases() if situation in case["name"]]


def test_every_expression_in_the_runbook_names_only_what_there_is() -> None:
    text = (ROOT / "docs" / "RUNBOOK.md").read_text()
    blocks = re.findall(r"^```promql\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    expressions = [it.strip() for block in blocks for it in block.split("\n\n")]
    assert len(expressions) > len(alerts())
    assert {it: violations(it, KNOWN) for it in expressions if violations(it, KNOWN)} == {}


def test_every_link_within_the_runbook_leads_to_a_heading() -> None:
    text = (ROOT / "docs" / "RUNBOOK.md").read_text()
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", it.lower()).replace(" ", "-") for it in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) - anchors == set()


def test_every_figure_is_held_against_what_two_replicas_tell() -> None:
    told = {
        sample["labels"].partition("{")[0]
        for case in cases()
        if case["name"].startswith("two replicas tell")
        for test in case["promql_expr_test"]
        for sample in test["exp_samples"]
    }
    assert told == {it for it in RECORDED if not THRESHOLD.fullmatch(it)}


def test_every_figure_outlives_a_restart_by_three_minutes() -> None:
    lasting = re.compile(r"(last_over_time|increase)\(\s*vpc_cni_\w+({[^}]*})?\[\d+m\]\s*\)")
    for rule in records():
        # That the exporter itself is gone is told at once.
        if not rule["record"].endswith(":count"):
            assert "vpc_cni_" not in lasting.sub("", rule["expr"]), rule["record"]
        assert set(re.findall(r"last_over_time\([^[]*\[(\w+)\]", rule["expr"])) <= {"3m"}
