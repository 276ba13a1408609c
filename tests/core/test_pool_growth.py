"""When a look at the pool asks EC2 for more, and for what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from exporter.core.pool import (
    AssignPrivateIpAddresses,
    Cidr,
    CreateNetworkInterface,
    Eni,
    Limits,
    Pool,
    Settings,
    Tally,
    UnassignPrivateIpAddresses,
    first,
    start,
    step,
)
from tests.core.test_pool_parts import (
    CREATION,
    CUSTOM,
    DEFAULT,
    FULL,
    LIMITS,
    NEW_ENI,
    OTHER,
    PREFIXES,
    PRIMARY,
    THIRD,
    TRUNK,
    WARM_2,
    ScriptedEc2,
    free,
    granted,
    last,
    looked_at,
    rules,
    taken,
)


def test_a_pool_at_its_target_is_left_alone() -> None:
    pool = Pool(enis=(replace(PRIMARY, cidrs=free(1, 2, 3)),))
    ec2 = ScriptedEc2()

    assert looked_at(pool, ec2) is pool
    assert ec2.requests == []


def test_a_low_pool_first_fills_the_enis_it_has() -> None:
    ec2 = ScriptedEc2()

    after = looked_at(Pool(enis=(replace(PRIMARY, cidrs=taken(1)),)), ec2)

    assert ec2.requests == [AssignPrivateIpAddresses("eni-0", 2, 1)]
    assert after == Pool(
        enis=(replace(PRIMARY, cidrs=(*taken(1), *free(*granted(2)))),),
        acted_at=1000,
        tally=Tally(calls={"AssignPrivateIpAddresses": 1}),
    )


def test_a_low_pool_with_full_enis_gets_a_new_one() -> None:
    ec2 = ScriptedEc2()

    after = looked_at(Pool(enis=(FULL,)), ec2)

    assert ec2.requests == list(CREATION)
    assert after == Pool(
        enis=(FULL, NEW_ENI),
        acted_at=1000,
        tally=Tally(calls={type(request).__name__: 1 for request in CREATION}),
    )


def test_a_step_allocates_once_however_low_the_pool() -> None:
    ec2 = ScriptedEc2()
    enis = (PRIMARY, Eni("eni-1"), Eni("eni-2"))

    looked_at(Pool(enis=enis), ec2, Settings(warm_eni=3))

    assert ec2.requests == [AssignPrivateIpAddresses("eni-0", 3, 1)]


def test_the_caller_chooses_among_enis_with_room() -> None:
    ec2 = ScriptedEc2()
    pool = Pool(enis=(PRIMARY, Eni("eni-1"), Eni("eni-2", cidrs=taken(1, 2, 3))))

    step(pool, rules(), now=1000, ec2=ec2, choose=last)

    assert ec2.requests == [AssignPrivateIpAddresses("eni-1", 3, 1)]


@pytest.mark.parametrize(
    ("settings", "eni"),
    [
        pytest.param(DEFAULT, replace(PRIMARY, trunk=True), id="trunk"),
        pytest.param(DEFAULT, replace(PRIMARY, excluded=True), id="excluded"),
        pytest.param(CUSTOM, PRIMARY, id="primary under custom networking"),
    ],
)
def test_some_enis_are_never_filled(settings: Settings, eni: Eni) -> None:
    ec2 = ScriptedEc2()

    looked_at(Pool(enis=(eni,)), ec2, settings)

    assert ec2.requests == list(CREATION)


@pytest.mark.parametrize(
    ("settings", "cidrs", "asked"),
    [
        (WARM_2, (), AssignPrivateIpAddresses("eni-0", 2, 1)),
        (WARM_2, taken(1), AssignPrivateIpAddresses("eni-0", 2, 1)),
        (WARM_2, taken(1, 2), AssignPrivateIpAddresses("eni-0", 1, 1)),
        (Settings(minimum_ip=2), taken(1), AssignPrivateIpAddresses("eni-0", 1, 1)),
        (Settings(minimum_ip=9), (), AssignPrivateIpAddresses("eni-0", 3, 1)),
        (PREFIXES, (), AssignPrivateIpAddresses("eni-0", 1, 16)),
        (PREFIXES, taken(16, size=16), AssignPrivateIpAddresses("eni-0", 1, 16)),
        (replace(PREFIXES, warm_prefix=3), (), AssignPrivateIpAddresses("eni-0", 3, 16)),
        (
            replace(PREFIXES, warm_prefix=2),
            free(16, size=16),
            AssignPrivateIpAddresses("eni-0", 1, 16),
        ),
        (replace(PREFIXES, warm_prefix=0), (), AssignPrivateIpAddresses("eni-0", 1, 16)),
        (replace(PREFIXES, warm_ip=17), (), AssignPrivateIpAddresses("eni-0", 2, 16)),
        pytest.param(
            replace(PREFIXES, warm_prefix=3),
            taken(1, 2),
            AssignPrivateIpAddresses("eni-0", 1, 16),
            id="leftovers of the other mode take slots and count for nothing",
        ),
    ],
)
def test_a_low_pool_asks_for(
    settings: Settings, cidrs: tuple[Cidr, ...], asked: AssignPrivateIpAddresses
) -> None:
    ec2 = ScriptedEc2()

    looked_at(Pool(enis=(replace(PRIMARY, cidrs=cidrs),)), ec2, settings)

    assert ec2.requests == [asked]


def test_a_new_eni_is_asked_for_with_no_more_than_is_short() -> None:
    ec2 = ScriptedEc2()

    looked_at(Pool(enis=(FULL,)), ec2, WARM_2)

    assert ec2.requests[0] == CreateNetworkInterface(2, 1)


def test_max_pods_ends_growth_however_few_addresses_are_left() -> None:
    ec2 = ScriptedEc2()
    pool = Pool(enis=(FULL,))
    at_max_pods = rules(limits=replace(LIMITS, max_pods=3))

    assert step(pool, at_max_pods, now=1000, ec2=ec2, choose=first) is pool


@pytest.mark.parametrize(
    ("settings", "limits", "pool"),
    [
        pytest.param(DEFAULT, LIMITS, Pool(enis=(FULL, OTHER, THIRD)), id="all attached"),
        pytest.param(Settings(max_eni=2), LIMITS, Pool(enis=(FULL, OTHER)), id="MAX_ENI"),
        pytest.param(DEFAULT, LIMITS, Pool(enis=(FULL, OTHER), unmanaged=1), id="unmanaged"),
        pytest.param(
            DEFAULT,
            LIMITS,
            Pool(enis=(FULL, OTHER, replace(THIRD, excluded=True))),
            id="excluded ones count",
        ),
        pytest.param(
            Settings(pod_eni=True), LIMITS, Pool(enis=(FULL, OTHER)), id="kept for a trunk"
        ),
        pytest.param(
            Settings(pod_eni=True), LIMITS, Pool(enis=(FULL, OTHER, TRUNK)), id="a trunk counts"
        ),
    ],
)
def test_there_is_no_new_eni_without_room_for_it(
    settings: Settings, limits: Limits, pool: Pool
) -> None:
    ec2 = ScriptedEc2()

    assert step(pool, rules(settings, limits), now=1000, ec2=ec2, choose=first) is pool
    assert ec2.requests == []


@pytest.mark.parametrize(
    ("limits", "enis"),
    [
        pytest.param(LIMITS, (FULL, TRUNK), id="the trunk is attached"),
        pytest.param(
            replace(LIMITS, trunk_capable=False), (FULL, OTHER), id="the type cannot trunk"
        ),
    ],
)
def test_no_slot_is_kept_for_a_trunk_once(limits: Limits, enis: tuple[Eni, ...]) -> None:
    ec2 = ScriptedEc2()
    pod_eni = rules(Settings(pod_eni=True), limits)

    step(Pool(enis=enis), pod_eni, now=1000, ec2=ec2, choose=first)

    assert ec2.requests == list(CREATION)


LOW = Pool(enis=(PRIMARY,))
SPARE = Pool(enis=(FULL, Eni("eni-1", cidrs=free(4, 5, 6)), Eni("eni-2", cidrs=free(7, 8, 9))))


@pytest.mark.parametrize(
    "guard",
    [
        pytest.param({"terminating": True}, id="terminating"),
        pytest.param({"unschedulable": True}, id="unschedulable"),
    ],
)
@pytest.mark.parametrize("pool", [LOW, SPARE], ids=["low", "with a spare ENI"])
def test_a_node_that_takes_no_pods_neither_grows_nor_releases_enis(
    pool: Pool, guard: Mapping[str, bool]
) -> None:
    pool = replace(pool, **guard)  # type: ignore[arg-type]
    ec2 = ScriptedEc2()

    assert looked_at(pool, ec2) is pool
    assert ec2.requests == []


def test_an_unschedulable_node_grows_where_it_is_told_to() -> None:
    ec2 = ScriptedEc2()

    looked_at(replace(LOW, unschedulable=True), ec2, Settings(manage_unschedulable=True))

    assert ec2.requests == [AssignPrivateIpAddresses("eni-0", 3, 1)]


def test_a_terminating_node_still_gives_cidrs_back() -> None:
    pool = Pool(enis=(replace(PRIMARY, cidrs=free(1, 2, 3)),), terminating=True)
    ec2 = ScriptedEc2()

    looked_at(pool, ec2, WARM_2)

    assert ec2.requests == [UnassignPrivateIpAddresses("eni-0", (1,), 1)]


@pytest.mark.parametrize("settings", [Settings(provisioning=False), Settings(ipv6=True)])
@pytest.mark.parametrize("pool", [LOW, SPARE], ids=["low", "with a spare ENI"])
def test_a_node_that_does_not_provision_has_no_pool_steps(settings: Settings, pool: Pool) -> None:
    ec2 = ScriptedEc2()

    assert looked_at(pool, ec2, settings) is pool
    assert start(LOW, rules(settings), now=0, ec2=ec2, choose=first).attached == 0
    assert ec2.requests == []
