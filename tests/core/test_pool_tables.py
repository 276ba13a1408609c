"""Where a node's pool rests: recorded vectors and upstream's tables."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exporter.core.pool import (
    Limits,
    Settings,
    rest,
)

T3_SMALL = Limits(enis=3, ipv4_per_eni=4, max_pods=110)
M5_LARGE = Limits(enis=3, ipv4_per_eni=10, max_pods=29)
M5_LARGE_PREFIX = Limits(enis=3, ipv4_per_eni=10, max_pods=110)
P3DN = Limits(enis=15, ipv4_per_eni=50, max_pods=737)
SIZES = {"t3.small": T3_SMALL, "p3dn.24xlarge": P3DN}

DEFAULT = Settings()
TWO_ENIS = Settings(warm_eni=2)
AT_MOST_TWO = Settings(max_eni=2)
WARM_2_MIN_12 = Settings(warm_ip=2, minimum_ip=12)
MIN_12 = Settings(minimum_ip=12)
WARM_1 = Settings(warm_ip=1)
CUSTOM = Settings(custom_networking=True)
POD_ENI = Settings(pod_eni=True)
ONE_PREFIX = Settings(warm_prefix=1, prefix_delegation=True)
PREFIX_2_12 = Settings(warm_ip=2, minimum_ip=12, prefix_delegation=True)
PREFIX_1_1 = Settings(warm_ip=1, minimum_ip=1, prefix_delegation=True)
PREFIX_7_20 = Settings(warm_ip=7, minimum_ip=20, prefix_delegation=True)
PREFIX_5_10 = Settings(warm_ip=5, minimum_ip=10, prefix_delegation=True)

VECTORS = json.loads((Path(__file__).parent.parent / "data" / "pool.json").read_text())


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: ENIs' CIDRs, and the addresses they make."""

    pods: int
    cidrs: tuple[int, ...]
    total: int
    warm: int
    subnet: int


def resting(settings: Settings, limits: Limits, pods: int, trunk: bool = False) -> Row:
    found = rest(settings, limits, pods=pods, trunk=trunk)
    assert not found.flapping
    return Row(pods, found.cidrs, found.total, found.warm, found.subnet_addresses)


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_every_recorded_node_rests_where_ipamd_does(vector: dict[str, Any]) -> None:
    given = vector["settings"]
    settings = Settings(
        warm_eni=given.get("warm_eni", 1),
        warm_ip=given.get("warm_ip", 0),
        minimum_ip=given.get("min_ip", 0),
        warm_prefix=given.get("warm_prefix", 0),
        max_eni=given.get("max_eni", -1),
        prefix_delegation=given["prefix"],
        custom_networking=given["custom_net"],
        pod_eni=given.get("pod_eni", False),
    )
    limits = Limits(vector["enis"], vector["ipv4_per_eni"], given["max_pods"])

    found = rest(settings, limits, pods=vector["pods"], trunk=given.get("trunk_attached", False))

    assert {name: getattr(found, name) for name in vector["rest"]} == vector["rest"]


def test_the_recorded_nodes_are_300() -> None:
    assert len(VECTORS) == 300


