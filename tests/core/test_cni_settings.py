from __future__ import annotations

import pytest

from exporter.core.cni_settings import NAMES, NUMBERS, number, published


def test_those_that_are_told_of_are_published_as_they_are_written() -> None:
    variables = {
        "ENABLE_PREFIX_DELEGATION": "True",
        "WARM_IP_TARGET": " 5",
        "ENI_CONFIG_LABEL_DEF": "topology.kubernetes.io/zone",
        "POD_SECURITY_GROUP_ENFORCING_MODE": "standard",
    }
    assert published(variables) == variables


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("ADDITIONAL_ENI_TAGS", id="the users' tags"),
        pytest.param("AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS", id="the users' networks"),
        pytest.param("INTROSPECTION_BIND_ADDRESS", id="an address"),
        pytest.param("CLUSTER_NAME", id="what is known otherwise"),
        pytest.param("AWS_VPC_K8S_CNI_LOGLEVEL", id="nothing about addresses"),
        pytest.param("AWS_SECRET_ACCESS_KEY", id="a secret"),
    ],
)
def test_others_are_not_published(name: str) -> None:
    assert published({name: "1"}) == {}


def test_those_that_are_not_set_are_absent_and_so_are_values_that_are_none() -> None:
    assert published({"MAX_ENI": "", "ENABLE_IPv4": "x" * 318}) == {}
    assert published({"ENABLE_IPv4": "x" * 317}) == {"ENABLE_IPv4": "x" * 317}
    assert published({}) == {}


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("WARM_ENI_TARGET", "1", 1),
        ("WARM_IP_TARGET", "0", 0),
        ("MAX_ENI", "-1", -1),
        ("MINIMUM_IP_TARGET", "+12", 12),
        ("IP_COOLDOWN_PERIOD", "030", 30),
        ("WARM_PREFIX_TARGET", "1.5", None),
        ("WARM_PREFIX_TARGET", "many", None),
        ("WARM_PREFIX_TARGET", " 1", None),
        ("WARM_PREFIX_TARGET", "9" * 16, None),
        ("WARM_PREFIX_TARGET", "\u0663", None),
        ("ENABLE_IPv4", "1", None),
    ],
)
def test_a_number_is_what_go_reads_as_one(name: str, value: str, found: int | None) -> None:
    assert number(name, value) == found


def test_the_names_are_a_closed_list() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert set(NUMBERS) <= set(NAMES)
