"""Headroom in examples that can be worked out by hand, after reference 3.10."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from exporter.core.headroom import (
    FreeSpace,
    FreshNode,
    Headroom,
    Limit,
    NodeRoom,
    headrooms,
    nodes_that_fit,
)
from exporter.core.pool import Limits, Rules, Settings

M5_LARGE = Limits(enis=3, ipv4_per_eni=10, max_pods=110)
PREFIXES = Settings(warm_prefix=1, prefix_delegation=True)
PLENTY = {"subnet-a": FreeSpace(4096, 200)}


def node(
    settings: Settings | None = None,
    limits: Limits = M5_LARGE,
    *,
    pods: int = 108,
    cidrs: int = 9,
    slots: int = 0,
    enis: int = 2,
    subnets: tuple[str, ...] = ("subnet-a",),
) -> NodeRoom:
    """An m5.large without pods, at rest with the CNI's defaults unless said."""
    rules = Rules.of(settings or Settings(), limits)
    return NodeRoom(
        rules=rules,
        pods=pods,
        warm=cidrs * rules.size,
        cidrs=cidrs,
        unused=cidrs,
        slots=((subnets[0], slots),) if slots else (),
        enis=enis,
        subnets=subnets,
    )


def alone(it: NodeRoom, rooms: Mapping[str, FreeSpace] = PLENTY) -> Headroom | None:
    return headrooms([it], rooms).nodes[0]


@pytest.mark.parametrize(
    ("it", "found"),
    [
        pytest.param(node(), Headroom(27, Limit.ENI), id="defaults"),
        pytest.param(node(pods=27), Headroom(27, Limit.MAX_PODS), id="max-pods counts first"),
        pytest.param(node(pods=0), Headroom(0, Limit.MAX_PODS), id="no pod more"),
        pytest.param(node(enis=1), Headroom(18, Limit.ENI), id="MAX_ENI=2, or a trunk's slot"),
        pytest.param(
            node(Settings(warm_ip=2, minimum_ip=12), cidrs=12, slots=6, enis=1),
            Headroom(27, Limit.ENI),
            id="targets in addresses",
        ),
        pytest.param(
            node(Settings(minimum_ip=12), cidrs=12, slots=6, enis=1),
            Headroom(12, Limit.ENI),
            id="a minimum alone is never exceeded, whatever else there is",
        ),
        pytest.param(
            node(Settings(warm_eni=0)), Headroom(27, Limit.ENI), id="an ENI only once all is taken"
        ),
        pytest.param(
            node(Settings(provisioning=False)), Headroom(9, Limit.ENI), id="ENIs made by others"
        ),
        pytest.param(
            node(PREFIXES, cidrs=1, slots=8), Headroom(108, Limit.MAX_PODS), id="prefixes"
        ),
        pytest.param(
            node(PREFIXES, cidrs=1, slots=8, pods=1000),
            Headroom(112, Limit.ENI),
            id="no prefix is added to what max-pods could ever use",
        ),
    ],
)
def test_a_node_has_room_for(it: NodeRoom, found: Headroom) -> None:
    assert alone(it) == found


@pytest.mark.parametrize(
    ("free", "found"),
    [
        pytest.param(0, Headroom(9, Limit.SUBNET), id="what is warm"),
        pytest.param(9, Headroom(9, Limit.SUBNET), id="an ENI is made with all of its addresses"),
        pytest.param(10, Headroom(18, Limit.SUBNET), id="one ENI"),
        pytest.param(20, Headroom(27, Limit.ENI), id="both ENIs"),
    ],
)
def test_a_new_eni_takes_ten_addresses_of_the_subnet_or_is_not_made(
    free: int, found: Headroom
) -> None:
    assert alone(node(), {"subnet-a": FreeSpace(free)}) == found


@pytest.mark.parametrize(
    ("free", "found"),
    [
        pytest.param(4, Headroom(13, Limit.SUBNET), id="one by one on an ENI that is there"),
        pytest.param(7, Headroom(15, Limit.SUBNET), id="one left, and none for a new ENI"),
        pytest.param(8, Headroom(16, Limit.SUBNET), id="the first address of a new ENI"),
    ],
)
def test_with_a_warm_ip_target_addresses_come_one_by_one(free: int, found: Headroom) -> None:
    it = node(Settings(warm_ip=1), slots=6)
    assert alone(it, {"subnet-a": FreeSpace(free)}) == found