@pytest.mark.parametrize(
    ("settings", "row"),
    [
        (DEFAULT, Row(0, (9,), total=9, warm=9, subnet=10)),
        (DEFAULT, Row(1, (9, 9), total=18, warm=17, subnet=20)),
        (DEFAULT, Row(9, (9, 9), total=18, warm=9, subnet=20)),
        (DEFAULT, Row(10, (9, 9, 9), total=27, warm=17, subnet=30)),
        (DEFAULT, Row(27, (9, 9, 9), total=27, warm=0, subnet=30)),
        (WARM_2_MIN_12, Row(0, (9, 3), total=12, warm=12, subnet=14)),
        (WARM_2_MIN_12, Row(10, (9, 3), total=12, warm=2, subnet=14)),
        (WARM_2_MIN_12, Row(11, (9, 4), total=13, warm=2, subnet=15)),
        (WARM_2_MIN_12, Row(17, (9, 9, 1), total=19, warm=2, subnet=22)),
        (WARM_2_MIN_12, Row(25, (9, 9, 9), total=27, warm=2, subnet=30)),
        (WARM_2_MIN_12, Row(26, (9, 9, 9), total=27, warm=1, subnet=30)),
        (WARM_2_MIN_12, Row(27, (9, 9, 9), total=27, warm=0, subnet=30)),
        (MIN_12, Row(12, (9, 3), total=12, warm=0, subnet=14)),
        (WARM_1, Row(0, (1,), total=1, warm=1, subnet=2)),
        (WARM_1, Row(9, (9, 1), total=10, warm=1, subnet=12)),
        (TWO_ENIS, Row(0, (9, 9), total=18, warm=18, subnet=20)),
        (TWO_ENIS, Row(1, (9, 9, 9), total=27, warm=26, subnet=30)),
        (AT_MOST_TWO, Row(10, (9, 9), total=18, warm=8, subnet=20)),
        (AT_MOST_TWO, Row(18, (9, 9), total=18, warm=0, subnet=20)),
        (CUSTOM, Row(0, (0, 9), total=9, warm=9, subnet=11)),
        (CUSTOM, Row(1, (0, 9, 9), total=18, warm=17, subnet=21)),
        (CUSTOM, Row(18, (0, 9, 9), total=18, warm=0, subnet=21)),
    ],
)
def test_an_m5_large_with_secondary_addresses_rests_at(settings: Settings, row: Row) -> None:
    assert resting(settings, M5_LARGE, row.pods) == row


@pytest.mark.parametrize(
    "row",
    [
        Row(0, (9, 0), total=9, warm=9, subnet=11),
        Row(1, (9, 0, 9), total=18, warm=17, subnet=21),
        Row(18, (9, 0, 9), total=18, warm=0, subnet=21),
    ],
)
def test_an_m5_large_with_a_trunk_rests_at(row: Row) -> None:
    assert resting(POD_ENI, M5_LARGE, row.pods, trunk=True) == row


@pytest.mark.parametrize(
    ("settings", "row"),
    [
        (ONE_PREFIX, Row(0, (1,), total=16, warm=16, subnet=17)),
        (ONE_PREFIX, Row(1, (2,), total=32, warm=31, subnet=33)),
        (ONE_PREFIX, Row(16, (2,), total=32, warm=16, subnet=33)),
        (ONE_PREFIX, Row(17, (3,), total=48, warm=31, subnet=49)),
        (ONE_PREFIX, Row(96, (7,), total=112, warm=16, subnet=113)),
        (ONE_PREFIX, Row(97, (7,), total=112, warm=15, subnet=113)),
        (ONE_PREFIX, Row(110, (7,), total=112, warm=2, subnet=113)),
        (PREFIX_2_12, Row(14, (1,), total=16, warm=2, subnet=17)),
        (PREFIX_2_12, Row(15, (2,), total=32, warm=17, subnet=33)),
        (PREFIX_2_12, Row(110, (7,), total=112, warm=2, subnet=113)),
    ],
)
def test_an_m5_large_with_prefixes_rests_at(settings: Settings, row: Row) -> None:
    assert resting(settings, M5_LARGE_PREFIX, row.pods) == row


