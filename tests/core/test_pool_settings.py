"""What ipamd makes of its environment, and the rules that follow for a node."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.core.pool import IPV6_PREFIX, PREFIX, SINGLE, Limits, Rules, Settings

LIMITS = Limits(enis=3, ipv4_per_eni=10, max_pods=29)


def test_an_empty_environment_means_the_binary_s_defaults() -> None:
    assert Settings.from_env({}) == Settings()


def test_every_variable_has_its_setting() -> None:
    env = {
        "WARM_ENI_TARGET": "2",
        "WARM_IP_TARGET": "3",
        "MINIMUM_IP_TARGET": "4",
        "WARM_PREFIX_TARGET": "5",
        "MAX_ENI": "6",
        "ENABLE_PREFIX_DELEGATION": "true",
        "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true",
        "ENABLE_POD_ENI": "true",
        "ENABLE_SUBNET_DISCOVERY": "false",
        "AWS_MANAGE_ENIS_NON_SCHEDULABLE": "true",
        "DISABLE_NETWORK_RESOURCE_PROVISIONING": "true",
        "ENABLE_IPv6": "true",
        "IP_COOLDOWN_PERIOD": "7",
    }

    assert Settings.from_env(env) == Settings(
        warm_eni=2,
        warm_ip=3,
        minimum_ip=4,
        warm_prefix=5,
        max_eni=6,
        prefix_delegation=True,
        custom_networking=True,
        pod_eni=True,
        subnet_discovery=False,
        manage_unschedulable=True,
        provisioning=False,
        ipv6=True,
        cooldown=7,
    )


@pytest.mark.parametrize("bad", ["", "-1", "1.5", " 2", "2_0", "two", "٣", "9" * 30])
@pytest.mark.parametrize(
    "name",
    [
        "WARM_ENI_TARGET",
        "WARM_IP_TARGET",
        "MINIMUM_IP_TARGET",
        "WARM_PREFIX_TARGET",
        "MAX_ENI",
        "IP_COOLDOWN_PERIOD",
    ],
)
def test_a_negative_or_bad_number_is_the_default(name: str, bad: str) -> None:
    assert Settings.from_env({name: bad}) == Settings()


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("+3", 3), ("007", 7)])
def test_a_number_is_what_go_reads(text: str, value: int) -> None:
    assert Settings.from_env({"WARM_ENI_TARGET": text}) == Settings(warm_eni=value)


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
def test_a_boolean_is_what_go_reads(text: str) -> None:
    assert Settings.from_env({"ENABLE_POD_ENI": text}) == Settings(pod_eni=True)


@pytest.mark.parametrize("text", ["", "yes", "on", "tRUE", " true"])
def test_a_bad_boolean_is_the_default(text: str) -> None:
    env = dict.fromkeys(("ENABLE_POD_ENI", "ENABLE_SUBNET_DISCOVERY"), text)

    assert Settings.from_env(env) == Settings()


def test_imds_only_mode_ends_provisioning_too() -> None:
    assert Settings.from_env({"ENABLE_IMDS_ONLY_MODE": "true"}) == Settings(provisioning=False)


@pytest.mark.parametrize(
    ("settings", "starts"),
    [
        (Settings(warm_eni=0), True),
        (Settings(prefix_delegation=True), False),
        (Settings(prefix_delegation=True, warm_prefix=1), True),
        (Settings(prefix_delegation=True, warm_ip=1), True),
        (Settings(prefix_delegation=True, minimum_ip=1), True),
    ],
)
def test_the_container_wants_a_target_for_its_prefixes(settings: Settings, starts: bool) -> None:
    assert settings.starts is starts


@pytest.mark.parametrize(
    ("settings", "limits", "size"),
    [
        (Settings(), LIMITS, SINGLE),
        (Settings(prefix_delegation=True), LIMITS, PREFIX),
        (Settings(prefix_delegation=True), replace(LIMITS, prefix_capable=False), SINGLE),
        (Settings(prefix_delegation=True, ipv6=True), LIMITS, IPV6_PREFIX),
    ],
)
def test_the_mode_decides_the_size_of_a_cidr(settings: Settings, limits: Limits, size: int) -> None:
    assert Rules.of(settings, limits).size == size


@pytest.mark.parametrize(("max_eni", "enis"), [(-1, 3), (0, 3), (1, 1), (2, 2), (3, 3), (9, 3)])
def test_max_eni_only_lowers_the_type_s_limit(max_eni: int, enis: int) -> None:
    assert Rules.of(Settings(max_eni=max_eni), LIMITS).max_enis == enis


@pytest.mark.parametrize(
    ("settings", "limits", "card", "wanted"),
    [
        (Settings(), LIMITS, 0, False),
        (Settings(pod_eni=True), LIMITS, 0, True),
        (Settings(pod_eni=True), replace(LIMITS, trunk_capable=False), 0, False),
        (Settings(pod_eni=True), LIMITS, 1, False),
    ],
)
def test_a_trunk_is_wanted_on_the_first_card_of_a_type_that_can(
    settings: Settings, limits: Limits, card: int, wanted: bool
) -> None:
    assert Rules.of(settings, limits, card=card).wants_trunk is wanted


def test_targets_in_prefixes_mean_nothing_without_prefixes() -> None:
    assert Rules.of(Settings(warm_prefix=3), LIMITS) == Rules.of(Settings(), LIMITS)