@pytest.mark.parametrize(
    ("room", "found"),
    [
        pytest.param(FreeSpace(40), Headroom(16, Limit.PREFIX), id="no whole block"),
        pytest.param(FreeSpace(15), Headroom(16, Limit.SUBNET), id="not even scattered"),
        pytest.param(FreeSpace(40, 1), Headroom(32, Limit.PREFIX), id="one block"),
        pytest.param(FreeSpace(0, 0, 2), Headroom(48, Limit.SUBNET), id="kept for prefixes"),
    ],
)
def test_prefixes_take_whole_blocks(room: FreeSpace, found: Headroom) -> None:
    it = node(PREFIXES, cidrs=1, slots=8)
    assert alone(it, {"subnet-a": room}) == found


@pytest.mark.parametrize(
    ("room", "found"),
    [
        pytest.param(
            FreeSpace(33, 2), Headroom(160, Limit.PREFIX), id="its own address breaks a block"
        ),
        pytest.param(
            FreeSpace(0, 0, 9), Headroom(144, Limit.SUBNET), id="kept ones are not for it"
        ),
        pytest.param(FreeSpace(1, 0, 2), Headroom(176, Limit.SUBNET), id="one beside those"),
    ],
)
def test_a_new_eni_takes_an_address_that_is_no_prefix(room: FreeSpace, found: Headroom) -> None:
    limits = replace(M5_LARGE, max_pods=1000)
    it = node(PREFIXES, limits, cidrs=9, pods=1000)
    assert alone(it, {"subnet-a": room}) == found


def test_of_several_subnets_a_new_eni_is_in_the_one_with_the_most_addresses() -> None:
    rooms = {"subnet-a": FreeSpace(11), "subnet-b": FreeSpace(12)}
    it = node(subnets=("subnet-a", "subnet-b"), enis=1)
    found = headrooms([it, node(enis=1)], rooms)
    assert found.cluster == Headroom(36, Limit.ENI)


def test_without_subnet_discovery_an_eni_with_room_keeps_others_from_being_made() -> None:
    settings = Settings(warm_ip=1, subnet_discovery=False)
    rooms = {"subnet-old": FreeSpace(0), "subnet-new": FreeSpace(500)}
    it = replace(node(settings), slots=(("subnet-old", 3),), subnets=("subnet-new",))
    assert alone(it, rooms) == Headroom(9, Limit.SUBNET)

    found = alone(replace(it, rules=Rules.of(Settings(warm_ip=1), M5_LARGE)), rooms)
    assert found == Headroom(27, Limit.SUBNET)


def test_a_node_whose_every_subnet_is_kept_from_it_has_what_is_warm() -> None:
    assert alone(replace(node(), subnets=())) == Headroom(9, Limit.SUBNET)


def test_blocks_that_ec2_does_not_count_as_free_are_not() -> None:
    assert alone(node(PREFIXES, cidrs=1, slots=8), {"subnet-a": FreeSpace(31, 5)}) == Headroom(
        32, Limit.SUBNET
    )


@pytest.mark.parametrize(
    "it", [None, node(subnets=("subnet-a", "subnet-c")), node(slots=1, subnets=("subnet-c",))]
)
def test_nothing_is_said_of_a_node_whose_subnets_are_not_known(it: NodeRoom | None) -> None:
    found = headrooms([it, node()], PLENTY, [("a", "b")])
    assert found.nodes == (None, Headroom(27, Limit.ENI))
    assert found.cluster == Headroom(27, Limit.ENI)
    assert found.groups == ({"a": None, "b": Headroom(27, Limit.ENI)},)


def test_nodes_share_the_addresses_of_their_subnet_but_not_their_warm_ones() -> None:
    nodes = [node(pods=27), node(pods=27)]
    found = headrooms(nodes, {"subnet-a": FreeSpace(25)}, [("a", "b")])
    assert found.nodes == (Headroom(27, Limit.MAX_PODS),) * 2
    assert found.cluster == Headroom(27 + 9, Limit.SUBNET)
    assert found.groups == (dict.fromkeys("ab", Headroom(27, Limit.MAX_PODS)),)


def test_nodes_that_are_alike_and_come_too_late_have_what_is_warm() -> None:
    found = headrooms([node(pods=27)] * 4, {"subnet-a": FreeSpace(25)})
    assert found.cluster == Headroom(27 + 3 * 9, Limit.SUBNET)


def test_the_node_with_the_most_headroom_is_filled_first() -> None:
    small = node(Settings(warm_ip=1), pods=9, slots=9, cidrs=1, enis=0)
    found = headrooms([small, node(pods=27)], {"subnet-a": FreeSpace(20)})
    assert found.cluster == Headroom(1 + 27, Limit.SUBNET)


