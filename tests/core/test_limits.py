from __future__ import annotations

import pytest

from exporter.core.limits import Networking, capacity, eni_limit, max_pods, per_eni
from exporter.core.model import InstanceType


def type_of(
    enis: int,
    ipv4_per_eni: int,
    *,
    vcpus: int = 2,
    hypervisor: str = "nitro",
    bare_metal: bool = False,
    attachment_limit: int | None = None,
) -> InstanceType:
    return InstanceType(
        name="m5.large",
        enis=enis,
        ipv4_per_eni=ipv4_per_eni,
        vcpus=vcpus,
        hypervisor=hypervisor,
        bare_metal=bare_metal,
        attachment_limit=attachment_limit,
    )


PLAIN = Networking()
PREFIX = Networking(prefix_delegation=True)
CUSTOM = Networking(custom_networking=True)
BOTH = Networking(prefix_delegation=True, custom_networking=True)
M5_LARGE = type_of(3, 10)


@pytest.mark.parametrize(
    ("name", "enis", "ipv4", "pods"),
    [
        ("t3.nano", 2, 2, 4),
        ("t3.micro", 2, 2, 4),
        ("t3.small", 3, 4, 11),
        ("t3.medium", 3, 6, 17),
        ("t3.large", 3, 12, 35),
        ("t3.xlarge", 4, 15, 58),
        ("t3.2xlarge", 4, 15, 58),
        ("m5.large", 3, 10, 29),
    ],
)
def test_max_pods_are_those_of_awss_table(name: str, enis: int, ipv4: int, pods: int) -> None:
    assert max_pods(type_of(enis, ipv4), PLAIN) == pods
    assert capacity(type_of(enis, ipv4), PLAIN) == pods - 2


@pytest.mark.parametrize(
    ("networking", "pods", "uncapped"),
    [
        pytest.param(PLAIN, 29, 29, id="secondary"),
        pytest.param(CUSTOM, 20, 20, id="custom-networking"),
        pytest.param(PREFIX, 110, 434, id="prefix"),
        pytest.param(BOTH, 110, 290, id="prefix-and-custom-networking"),
        pytest.param(Networking(max_eni=2), 20, 20, id="max-eni"),
        pytest.param(Networking(trunk=True), 29, 29, id="trunk"),
    ],
)
def test_max_pods_follow_the_mode(networking: Networking, pods: int, uncapped: int) -> None:
    assert max_pods(M5_LARGE, networking) == pods
    assert max_pods(M5_LARGE, networking, capped=False) == uncapped


@pytest.mark.parametrize(
    ("vcpus", "pods"),
    [
        pytest.param(30, 110, id="up-to-30-vcpus"),
        pytest.param(31, 250, id="more"),
        pytest.param(96, 250, id="many"),
    ],
)
def test_the_calculator_recommends_fewer_pods_where_there_are_few_cpus(
    vcpus: int, pods: int
) -> None:
    assert max_pods(type_of(15, 50, vcpus=vcpus), PLAIN) == pods


def test_the_table_gives_what_the_addresses_allow() -> None:
    assert max_pods(type_of(15, 50, vcpus=96), PLAIN, capped=False) == 737


@pytest.mark.parametrize(
    ("networking", "addresses"),
    [
        pytest.param(PLAIN, 27, id="secondary"),
        pytest.param(CUSTOM, 18, id="primary-eni-gives-none"),
        pytest.param(Networking(trunk=True), 18, id="trunk"),
        pytest.param(Networking(trunk=True, custom_networking=True), 9, id="trunk-and-custom"),
        pytest.param(Networking(unusable=1), 18, id="unusable-eni"),
        pytest.param(Networking(unusable=9), 0, id="nothing-left"),
        pytest.param(Networking(max_eni=1), 9, id="max-eni"),
        pytest.param(PREFIX, 432, id="prefix"),
        pytest.param(BOTH, 288, id="prefix-and-custom"),
    ],
)
def test_capacity_is_what_the_enis_left_for_pods_can_hold(
    networking: Networking, addresses: int
) -> None:
    assert capacity(M5_LARGE, networking) == addresses


@pytest.mark.parametrize(
    ("max_eni", "enis"),
    [(None, 3), (-1, 3), (0, 3), (1, 1), (2, 2), (3, 3), (4, 3)],
)
def test_max_eni_counts_where_it_is_below_the_types_limit(max_eni: int | None, enis: int) -> None:
    assert eni_limit(M5_LARGE, Networking(max_eni=max_eni)) == enis


@pytest.mark.parametrize(
    ("limit", "volumes", "enis"),
    [
        pytest.param(None, 30, 15, id="no-shared-limit"),
        pytest.param(28, 1, 15, id="room-for-both"),
        pytest.param(28, 20, 8, id="volumes-in-the-way"),
        pytest.param(28, 40, 1, id="the-primary-always-fits"),
    ],
)
def test_volumes_take_slots_where_the_type_shares_them(
    limit: int | None, volumes: int, enis: int
) -> None:
    shared = type_of(15, 50, attachment_limit=limit)
    networking = Networking(volumes=volumes)
    assert eni_limit(shared, networking) == enis
    assert capacity(shared, networking) == enis * 49


def test_volumes_that_nobody_counted_take_no_slot() -> None:
    assert eni_limit(type_of(15, 50, attachment_limit=15), PLAIN) == 15


@pytest.mark.parametrize(
    ("kind", "addresses"),
    [
        pytest.param(type_of(3, 10), 144, id="nitro"),
        pytest.param(type_of(3, 10, hypervisor="xen"), 9, id="xen"),
        pytest.param(type_of(3, 10, hypervisor="", bare_metal=True), 144, id="bare-metal"),
    ],
)
def test_prefixes_are_for_types_that_can_have_them(kind: InstanceType, addresses: int) -> None:
    assert per_eni(kind, PREFIX) == addresses
