"""What a careful reader makes of one node, mode by mode, from the page alone and with a body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from exporter.core.pool import IPV6_PREFIX
from exporter.sim.ec2_types import TYPES
from exporter.sim.facts import Facts, Gauges
from exporter.sim.holdings import HeldAddress, HeldCard, HeldCidr, HeldEni, Holding
from exporter.sim.node_figures import Figures, Setting, figures

CUSTOM = {"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true"}
PREFIXES = {"ENABLE_PREFIX_DELEGATION": "true"}
MULTI_NIC = {"ENABLE_MULTI_NIC": "true"}
SECONDARY = Gauges(assigned=6, total=18, enis=2, eni_max=3, ip_max=27, prefixes=0)
IPV6 = Gauges(assigned=4, total=2**48, enis=1, eni_max=3, ip_max=0, prefixes=0)
TWO_CARDS = Gauges(assigned=1, total=2, enis=1, eni_max=8, ip_max=392, prefixes=0)


def found(
    gauges: Gauges,
    body: Holding | None = None,
    env: Mapping[str, str] | None = None,
    **more: Any,
) -> Figures:
    by_eni = more.pop("by_eni", {})
    return figures(Facts(gauges, {}, 0.0, by_eni), body, Setting(env=env or {}, **more))


def held(*sizes: int, pods: int = 0, cooling: int = 0) -> tuple[HeldCidr, ...]:
    """CIDRs of these sizes; the first addresses are pods', the next ones cool down."""
    cidrs = []
    for number, size in enumerate(sizes):
        addresses = []
        for place in range(min(size, pods + cooling)):
            ip = f"10.0.{number}.{place}"
            addresses.append(HeldAddress(ip, "pod" if pods else "", 60.0, cooling=not pods))
            pods, cooling = (pods - 1, cooling) if pods else (0, cooling - 1)
        cidrs.append(HeldCidr(f"10.0.{number}.0/{33 - size.bit_length()}", size, tuple(addresses)))
    return tuple(cidrs)


def body(*enis: HeldEni) -> Holding:
    return Holding((HeldCard(0, 0, enis),))


PRIMARY = HeldEni("eni-1", primary=True, cidrs=held(1, 1, 1, pods=1, cooling=1))


def test_the_page_alone_tells_no_addresses_in_cooldown() -> None:
    assert found(SECONDARY) == Figures(
        mode="secondary",
        assigned=6,
        enis=2,
        prefixes=0,
        attached=18,
        warm=12,
        capacity=27,
        eni_capacity=3,
    )


def test_a_body_overrules_the_page() -> None:
    assert found(SECONDARY, body(PRIMARY)) == Figures(
        mode="secondary",
        assigned=1,
        enis=1,
        prefixes=0,
        attached=3,
        warm=1,
        cooldown=1,
        capacity=27,
        eni_capacity=3,
        introspected=True,
    )


@pytest.mark.parametrize(
    ("sizes", "env", "mode"),
    [
        ((1, 1), PREFIXES, "secondary"),
        ((16,), {}, "prefix"),
        ((16, 1), {}, "mixed"),
        ((), {}, "secondary"),
        ((), PREFIXES, "prefix"),
        ((), {"ENABLE_IPv6": "true"}, "ipv6"),
    ],
)
def test_the_mode_is_that_of_the_cidrs_and_without_any_what_was_asked_for(
    sizes: tuple[int, ...], env: Mapping[str, str], mode: str
) -> None:
    assert found(SECONDARY, body(HeldEni("eni-1", cidrs=held(*sizes))), env).mode == mode


@pytest.mark.parametrize(
    ("total", "prefixes", "mode"),
    [(32, 2, "prefix"), (35, 2, "mixed"), (16, 2, "prefix"), (0, 0, "secondary")],
    ids=["whole", "with single ones", "a total that lies", "nothing"],
)
def test_the_page_tells_the_mode_too(total: int, prefixes: int, mode: str) -> None:
    gauges = replace(SECONDARY, total=total, assigned=0, prefixes=prefixes)
    assert found(gauges).mode == mode