@pytest.mark.parametrize(
    ("nodes", "limit"),
    [
        pytest.param([node(pods=1)] * 2, Limit.MAX_PODS, id="no node takes another pod"),
        pytest.param([node(pods=1)] * 2 + [node(enis=0)], Limit.ENI, id="one takes one in vain"),
        pytest.param([node(pods=1), node(), node(), node(enis=0)], Limit.SUBNET, id="most that do"),
        pytest.param([node(), node(enis=0)], Limit.ENI, id="in the order of the limits"),
    ],
)
def test_the_next_pod_stops_where_a_node_still_takes_pods(
    nodes: list[NodeRoom], limit: Limit
) -> None:
    found = headrooms(nodes, {"subnet-a": FreeSpace(9)}).cluster
    assert found is not None
    assert found.limit is limit


def test_without_nodes_there_is_nothing_to_say() -> None:
    assert headrooms([], PLENTY, [()]).cluster is None
    assert headrooms([], PLENTY, [()]).groups == ({},)


def fresh(
    settings: Settings | None = None,
    *,
    subnets: tuple[str, ...] = ("subnet-a",),
    trunk: bool = False,
) -> FreshNode:
    return FreshNode(Rules.of(settings or Settings(), M5_LARGE), "subnet-a", subnets, trunk)


@pytest.mark.parametrize(
    ("it", "rooms", "count"),
    [
        pytest.param(fresh(), {"subnet-a": FreeSpace(29)}, 2, id="ten addresses each"),
        pytest.param(
            fresh(Settings(warm_ip=2, minimum_ip=12)),
            {"subnet-a": FreeSpace(29)},
            2,
            id="fourteen, on two ENIs",
        ),
        pytest.param(
            fresh(Settings(pod_eni=True), trunk=True),
            {"subnet-a": FreeSpace(22)},
            2,
            id="eleven with a trunk",
        ),
        pytest.param(
            fresh(Settings(custom_networking=True), subnets=("subnet-b",)),
            {"subnet-a": FreeSpace(5), "subnet-b": FreeSpace(35)},
            3,
            id="one where the node is, ten where its pods are",
        ),
        pytest.param(
            fresh(
                Settings(custom_networking=True, pod_eni=True), subnets=("subnet-b",), trunk=True
            ),
            {"subnet-a": FreeSpace(5), "subnet-b": FreeSpace(32)},
            2,
            id="and the trunk is with the pods",
        ),
        pytest.param(
            fresh(PREFIXES),
            {"subnet-a": FreeSpace(64, 4)},
            2,
            id="a block, and one that the node's own address breaks",
        ),
        pytest.param(
            fresh(PREFIXES), {"subnet-a": FreeSpace(7, 0, 4)}, 4, id="a block of those kept"
        ),
        pytest.param(
            fresh(PREFIXES), {"subnet-a": FreeSpace(3, 0, 4)}, 3, id="an address beside those"
        ),
        pytest.param(
            fresh(Settings(warm_eni=2), subnets=("subnet-a", "subnet-b")),
            {"subnet-a": FreeSpace(30), "subnet-b": FreeSpace(29)},
            2,
            id="the second ENI where more is free by then",
        ),
        pytest.param(
            fresh(Settings(warm_eni=2), subnets=("subnet-a", "subnet-b")),
            {"subnet-a": FreeSpace(80), "subnet-b": FreeSpace(999)},
            8,
            id="as long as there is room for the first",
        ),
        pytest.param(
            FreshNode(
                Rules.of(Settings(minimum_ip=20), replace(M5_LARGE, max_pods=5)),
                "subnet-a",
                ("subnet-a", "subnet-b"),
            ),
            {"subnet-a": FreeSpace(17), "subnet-b": FreeSpace(16)},
            3,
            id="ten, the five that its pods can use, and none but its own",
        ),
        pytest.param(fresh(), {"subnet-a": FreeSpace(0)}, 0, id="full"),
        pytest.param(fresh(), {"subnet-b": FreeSpace(99)}, None, id="not known"),
        pytest.param(fresh(subnets=()), PLENTY, None, id="no subnet for pods"),
    ],
)
def test_new_nodes_fit_with_their_pools_at_rest(
    it: FreshNode, rooms: Mapping[str, FreeSpace], count: int | None
) -> None:
    assert nodes_that_fit(it, rooms) == count