@pytest.mark.parametrize(
    ("size", "settings", "pods", "cidrs", "unused"),
    [
        ("t3.small", DEFAULT, 0, (3,), 3),
        ("t3.small", DEFAULT, 5, (3, 3, 3), 4),
        ("t3.small", DEFAULT, 9, (3, 3, 3), 0),
        ("t3.small", Settings(warm_ip=1, minimum_ip=1), 0, (1,), 1),
        ("t3.small", Settings(warm_ip=1, minimum_ip=1), 5, (3, 3), 1),
        ("t3.small", Settings(warm_ip=1, minimum_ip=1), 9, (3, 3, 3), 0),
        ("t3.small", Settings(warm_ip=2, minimum_ip=5), 0, (3, 2), 5),
        ("t3.small", Settings(warm_ip=2, minimum_ip=5), 5, (3, 3, 1), 2),
        ("t3.small", Settings(warm_ip=2, minimum_ip=5), 9, (3, 3, 3), 0),
        ("p3dn.24xlarge", DEFAULT, 0, (49,), 49),
        ("p3dn.24xlarge", DEFAULT, 3, (49, 49), 95),
        ("p3dn.24xlarge", DEFAULT, 95, (49, 49, 49), 52),
        ("p3dn.24xlarge", Settings(warm_ip=5, minimum_ip=10), 0, (10,), 10),
        ("p3dn.24xlarge", Settings(warm_ip=5, minimum_ip=10), 7, (12,), 5),
        ("p3dn.24xlarge", Settings(warm_ip=5, minimum_ip=10), 15, (20,), 5),
        ("p3dn.24xlarge", Settings(warm_ip=5, minimum_ip=10), 45, (49, 1), 5),
    ],
)
def test_the_upstream_table_for_addresses_holds(
    size: str, settings: Settings, pods: int, cidrs: tuple[int, ...], unused: int
) -> None:
    found = rest(settings, SIZES[size], pods=pods)

    assert (found.cidrs, found.warm, found.flapping) == (cidrs, unused, False)


@pytest.mark.parametrize(
    ("size", "settings", "pods", "cidrs", "unused"),
    [
        ("t3.small", ONE_PREFIX, 0, (1,), 16),
        ("t3.small", ONE_PREFIX, 5, (2,), 27),
        ("t3.small", ONE_PREFIX, 16, (2,), 16),
        ("t3.small", ONE_PREFIX, 17, (3,), 31),
        ("t3.small", ONE_PREFIX, 58, (3, 2), 22),
        ("t3.small", PREFIX_1_1, 0, (1,), 16),
        ("t3.small", PREFIX_1_1, 5, (1,), 11),
        ("t3.small", PREFIX_1_1, 17, (2,), 15),
        ("t3.small", PREFIX_1_1, 58, (3, 1), 6),
        pytest.param("t3.small", PREFIX_7_20, 0, (2,), 32, id="the table says one prefix"),
        ("t3.small", PREFIX_7_20, 5, (2,), 27),
        ("t3.small", PREFIX_7_20, 17, (2,), 15),
        ("t3.small", PREFIX_7_20, 58, (3, 2), 22),
        ("p3dn.24xlarge", ONE_PREFIX, 0, (1,), 16),
        pytest.param("p3dn.24xlarge", ONE_PREFIX, 3, (2,), 29, id="the table says two ENIs"),
        pytest.param("p3dn.24xlarge", ONE_PREFIX, 95, (7,), 17, id="the table says three ENIs"),
        ("p3dn.24xlarge", PREFIX_5_10, 0, (1,), 16),
        ("p3dn.24xlarge", PREFIX_5_10, 7, (1,), 9),
        ("p3dn.24xlarge", PREFIX_5_10, 15, (2,), 17),
        pytest.param("p3dn.24xlarge", PREFIX_5_10, 45, (4,), 19, id="and two ENIs again"),
    ],
)
def test_the_upstream_table_for_prefixes_holds_but_where_its_code_differs(
    size: str, settings: Settings, pods: int, cidrs: tuple[int, ...], unused: int
) -> None:
    found = rest(settings, SIZES[size], pods=pods)

    assert (found.cidrs, found.warm, found.flapping) == (cidrs, unused, False)


@pytest.mark.parametrize(("pods", "total"), [(0, 29), (1, 58), (29, 58)])
def test_an_m4_4xlarge_holds_a_second_eni_from_its_first_pod_on(pods: int, total: int) -> None:
    assert rest(DEFAULT, Limits(8, 30, max_pods=234), pods=pods).total == total