def test_ipv6_has_no_warm_addresses_whoever_tells() -> None:
    cidr = HeldCidr("2001:db8::/80", IPV6_PREFIX, (HeldAddress("2001:db8::", "pod", 1.0),))
    told = body(HeldEni("eni-1", primary=True, cidrs=(cidr,)))
    page = Figures(mode="ipv6", assigned=4, enis=1, prefixes=1, eni_capacity=3)
    assert found(IPV6) == page
    assert found(IPV6, told) == replace(page, assigned=1, introspected=True)


def test_with_several_cards_the_gauges_lie_and_the_series_by_eni_do_not() -> None:
    found_ = found(TWO_CARDS, env=MULTI_NIC, by_eni={"eni-1": 5, "eni-2": 1})
    assert found_ == Figures(mode="secondary", assigned=6)


def test_a_body_tells_all_cards() -> None:
    cards = (HeldCard(0, 3, (PRIMARY,)), HeldCard(1, 1, (HeldEni("eni-2", cidrs=held(1, pods=1)),)))
    found_ = found(TWO_CARDS, Holding(cards), MULTI_NIC, type=TYPES["c6in.32xlarge"])
    assert (found_.assigned, found_.attached, found_.enis) == (2, 4, 2)
    assert (found_.eni_capacity, found_.capacity) == (16, 49 * 16)


@pytest.mark.parametrize(
    ("env", "more", "enis", "capacity"),
    [
        pytest.param({}, {}, 8, 392, id="one card"),
        pytest.param(MULTI_NIC, {}, None, None, id="nobody says how many"),
        pytest.param(MULTI_NIC, {"type": TYPES["c6in.32xlarge"]}, 16, 784, id="two"),
        pytest.param(
            {**MULTI_NIC, **CUSTOM},
            {"type": TYPES["c6in.32xlarge"], "trunk": True},
            16,
            49 * (6 + 8),
            id="trunk and primary are the first card's",
        ),
        pytest.param({}, {"type": TYPES["m5.xlarge"]}, 4, 196, id="a type that ipamd overrates"),
    ],
)
def test_what_a_node_has_room_for_is_known_of_all_cards_or_of_none(
    env: Mapping[str, str], more: Mapping[str, Any], enis: int | None, capacity: int | None
) -> None:
    found_ = found(TWO_CARDS, env=env, **more)
    assert (found_.eni_capacity, found_.capacity) == (enis, capacity)


@pytest.mark.parametrize(
    ("enis", "env", "trunk", "capacity"),
    [
        pytest.param([], {}, False, 27, id="none"),
        pytest.param([{"excluded": True}], {}, False, 18, id="one"),
        pytest.param([{"excluded": True, "trunk": True}], {}, True, 18, id="the trunk"),
        pytest.param([{"excluded": True, "primary": True}], {}, False, 18, id="the primary"),
        pytest.param(
            [{"excluded": True, "primary": True}], CUSTOM, False, 18, id="that has no pods anyway"
        ),
        pytest.param([{"excluded": True}] * 4, {}, False, 0, id="more than there can be"),
    ],
)
def test_an_excluded_eni_is_taken_off_once(
    enis: list[dict[str, Any]], env: Mapping[str, str], trunk: bool, capacity: int
) -> None:
    told = body(*(HeldEni(f"eni-{number}", **eni) for number, eni in enumerate(enis)))
    assert found(SECONDARY, told, env, trunk=trunk).capacity == capacity


def test_where_ipamd_took_off_more_enis_than_there_are_nothing_is_known() -> None:
    found_ = found(replace(SECONDARY, eni_max=-1, ip_max=-9))
    assert (found_.eni_capacity, found_.capacity) == (None, None)
