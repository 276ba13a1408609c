"""How many more nodes start in a subnet and come to rest, against pools that really do."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from exporter.core.headroom import FreeSpace, FreshNode, nodes_that_fit
from exporter.core.headroom.filling import fill
from exporter.core.headroom.space import Space
from exporter.core.pool import Limits, Rules, Settings
from tests.core.headroom_worlds import (
    LIMITS,
    Vpc,
    begun,
    crowded_vpcs,
    settings_of_ipamd,
)


def starts(vpc: Vpc, rules: Rules, subnets: tuple[str, ...], trunk: str) -> bool:
    """Start a node in `a`, and tell whether it comes to rest with nothing refused."""
    node = begun(vpc, rules, "a", subnets, trunk=trunk)
    return node is not None and not node.refusals()


@st.composite
def places(draw: st.DrawFn, settings: Settings) -> tuple[str, ...]:
    if settings.custom_networking:
        return (draw(st.sampled_from("ab")),)
    if settings.subnet_discovery:
        return draw(st.sampled_from((("a",), ("a", "b"), ("b", "c"), ("b",), ("c", "a", "b"))))
    return ("a",)


@budget(max_examples=150, deadline=None)
@given(crowded_vpcs(subnets=3), settings_of_ipamd(), LIMITS, st.data())
def test_as_many_nodes_start_and_come_to_rest_as_are_said_to_fit(
    vpc: Vpc, settings: Settings, limits: Limits, data: st.DataObject
) -> None:
    subnets = data.draw(places(settings))
    rules = Rules.of(settings, limits)
    trunk = rules.wants_trunk and data.draw(st.booleans())
    found = nodes_that_fit(FreshNode(rules, "a", subnets, trunk), vpc.rooms())

    of_trunk = (subnets[0] if settings.custom_networking else "a") if trunk else ""
    count = 0
    while starts(vpc, rules, subnets, of_trunk):
        count += 1
    assert found == count


@st.composite
def wide_rooms(draw: st.DrawFn) -> dict[str, FreeSpace]:
    """Subnets with room for hundreds of nodes, often as much in one as in the other."""
    sizes = (2000, 2000, 1999, 1990, 1700, 300)
    return {
        subnet: FreeSpace(addresses, blocks, draw(st.sampled_from((0, 0, 30))))
        for subnet in "abc"
        for addresses in (draw(st.sampled_from(sizes)),)
        for blocks in (draw(st.sampled_from((addresses // 16, addresses // 20, 9, 0))),)
    }


def one_by_one(node: FreshNode, rooms: dict[str, FreeSpace]) -> int:
    spaces = {subnet: Space.of(room) for subnet, room in rooms.items()}
    for count in itertools.count():
        if not all(claim.taken_from(spaces) for claim in node.own_addresses()):
            return count
        if fill(node.room(), spaces).starved:
            return count
    raise AssertionError


@pytest.mark.parametrize(
    ("enis", "subnets", "free"),
    [
        pytest.param(2, "ab", (100, 100), id="always the same one has more"),
        pytest.param(2, "ab", (130, 100), id="one has more for some nodes"),
        pytest.param(3, "ab", (100, 100), id="two get unlike shares"),
        pytest.param(2, "bc", (900, 400, 400), id="two take turns"),
        pytest.param(2, "ab", (700, 640), id="two take turns that never repeat"),
    ],
)
def test_in_whatever_order_subnets_have_most_addresses_as_many_fit_as_one_by_one(
    enis: int, subnets: str, free: tuple[int, ...]
) -> None:
    rules = Rules.of(Settings(warm_eni=enis), Limits(enis=4, ipv4_per_eni=10, max_pods=1000))
    node = FreshNode(rules, "a", tuple(subnets))
    rooms = {name: FreeSpace(addresses) for name, addresses in zip("abc", free, strict=False)}
    assert nodes_that_fit(node, rooms) == one_by_one(node, rooms)


@budget(max_examples=150, deadline=None)
@given(wide_rooms(), settings_of_ipamd(), LIMITS, st.data())
def test_nodes_that_do_as_those_before_them_are_as_many_as_one_by_one(
    rooms: dict[str, FreeSpace], settings: Settings, limits: Limits, data: st.DataObject
) -> None:
    rules = Rules.of(settings, limits)
    trunk = rules.wants_trunk and data.draw(st.booleans())
    node = FreshNode(rules, "a", data.draw(places(settings)), trunk)
    assert nodes_that_fit(node, rooms) == one_by_one(node, rooms)
