"""The judge of expressions: good ones pass, and every kind of slip is named."""

from __future__ import annotations

import pytest

from exporter.core.catalog import METRICS
from tests.promql import CATALOGUED, TARGET, labels, named, violations

SERIES = {
    "free": frozenset({"subnet_id"}) | TARGET,
    "info": frozenset({"subnet_id", "zone"}) | TARGET,
    "errors": frozenset({"api", "error"}) | TARGET,
}


def test_every_row_of_the_catalogue_has_its_series() -> None:
    calls = "vpc_cni_cluster_aws_api_duration_seconds"
    names = {it.name for it in METRICS} - {calls} | {f"{calls}_sum", f"{calls}_count"}
    assert set(CATALOGUED) == names
    assert CATALOGUED["vpc_cni_subnet_role"] == TARGET | {"subnet_id", "role"}


@pytest.mark.parametrize(
    "expression",
    [
        'max without (instance, pod) (free{subnet_id!="a"}) < 5',
        "free * on (cluster, subnet_id) group_left (zone) info",
        "info * on (subnet_id) group_right (zone) free",
        "sum by (zone) (topk by (subnet_id) (1, info)) or bottomk(2, info)",
        "sum by (error) (increase(errors[10m])) > 0 and on () vector(1)",
        'label_replace(free, "z", "$1", "subnet_id", "(.*)") > ignoring (zone) group_right () info',
        "max_over_time((free > bool 3)[1h:1m]) unless on (subnet_id) free",
        'info unless on (subnet_id) absent(free{subnet_id="a",job=~"b"})',
        "free > scalar(max(free)) or -free < 1 or predict_linear(free[1h], 60) < 0",
        '{__name__="free"} or free',
    ],
)
def test_an_expression_of_what_there_is_has_no_violation(expression: str) -> None:
    assert violations(expression, SERIES) == ()


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("sum(free", "it does not parse: "),
        ("fre > 1", "there is no series fre"),
        ('{__name__="fre"} > 1', "there is no series fre"),
        ('free{zone="a"}', "free has no label: zone"),
        ("sum by (zone) (free)", "it groups by what its operand has not: zone"),
        ("sum without (zone) (free)", "it groups without what its operand has not: zone"),
        (
            "sum by (zone) (max by (subnet_id) (info))",
            "it groups by what its operand has not: zone",
        ),
        ("info and on (zone) absent(info)", "it joins by what a side has not: zone"),
        ("info and on (zone) absent(sum(info))", "it joins by what a side has not: zone"),
        ("info and on (zone) absent_over_time(info[1h])", "it joins by what a side has not: zone"),
        ("free and on (zone) info", "it joins by what a side has not: zone"),
        ("free and ignoring (error) info", "it joins by what a side has not: error"),
        (
            "info * on (subnet_id) group_left (error) free",
            "it takes over what the one side has not: error",
        ),
        (
            "sum by (zone) (free * on (subnet_id) info)",
            "it groups by what its operand has not: zone",
        ),
        (
            'label_replace(free, "a", "$1", "zone", "(.*)")',
            "it copies what its operand has not: zone",
        ),
        ('label_join(free, "a", "-", "zone", "job")', "it copies what its operand has not: zone"),
    ],
)
def test_what_is_wrong_with_an_expression_is_said(expression: str, said: str) -> None:
    (found,) = violations(expression, SERIES)
    assert found.startswith(said)


def test_labels_are_followed_to_the_end_and_names_are_told() -> None:
    expression = "sum by (cluster, subnet_id) (free) * on (subnet_id) group_left (zone) info"
    assert labels(expression, SERIES) == {"cluster", "subnet_id", "zone"}
    assert named(expression) == {"free", "info"}
    assert labels("free / ignoring (subnet_id) sum without (subnet_id) (free)", SERIES) == TARGET
    assert labels("free and info", SERIES) == SERIES["free"]
    assert labels("free or info", SERIES) == SERIES["info"]
    assert labels("(1 + 1) * free", SERIES) == SERIES["free"]
    assert labels("sum(free)", SERIES) == frozenset()
