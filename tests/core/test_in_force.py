from __future__ import annotations

import sys

import pytest

from exporter.core.in_force import rules_of, settings_of
from exporter.core.pool import Limits, Settings
from tests.builders import pod

LIMITS = Limits(enis=3, ipv4_per_eni=10, max_pods=29)


@pytest.mark.parametrize(
    ("name", "value", "field", "last_without", "first_with"),
    [
        pytest.param("MINIMUM_IP_TARGET", "7", "minimum_ip", "v1.5.7", "v1.6.0", id="minimum"),
        pytest.param("ENABLE_POD_ENI", "true", "pod_eni", "v1.6.3", "v1.7.0", id="branch ENIs"),
        pytest.param(
            "ENABLE_PREFIX_DELEGATION", "true", "prefix_delegation", "v1.8.0", "v1.9.0", id="/28s"
        ),
    ],
)
def test_a_setting_is_in_force_from_the_release_on_that_knows_it(
    name: str, value: str, field: str, last_without: str, first_with: str
) -> None:
    def found(version: str) -> object:
        return getattr(settings_of(pod(cni_version=version, env={name: value})), field)

    assert found(last_without) == getattr(Settings(), field)
    assert found(first_with) == found("latest") == (7 if value == "7" else True)


def test_subnets_are_discovered_from_the_release_on_that_does_so() -> None:
    found = [settings_of(pod(cni_version=it)).subnet_discovery for it in ("v1.17.1", "v1.18.0")]
    assert found == [False, True]


def test_max_pods_end_growth_from_the_release_on_that_heeds_them() -> None:
    found = [rules_of(pod(cni_version=it), LIMITS).max_pods for it in ("v1.16.2", "v1.16.3")]
    assert found == [sys.maxsize, 29]
